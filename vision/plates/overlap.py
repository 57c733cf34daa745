"""One plate, found many times: which finds are the same, and where it then lies."""

import numpy as np
from numpy.typing import NDArray

from vision.plates.plate import Detection, Point

Quads = NDArray[np.float32]
"""``(n, 4, 2)``: corners in the order of ``Quad``."""
Scores = NDArray[np.float32]
"""``(n,)``"""
Looks = NDArray[np.intp]
"""``(n,)``"""

_SAME = 0.5
"""Overlap as a share of both together, from which on finds are of one plate; its corners are their
mean."""
_INSIDE = 0.6
"""Overlap as a share of the smaller, from which on the lesser find is dropped: plates do not lie in
plates."""
_MOST = 64
"""Plates in one picture."""
_LEAST_AREA = 24.0
"""Square pixels; what is smaller is no plate in any sense."""


def merge(quads: Quads, scores: Scores, looks: Looks | None = None) -> list[Detection]:
    """Make one detection of all finds of a plate, best first.

    Its score is that of the best of them; its corners are the mean, by score, of those from the
    best one's look. Finds whose corners do not go round in their order, or are no numbers, are
    left out.

    Args:
        quads: corners.
        scores: one for each.
        looks: which look each is from, where there was more than one.
    """
    if looks is None:
        looks = np.zeros(len(scores), np.intp)
    sound = _sound(quads)
    order = np.argsort(-scores[sound], kind="stable")
    quads, scores, looks = quads[sound][order], scores[sound][order], looks[sound][order]
    low, high = quads.min(1), quads.max(1)
    area = np.prod(high - low, 1)
    left = np.arange(len(scores))
    found: list[Detection] = []
    while left.size and len(found) < _MOST:
        best = left[0]
        common = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        shared = np.prod(np.clip(common, 0, None), 1)
        same = shared >= _SAME * (area[best] + area[left] - shared)
        inside = shared >= _INSIDE * np.minimum(area[best], area[left])
        voters = left[same & (looks[left] == looks[best])]
        corners = np.average(quads[voters], 0, weights=scores[voters])
        found.append(detection(corners, float(scores[best])))
        left = left[~(same | inside)]
    return found


def detection(corners: NDArray[np.floating], score: float) -> Detection:
    """Make a detection of ``(4, 2)`` numbers."""
    a, b, c, d = (_point(corner) for corner in corners)
    return Detection(corners=(a, b, c, d), score=score)


def _point(corner: NDArray[np.floating]) -> Point:
    return float(corner[0]), float(corner[1])


def _sound(quads: Quads) -> NDArray[np.bool_]:
    finite = np.asarray(np.isfinite(quads).all((1, 2)))
    x, y = np.moveaxis(np.where(finite[:, None, None], quads, 0), -1, 0)
    twice = (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)
    return np.asarray(finite & (twice >= 2 * _LEAST_AREA))
