"""The strip that the reader sees: one plate, straightened from its four corners."""

import cv2
import numpy as np

from vision.plates.base import Picture
from vision.plates.plate import Quad

WIDTH, HEIGHT = 160, 64
"""Of the strip, in pixels."""
READER_MARGIN = (0.04, 0.08)
"""What the strip shows beyond the plate on each side, in shares of the plate's width and height:
corners are never exact, and a character cut off is lost."""

_FINEST = 16
"""Samples for one pixel of the strip along one axis, at most."""


def rectify(picture: Picture, quad: Quad) -> Picture:
    """Straighten the plate in ``quad`` into ``(HEIGHT, WIDTH, 3)``.

    Whole coordinates are centres of pixels, as in OpenCV. A plate larger than the strip is
    sampled at its own resolution and averaged down, so that no stroke is lost between samples;
    what lies beyond the picture repeats its border.
    """
    corners = np.array(quad, np.float32)
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    across = _samples(float(max(top, bottom)) / WIDTH)
    down = _samples(float(max(left, right)) / HEIGHT)
    width, height = WIDTH * across, HEIGHT * down
    to_picture = cv2.getPerspectiveTransform(plate_in_strip(width, height), corners)
    strip = cv2.warpPerspective(
        picture,
        to_picture,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if across > 1 or down > 1:
        strip = cv2.resize(strip, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(strip, np.uint8)


def _samples(ratio: float) -> int:
    return min(max(round(ratio), 1), _FINEST) if np.isfinite(ratio) else 1


def plate_in_strip(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Give the plate's corners in a strip of this size, in OpenCV's coordinates."""
    x, y = (margin / (1 + 2 * margin) for margin in READER_MARGIN)
    shares = np.array(((x, y), (1 - x, y), (1 - x, 1 - y), (x, 1 - y)))
    return (shares * (width, height) - 0.5).astype(np.float32)
