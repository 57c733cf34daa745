"""The real pictures beside this checkout, which are no part of the project (``../shared/data``)."""

import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from bench.plates.scores import Labelled
from vision.picture import read_picture
from vision.plates.base import Picture

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "plates"

_SMALL = (24, 94)
"""Height and width of LPRNet_Pytorch's crops."""


def frames() -> Iterator[tuple[str, Picture, tuple[Labelled, ...]]]:
    """Give the whole pictures and the plates in them."""
    labels: dict[str, list[Labelled]] = {}
    for row in _rows("frames"):
        sides = [float(row[name]) for name in ("cx", "cy", "width", "height") if row[name]]
        # Those of a box turned by a right angle are exchanged in the list.
        box = (sides[0], sides[1], max(sides[2:]), min(sides[2:])) if len(sides) == 4 else None
        label = Labelled(row["plate"], row["colour"], row["is_main"] == "1", box)
        labels.setdefault(row["file"], []).append(label)
    for file, its in labels.items():
        yield file, read_picture(FOLDER / "frames" / file), tuple(its)


def crops(folder: str) -> Iterator[tuple[str, Picture, str]]:
    """Give the cut-out plates of ``crops`` or ``crops-train`` and their texts."""
    for row in _rows(folder):
        yield row["file"], read_picture(FOLDER / folder / row["file"]), row["plate"]


def part_of(picture: Picture) -> str:
    """Tell the two parts of ``crops-train`` apart."""
    return "lprnet" if picture.shape[:2] == _SMALL else "harder"


def shrunk(picture: Picture, long_edge: int) -> Picture:
    """Shrink a picture that is larger."""
    scale = long_edge / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rows(folder: str) -> list[dict[str, str]]:
    with (FOLDER / folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
