"""A Chinese number plate: small car, white on blue, 440 by 140 mm."""

import cv2
import numpy as np

from vision.clip.paint import Color, Image

_PX_PER_MM = 2
_BLUE: Color = (170, 62, 14)
_WHITE: Color = (245, 245, 245)
_CHARACTER_MM = (45, 90)
_GAP_MM = 12
_DOT_GAP_MM = 34
_FONT_PX = 300


def plate(text: str) -> Image:
    """Draw ``text`` (seven characters, without the dot) as a plate, 2 pixels a millimetre."""
    unit = _PX_PER_MM
    image = np.full((140 * unit, 440 * unit, 3), _BLUE, np.uint8)
    cv2.rectangle(image, (6 * unit, 6 * unit), (434 * unit, 134 * unit), _WHITE, 3 * unit)
    width, height = (side * unit for side in _CHARACTER_MM)
    x, y = 15.5 * unit, 25 * unit
    for index, character in enumerate(text):
        at = round(x)
        ink = _character(character, width, height)[..., None] / 255
        part = image[y : y + height, at : at + width]
        part[:] = np.round(part * (1 - ink) + np.array(_WHITE) * ink)
        if index == 1:
            dot = round(x + width + _DOT_GAP_MM * unit / 2), 70 * unit
            cv2.circle(image, dot, 5 * unit, _WHITE, -1, cv2.LINE_AA)
        x += width + (_DOT_GAP_MM if index == 1 else _GAP_MM) * unit
    return image


def _character(character: str, width: int, height: int) -> Image:
    """Draw one character to fill its field, as the norm's letters do."""
    mask = np.zeros((2 * _FONT_PX, 2 * _FONT_PX), np.uint8)
    origin = _FONT_PX // 2, _FONT_PX + _FONT_PX // 3
    cv2.putText(mask, character, origin, (255,), cv2.FontFace("uni"), _FONT_PX, 700)
    x, y, w, h = cv2.boundingRect(mask)
    # A 1 is not stretched to the width of an H: its strokes are squeezed as those of all others.
    if character == "1":
        usual = round(h * 0.9)
        x, w = x - (usual - w) // 2, usual
    glyph = mask[y : y + h, x : x + w]
    return np.asarray(cv2.resize(glyph, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
