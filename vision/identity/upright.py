"""A face cut out upright and of one size, whatever the recogniser: to judge its quality on."""

import cv2
import numpy as np

from vision.identity.base import Picture
from vision.identity.face import Face

EYE_DISTANCE = 40
"""Pixels between the middles of the eyes of what is cut out; other lengths count in it."""
WIDTH, HEIGHT = 112, 128
_EYES = (WIDTH - EYE_DISTANCE) // 2, EYE_DISTANCE
"""Where the person's right eye comes to lie; the left one is level with it."""


def cut_upright(picture: Picture, face: Face) -> Picture:
    """Cut a face out: level eyes, 40 pixels apart, brows to chin; beyond the picture its edge.

    A large face is first made smaller by area, so that noise and fine texture do not alias.
    """
    (ax, ay), (bx, by) = face.right_eye, face.left_eye
    distance = max(face.eye_distance, 1.0)
    reach = round(3 * distance) + 2
    left, top = max(0, round((ax + bx) / 2) - reach), max(0, round((ay + by) / 2) - reach)
    piece = picture[top : top + 2 * reach, left : left + 2 * reach]
    scale = min(1.0, EYE_DISTANCE / distance)
    if min(piece.shape[:2]) * scale < 1:  # nothing of it lies in the picture, or a sliver
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    if scale < 1:
        shrunk = cv2.resize(piece, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        piece = np.asarray(shrunk, np.uint8)
    source = [((x - left) * scale, (y - top) * scale) for x, y in ((ax, ay), (bx, by))]
    (ax, ay), (bx, by) = source
    down = ax - (by - ay), ay + (bx - ax)
    x, y = _EYES
    target = [(x, y), (x + EYE_DISTANCE, y), (x, y + EYE_DISTANCE)]
    turn = cv2.getAffineTransform(
        np.array([*source, down], np.float32), np.array(target, np.float32)
    )
    cut = cv2.warpAffine(
        piece, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)
