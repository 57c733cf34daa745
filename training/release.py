"""The last step: networks become model files with a list that says what they are worth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.detector import check
from training.export import (
    describe,
    export_detector,
    export_reader,
    load_mean,
    sharpness,
)
from training.networks import DetectorNet, ReaderNet
from training.reader import exact, read
from training.scenes import photos
from training.strips import Crop, Strip, held_back, real_crops, synthetic
from training.typeface import Typeface

_SMALL_PX = 94
"""Width of the crops that come from LPRNet_Pytorch."""
_HEADER = """\
# Written by `python -m training export`; docs/training.md says how the models are made.

"""


def release(*, folder: Path, data: Path | None, models: Path, version: str, seed: int) -> str:
    """Write model files and ``manifest.toml`` into ``models``; returns the list's text."""
    crops = held_back(real_crops(data / "crops-train"))[1] if data else []
    pictures = held_back(photos(data / "frames"), share=5)[1] if data else []
    typeface = Typeface(data / "provinces" if data else None)
    rng = np.random.default_rng(seed + 77)
    made = [strip for _ in range(1500) for strip in synthetic(typeface, rng)]

    reader = ReaderNet()
    load_mean(reader, folder / "reader.pt")
    factor = sharpness(reader, made)
    name = f"plate-reader-{version}"
    export_reader(reader, models / f"{name}.onnx", factor)
    texts = read(reader, [strip.image for strip in made])
    figures = {"synthetic_exact_percent": _percent(texts, made)}
    parts = {
        "held_back_small_exact_percent": [c for c in crops if c.image.shape[1] == _SMALL_PX],
        "held_back_other_exact_percent": [c for c in crops if c.image.shape[1] != _SMALL_PX],
    }
    figures |= {key: round(100 * exact(reader, part), 1) for key, part in parts.items() if part}
    listed = describe(models / f"{name}.onnx", name, "plate-reader", figures)

    detector = DetectorNet()
    load_mean(detector, folder / "detector.pt")
    name = f"plate-detector-{version}"
    export_detector(detector, models / f"{name}.onnx")
    figures = {}
    if pictures:
        found, false = check(detector, pictures)
        plates = sum(len(picture.boxes) for picture in pictures)
        figures = {
            "held_back_plates": plates,
            "held_back_found_percent": round(100 * found / plates, 1),
            "held_back_false_per_picture": round(false / len(pictures), 2),
        }
    listed = (
        _HEADER + describe(models / f"{name}.onnx", name, "plate-detector", figures) + "\n" + listed
    )
    (models / "manifest.toml").write_text(listed, encoding="utf-8")
    return listed


def _percent(texts: Sequence[str], made: Sequence[Strip | Crop]) -> float:
    right = sum(text == one.text for text, one in zip(texts, made, strict=True))
    return round(100 * right / len(made), 1)
