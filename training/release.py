"""The last step: networks become model files with a list that says what they are worth."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from training import material
from training.detector import check
from training.export import (
    describe,
    export_detector,
    export_reader,
    load_mean,
    quantise,
    sharpness,
)
from training.listing import entries_but
from training.networks import DetectorNet, ReaderNet
from training.reader import exact, read
from training.scenes import Props, stream
from training.strips import Crop, Strip, synthetic

_SMALL_PX = 94
"""Width of the crops that come from LPRNet_Pytorch."""
_HEADER = """\
# The entries of plates are written by `python -m training export`, which leaves the others as they
# are; docs/training.md says how the models are made.

"""


def release(*, folder: Path, data: Path | None, models: Path, version: str, seed: int) -> str:
    """Write model files and ``manifest.toml`` into ``models``; returns the list's text.

    Entries of other models than those of plates stay in the list as they are.
    """
    _, crops = material.crops(data)
    _, pictures = material.frames(data)
    typeface = material.typeface(data)
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
    manifest = models / "manifest.toml"
    before = manifest.read_text(encoding="utf-8") if manifest.is_file() else ""
    entries = [
        describe(models / f"{name}.onnx", name, "plate-detector", figures),
        listed,
        *entries_but({"plate-detector", "plate-reader"}, before),
    ]
    text = _HEADER + "\n".join(entries)
    manifest.write_text(text, encoding="utf-8")
    return text


def int8(*, folder: Path, data: Path | None, models: Path, version: str, seed: int) -> str:
    """Write the detector's int8 twin into ``folder``; returns how it compares."""
    real, _ = material.frames(data)
    props = Props.make(material.typeface(data), np.random.default_rng(seed), count=150)
    scenes = itertools.islice(stream(props, real, seed, 0.6 if real else 0), 80)
    source = models / f"plate-detector-{version}.onnx"
    twin = folder / f"plate-detector-{version}-int8.onnx"
    quantise(source, twin, [scene.image[None] for scene in scenes], "image")
    ratio = _seconds(source) / _seconds(twin)
    return f"{twin}: {ratio:.2f} times as fast; `kiosk-agent plates --models` tries it"


def _seconds(file: Path) -> float:
    """Time of one look at 960 by 704 pixels, one thread, the best of 20."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(0).integers(0, 255, (1, 704, 960, 3), np.uint8)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        session.run(None, {"image": picture})
        best = min(best, time.perf_counter() - start)
    return best


def _percent(texts: Sequence[str], made: Sequence[Strip | Crop]) -> float:
    right = sum(text == one.text for text, one in zip(texts, made, strict=True))
    return round(100 * right / len(made), 1)
