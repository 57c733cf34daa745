"""Straight edges around a face that move with it: a sheet, a phone, a tablet in a hand.

Doors and posters have edges, too, but stay where they are when the person moves; a sheet that is
held as still as the wall is not judged.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.face import Face, Point
from vision.identity.liveness.sign import Grey, Sign, upright

_SIZE, _EYE_PX, _EYES_AT = 240, 28.0, 0.45
_LONG = 2.0
"""The shortest edge, in eye distances, and how near one comes to the face at least."""
_NEAR = 1.0
_SLANT = 25.0
"""Degrees from upright or level, in which the eyes are level."""
_SAME, _SAME_DEGREES = 0.3, 6.0
"""How well an edge stays with the face: in eye distances, and degrees."""
_MOVED = 1.0
"""How far the face must have moved between two frames, in eye distances."""
_LEAST_PAIRS = 12
_MOST_FRAMES = 60
_SIDES = 4


class _Frame(NamedTuple):
    place: Point
    eyes: float
    edges: NDArray[np.float64]
    """``(n, 3)``: side, distance from the middle of the eyes in eye distances, slant in degrees."""


class PaperEdges(Sign):
    """Judges by straight edges that keep their place beside the face while it moves.

    The score is the share of frames, among those between which the face moved, that have such an
    edge: of the third best of the four sides.
    """

    reason = "paper_edges"
    limit = 0.6

    def __init__(self) -> None:
        self._frames: list[_Frame] = []

    def update(self, picture: Picture, face: Face, now_s: float) -> None:  # noqa: ARG002 - timeless
        """Find the edges of one frame."""
        if len(self._frames) < _MOST_FRAMES:
            view = upright(picture, face, eye_px=_EYE_PX, size=_SIZE, middle=_EYES_AT)
            self._frames.append(_Frame(face.middle, face.eye_distance, _edges(view)))

    def score(self) -> float | None:
        """Tell how surely a frame moves with the face."""
        pairs = [
            (here, there)
            for here in self._frames
            for there in self._frames
            if _moved(here, there) >= _MOVED
        ]
        if len(pairs) < _LEAST_PAIRS:
            return None
        shares = [
            sum(_shared(here, there, side) for here, there in pairs) / len(pairs)
            for side in range(_SIDES)
        ]
        return sorted(shares)[1]


def _moved(here: _Frame, there: _Frame) -> float:
    (ax, ay), (bx, by) = here.place, there.place
    return float(np.hypot(ax - bx, ay - by) / max(here.eyes, there.eyes))


def _shared(here: _Frame, there: _Frame, side: int) -> bool:
    first = here.edges[here.edges[:, 0] == side]
    second = there.edges[there.edges[:, 0] == side]
    apart = abs(first[:, None] - second[None])
    return bool(((apart[..., 1] <= _SAME) & (apart[..., 2] <= _SAME_DEGREES)).any())


def _edges(view: Grey) -> NDArray[np.float64]:
    found: Any = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(view)[0]
    if found is None:
        return np.zeros((0, 3))
    lines = found.reshape(-1, 4).astype(float)
    lines = (lines - np.array([_SIZE / 2, _SIZE * _EYES_AT] * 2)) / _EYE_PX
    edges = []
    for x1, y1, x2, y2 in lines:
        across, down = x2 - x1, y2 - y1
        if np.hypot(across, down) < _LONG:
            continue
        if abs(across) < abs(down):
            slant = float(np.degrees(np.arctan(across / down)))
            away = x1 - y1 * across / down
            side = 0 if away < 0 else 1
        else:
            slant = float(np.degrees(np.arctan(down / across)))
            away = y1 - x1 * down / across
            side = 2 if away < 0 else 3
        if abs(slant) <= _SLANT and abs(away) >= _NEAR:
            edges.append((side, away, slant))
    return np.array(edges).reshape(-1, 3)
