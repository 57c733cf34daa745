"""Pictures with their plates marked, for a person to look at."""

from collections.abc import Sequence

import cv2
import numpy as np

from vision.plates.base import Picture
from vision.plates.plate import Quad

_READ = (60, 200, 60)
_UNREAD = (40, 120, 255)
_PAPER = (255, 255, 255)


def annotate(picture: Picture, plates: Sequence[tuple[Quad, str]]) -> Picture:
    """Return a copy with each quad outlined and its text above it; without a text in orange."""
    image = picture.copy()
    scale = max(image.shape[:2]) / 1000
    thick, height = max(1, round(2 * scale)), max(12, round(26 * scale))
    for quad, text in plates:
        colour = _READ if text else _UNREAD
        corners = np.clip(np.nan_to_num(np.array(quad)), -30_000, 30_000).round().astype(np.int32)
        cv2.polylines(image, [corners], True, colour, thick, cv2.LINE_AA)
        if text:
            _write(image, text, corners, height)
    return image


def _write(image: Picture, text: str, corners: np.ndarray, height: int) -> None:
    """Put a text on a white label above a plate, or as near as the picture has room."""
    font = cv2.FontFace("uni")
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), font, height, 500)
    pad = height // 4
    left, top = int(corners[:, 0].min()), int(corners[:, 1].min())
    x = min(max(left, 0), max(0, image.shape[1] - width - 2 * pad))
    bottom = min(max(top - pad, height + 2 * pad), image.shape[0])
    cv2.rectangle(image, (x, bottom - height - 2 * pad), (x + width + 2 * pad, bottom), _PAPER, -1)
    cv2.putText(image, text, (x + pad, bottom - pad - height // 8), (0, 0, 0), font, height, 500)
