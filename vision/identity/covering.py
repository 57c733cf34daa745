"""Whether mask, scarf or dark glasses hide part of a face, by the colour and light of its parts.

Skin is compared with skin of the same face: what counts is how the ratios of red, green and blue,
and the light, differ between its parts. A tone of skin or a coloured lamp changes all of them
alike and so cancels out; there is no "colour of skin" here. What has the colour of the face itself
(a hand) is not noticed by it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.upright import EYE_DISTANCE

_NOSE_COLOUR = 0.20
"""How far a part's colour may be from other skin, ``hypot(log(r/g), log(b/g))``. Noses of real
faces were 0.15 at most from bridge or forehead; masks of six colours mostly 0.3 to 1.0."""
_JAW_COLOUR = 0.16
"""As above, of mouth and both jaws, whichever is nearest: 0.12 at most, masks mostly 0.3 to 1.0."""
_BLACKENED = -0.55
"""Of log light, nose against the bridge between the eyes: real faces -0.33 and above, black masks
-0.9 and below (on dark skin -0.3: there their colour tells)."""
_FEATURELESS = 0.2
"""Of the lines across the mouth to those of the eyes: mouths 0.34 and more, plain masks, which have
none, mostly 0.1. It is what tells in a picture without colour."""
_DARK_GLASSES = 0.9
_GLASSES_COLOUR_WEIGHT = 3.0
"""Dark glasses: how much darker than the cheek below (log) the brighter eye is, and three times the
difference of colour. Real eyes made 0.69 at most, black glasses 1.9 and more, brown ones 0.76."""
_BURNT = 0.1
"""Share of a part with a colour at its end."""
_FLOOR = 8.0
"""Grey levels added before logarithms: noise of dark parts has no colour."""

_Plane = NDArray[np.float32]


def _part(left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
    """Make a part of the cut-out face of places in eye distances from the middle of the eyes."""
    x, y = 56, EYE_DISTANCE
    columns = slice(round(x + left * EYE_DISTANCE), round(x + right * EYE_DISTANCE))
    return slice(round(y + top * EYE_DISTANCE), round(y + bottom * EYE_DISTANCE)), columns


_FOREHEAD = _part(-0.4, -0.7, 0.4, -0.35)
_BRIDGE = _part(-0.13, -0.15, 0.13, 0.25)
_NOSE = _part(-0.15, 0.35, 0.15, 0.7)
_MOUTH = _part(-0.35, 0.9, 0.35, 1.5)
_JAWS = _part(-0.72, 0.65, -0.45, 1.2), _part(0.45, 0.65, 0.72, 1.2)
_EYES = _part(-0.8, -0.2, -0.2, 0.25), _part(0.2, -0.2, 0.8, 0.25)
_CHEEKS = _part(-0.7, 0.45, -0.25, 0.8), _part(0.25, 0.45, 0.7, 0.8)
_MOUTH_LINES = _part(-0.3, 0.85, 0.3, 1.55)
_EYE_LINES = _part(-0.7, -0.3, -0.25, 0.25), _part(0.25, -0.3, 0.7, 0.25)


def is_covered(cut: Picture) -> bool:
    """Tell whether part of a face, cut out by ``cut_upright``, is hidden.

    Where the skin that others are compared with is burnt, light and lines alone tell.
    """
    soft = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), 1.0)
    blue, green, red = (np.log(plane + _FLOOR) for plane in cv2.split(soft))
    light = np.log(cv2.cvtColor(soft, cv2.COLOR_BGR2GRAY) + _FLOOR)
    none = np.zeros_like(light)
    burnt = max(float((cut[part].max(axis=2) >= 250).mean()) for part in (_FOREHEAD, _BRIDGE))
    has_colour = burnt < _BURNT
    parts = _Parts(red - green, blue - green, light) if has_colour else _Parts(none, none, light)
    return parts.lower_face_is_covered() or parts.eyes_are_covered()


class _Parts:
    def __init__(self, red: _Plane, blue: _Plane, light: _Plane) -> None:
        self._red, self._blue, self._light = red, blue, light

    def lower_face_is_covered(self) -> bool:
        if self._unlike(_NOSE, _FOREHEAD, _BRIDGE) > _NOSE_COLOUR:
            return True
        if self._brightness(_NOSE) - self._brightness(_BRIDGE) < _BLACKENED:
            return True
        # A mask below the nose: mouth and jaw both; lips, a beard or a shadow are one of them.
        jaw = min(self._unlike(side, _FOREHEAD, _BRIDGE) for side in _JAWS)
        if min(jaw, self._unlike(_MOUTH, _FOREHEAD, _BRIDGE)) > _JAW_COLOUR:
            return True
        return self._mouth_lines() < _FEATURELESS

    def eyes_are_covered(self) -> bool:
        return min(map(self._glass, _EYES, _CHEEKS)) > _DARK_GLASSES

    def _glass(self, eye: tuple[slice, slice], cheek: tuple[slice, slice]) -> float:
        darker = self._brightness(cheek) - float(np.percentile(self._light[eye], 70))
        return darker + _GLASSES_COLOUR_WEIGHT * self._unlike(eye, cheek)

    def _unlike(self, part: tuple[slice, slice], *skin: tuple[slice, slice]) -> float:
        """Compare colours; with the more similar of several: one of them may be hair or glass."""
        red, blue = self._colour(part)
        return min(float(np.hypot(red - r, blue - b)) for r, b in map(self._colour, skin))

    def _colour(self, part: tuple[slice, slice]) -> tuple[float, float]:
        return float(np.median(self._red[part])), float(np.median(self._blue[part]))

    def _brightness(self, part: tuple[slice, slice]) -> float:
        return float(np.median(self._light[part]))

    def _mouth_lines(self) -> float:
        """How marked lines across are at the mouth, of those at the eyes."""
        down = np.abs(cv2.Sobel(self._light, cv2.CV_32F, 0, 1, scale=1 / 8))
        mouth = float(np.percentile(down[_MOUTH_LINES].max(axis=0), 30))
        eyes = max(float(np.median(down[part].max(axis=0))) for part in _EYE_LINES)
        return mouth / max(eyes, 0.01)
