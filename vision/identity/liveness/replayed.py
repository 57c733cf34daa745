"""A recording: the same moments come again, or no moment ever passes.

A living face never looks twice the same while it moves; a recording in a loop does, each time
round. A picture in which nothing changes at all does not come from a sensor: its noise alone
changes every frame. One recording played once, without a loop, shows nothing of this.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.face import Face
from vision.identity.liveness.sign import Sign, upright

_SIZE, _EYE_PX, _EYES_AT = 96, 40.0, 0.38
_LEAST_PERIOD_S = 0.8
_LEAST_OVERLAP_S = 1.5
_SHORTLY_S = 0.4
_LIVELY = 0.25
"""How much a face must move in ``_SHORTLY_S``, as a share of its contrast: breath and the sway of
who waits come again, too."""
_MOST = 0.75
"""Of the moments have to come again; who nods twice is nearly the same in half of them."""
_FROZEN_S = 2.0
_MOST_FRAMES = 150


class _Moment(NamedTuple):
    at_s: float
    view: NDArray[np.float32]


class Replayed(Sign):
    """Judges by pictures that come again.

    The score of a loop is 1 less what its repetitions differ by, as a share of what the face moves
    by in 0.4 s; that of a frozen picture is 1. A loop is seen when
    it has come round and 1.5 s more.
    """

    reason = "replayed"
    limit = 0.6

    def __init__(self) -> None:
        self._moments: list[_Moment] = []
        self._newest: Picture | None = None
        self._changed_s = 0.0
        self._still_s = 0.0

    def update(self, picture: Picture, face: Face, now_s: float) -> None:
        """Remember how the face looks."""
        if self._newest is not None and np.array_equal(picture, self._newest):
            self._still_s = max(self._still_s, now_s - self._changed_s)
            return
        self._newest, self._changed_s = picture.copy(), now_s
        if len(self._moments) < _MOST_FRAMES:
            view = upright(picture, face, eye_px=_EYE_PX, size=_SIZE, middle=_EYES_AT)
            small = cv2.resize(view, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
            self._moments.append(_Moment(now_s, (small - small.mean()) / (small.std() + 1)))

    def score(self) -> float | None:
        """Tell how surely moments come again."""
        if self._still_s >= _FROZEN_S:
            return 1.0
        if not self._moments:
            return None
        views = np.stack([moment.view for moment in self._moments]).reshape(len(self._moments), -1)
        times = np.array([moment.at_s for moment in self._moments])
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        lasted = times[-1] - times[0]
        if step <= 0 or lasted < _LEAST_PERIOD_S + _LEAST_OVERLAP_S + _SHORTLY_S:
            return None
        apart = np.abs(views[:, None] - views[None]).mean(2)
        moved = np.diagonal(apart, max(1, round(_SHORTLY_S / step)))
        lags = range(round(_LEAST_PERIOD_S / step), len(times) - round(_LEAST_OVERLAP_S / step))
        scores = (1 - _repeated(np.diagonal(apart, lag), moved, lag) for lag in lags)
        return max(0.0, max(scores, default=0.0))


def _repeated(apart: NDArray[np.float32], moved: NDArray[np.float32], lag: int) -> float:
    """Tell by what most moments differ from those one period later, beside what moves shortly."""
    shortly = min(float(np.median(moved[:-lag])), float(np.median(moved[lag:])))
    return float(np.quantile(apart, _MOST)) / shortly if shortly >= _LIVELY else 1.0
