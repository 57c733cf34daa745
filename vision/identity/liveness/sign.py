"""What the passive signs have in common."""

from abc import ABC, abstractmethod

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.face import Face
from vision.identity.reasons import LivenessReason

Grey = NDArray[np.uint8]


class Sign(ABC):
    """One sign of an attack, looked for in the frames of one check."""

    reason: LivenessReason
    limit: float
    """A score from here on is an attack's."""

    @abstractmethod
    def update(self, picture: Picture, face: Face, now_s: float) -> None:
        """Take a frame and the face in it."""

    @abstractmethod
    def score(self) -> float | None:
        """Tell how strong the sign is so far; None: too little was seen to judge."""


def upright(picture: Picture, face: Face, *, eye_px: float, size: int, middle: float) -> Grey:
    """Cut the face out in grey, with level eyes ``eye_px`` apart, in a square of ``size`` pixels.

    The middle of the eyes is in the middle of the square, at the share ``middle`` of its height.
    """
    (rx, ry), (lx, ly) = face.right_eye, face.left_eye
    scale = eye_px / face.eye_distance
    cos, sin = scale * (lx - rx) / face.eye_distance, scale * (ly - ry) / face.eye_distance
    x, y = (rx + lx) / 2, (ry + ly) / 2
    turn = np.array(
        [
            [cos, sin, size / 2 - cos * x - sin * y],
            [-sin, cos, size * middle + sin * x - cos * y],
        ]
    )
    # Shrinking by more than half would alias: the picture is halved first.
    while scale < 0.5 and min(picture.shape[:2]) > 2:
        half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        picture = np.asarray(half)
        turn[:, :2] *= 2
        scale *= 2
    cut = cv2.warpAffine(picture, turn, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY), np.uint8)
