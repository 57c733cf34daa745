"""Pictures of faces to measure on: real ones beside this checkout, and the one that is drawn."""

import csv
from pathlib import Path

import cv2
import numpy as np

from vision.clip import counter
from vision.identity.base import Picture
from vision.identity.chain import Chain
from vision.picture import read_picture
from vision.video import frames_of

FOLDER = Path(__file__).parents[3] / "shared" / "data"
PICTURES = FOLDER / "faces"
VIDEO = FOLDER / "video" / "faces.mp4"

_FRAME = (1280, 720)
_STANDS_S = 10.0
_SPEAKS_S = 5.0


def drawn_frame() -> Picture:
    """Give a camera's frame of the drawn person at the counter."""
    width, height = _FRAME
    scene, person = counter.background(height, width), counter.person()
    return np.asarray(counter.frame(scene, person, _STANDS_S), np.uint8)


def frame(chain: Chain) -> tuple[Picture, str]:
    """Give a camera's frame of 1280 by 720 with a face, and say where it is from."""
    if VIDEO.is_file():
        for at, picture in frames_of(str(VIDEO), per_s=2):
            if at >= _SPEAKS_S and chain.look(picture).quality.is_good:
                large = cv2.resize(picture, _FRAME, interpolation=cv2.INTER_CUBIC)
                return np.asarray(large, np.uint8), "video/faces.mp4"
    return drawn_frame(), "drawn"


def portraits() -> list[tuple[str, Picture]]:
    """Give the labelled pictures: whom they show, and what."""
    with (PICTURES / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["identity"], read_picture(PICTURES / row["file"])) for row in rows]
