"""Pictures with their faces marked, for a person to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from vision.identity.base import Picture
from vision.identity.face import Face

_GOOD = (60, 200, 60)
_POOR = (40, 120, 255)
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Mark:
    """A face and what is to be written beside it."""

    face: Face
    is_good: bool
    lines: tuple[str, ...]


def annotate(picture: Picture, marks: Sequence[Mark]) -> Picture:
    """Return a copy with each face's box, landmarks and lines; green where it is good."""
    image = picture.copy()
    scale = max(image.shape[:2]) / 1000
    thick, height = max(1, round(2 * scale)), max(12, round(20 * scale))
    for mark in marks:
        face, colour = mark.face, _GOOD if mark.is_good else _POOR
        left, top = round(face.left), round(face.top)
        right, bottom = round(face.left + face.width), round(face.top + face.height)
        cv2.rectangle(image, (left, top), (right, bottom), colour, thick, cv2.LINE_AA)
        for x, y in face.landmarks:
            cv2.circle(image, (round(x), round(y)), 2 * thick, colour, -1, cv2.LINE_AA)
        _write(image, mark.lines, (left, bottom), height)
    return image


def _write(image: Picture, lines: Sequence[str], corner: tuple[int, int], height: int) -> None:
    """Write lines on a white label below a face, or as near as the picture has room."""
    font, row = cv2.FontFace("uni"), height * 5 // 4
    widths = [cv2.getTextSize((0, 0), line, (0, 0), font, height, 500)[2] for line in lines]
    width, tall = max(widths, default=0) + height, row * len(lines)
    x = min(max(corner[0], 0), max(0, image.shape[1] - width))
    y = min(max(corner[1], 0), max(0, image.shape[0] - tall))
    cv2.rectangle(image, (x, y), (x + width, y + tall), _PAPER, -1)
    for number, line in enumerate(lines, 1):
        place = x + height // 2, y + row * number - height // 3
        cv2.putText(image, line, place, _INK, font, height, 500)
