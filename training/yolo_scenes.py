"""The detector's scenes as a data set of ultralytics, for who would rather train a YOLO.

The task is pose: class, box and the plate's four corners as keypoints, clockwise from the top left.
No ``flip_idx`` is given: ultralytics then mirrors nothing, as no plate is ever seen mirrored.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes import SIDE, Scene

_CHECKED = 10
"""One scene in so many is for validation."""
_QUALITY = 95
_DATASET = """\
train: images/train
val: images/val
names: {0: plate}
kpt_shape: [4, 2]
"""


def write(scenes: Iterable[Scene], folder: Path, count: int) -> Path:
    """Write ``count`` scenes into a new folder; returns its ``dataset.yaml``.

    Scenes with a plate whose corners are not known are left out.

    Raises:
        FileExistsError: the folder holds a data set already.
    """
    for part in ("train", "val"):
        (folder / "images" / part).mkdir(parents=True)
        (folder / "labels" / part).mkdir(parents=True)
    known = (scene for scene in scenes if len(scene.boxes) <= len(scene.quads))
    for number, scene in enumerate(islice(known, count)):
        name = f"{'train' if number % _CHECKED else 'val'}/{number:06}"
        image = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        (folder / "images" / f"{name}.jpg").write_bytes(image.tobytes())
        lines = "".join(f"{_line(quad)}\n" for quad in scene.quads)
        (folder / "labels" / f"{name}.txt").write_text(lines, encoding="utf-8")
    dataset = folder / "dataset.yaml"
    dataset.write_text(_DATASET, encoding="utf-8")
    return dataset


def _line(quad: NDArray[np.float32]) -> str:
    """Class, centre, size and corners, all in shares of the picture."""
    # OpenCV's pixels have their centres at whole numbers, YOLO's their corners.
    corners = np.clip((quad + 0.5) / SIDE, 0, 1)
    low, high = corners.min(axis=0), corners.max(axis=0)
    values = np.concatenate(((low + high) / 2, high - low, corners.ravel()))
    return " ".join(("0", *(f"{value:.6f}" for value in values)))
