"""Motion: where the picture differs from its running average by more than its noise.

Fed with small grey pictures and their times; knows nothing of where they come from.
"""

import math

import cv2
import numpy as np

from vision.hold import Hold
from vision.report import Moving
from vision.scene import Float, Grey
from vision.settings import MotionSettings

_BEGIN_S = 0.3
_BACKGROUND_S = 1.0
_NOISE_S = 10.0
_LEAST_DIFFERENCE = 9.0
"""Grey levels: less is compression and flicker, however quiet the sensor."""
_NOISE_FACTOR = 6.0
_LIGHT_CHANGE_PERCENT = 70.0
"""More than this all at once is the light, not a thing that moves."""


FINE = MotionSettings(begin_percent=0.2, end_percent=0.1)
"""Finer than what counts as an event: a far car is small, and somebody only turns their head."""
QUIET_S = 2.0
"""So long after the last motion, frames are worth a look."""


class Motion:
    """Watches one camera's picture for motion."""

    def __init__(self, settings: MotionSettings) -> None:
        self._settings = settings
        self._hold = Hold(_BEGIN_S, settings.end_s)
        self._background: Float | None = None
        self._last_s = 0.0
        self._noise = 1.5
        self._area_max = 0.0
        self._moved_s: float | None = None
        self.area_percent = 0.0
        """Share of the latest picture that moves."""

    @property
    def active(self) -> bool:
        """Whether something moves now."""
        return self._hold.active

    def quiet_s(self, now: float) -> float:
        """Seconds since something last moved; infinite before the first time."""
        if self.active:
            return 0.0
        return math.inf if self._moved_s is None else now - self._moved_s

    def update(self, grey: Grey, now: float) -> Moving | None:
        """Take one picture, ``(height, width)``, and its time in seconds."""
        half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        picture = half.astype(np.float32)
        if self._background is None or self._background.shape != picture.shape:
            self._background = picture
            self._last_s = now
        elapsed, self._last_s = max(now - self._last_s, 0.0), now
        self.area_percent = self._changed_percent(picture, elapsed)
        return self._decide(now)

    def _changed_percent(self, picture: Float, elapsed: float) -> float:
        assert self._background is not None  # noqa: S101 - set by the caller
        difference = picture - self._background
        # A change of the whole picture's light moves nothing.
        difference -= float(np.median(difference[::4, ::4]))
        size = np.asarray(cv2.blur(np.abs(difference), (3, 3)))
        noise = float(np.median(size[::4, ::4]))
        self._noise += (1 - math.exp(-elapsed / _NOISE_S)) * (noise - self._noise)
        limit = max(_LEAST_DIFFERENCE, _NOISE_FACTOR * min(self._noise, noise * 2))
        percent = 100.0 * np.count_nonzero(size > limit) / size.size
        if percent > _LIGHT_CHANGE_PERCENT:
            self._background = picture
            return 0.0
        self._background += (1 - math.exp(-elapsed / _BACKGROUND_S)) * (picture - self._background)
        return percent

    def _decide(self, now: float) -> Moving | None:
        settings, area = self._settings, self.area_percent
        limit = settings.end_percent if self.active else settings.begin_percent
        on = area >= limit
        phase = self._hold.update(now, on=on)
        if on and self.active:
            self._moved_s = now
        if phase == "begin":
            self._area_max = area
            return Moving(phase="begin", area_percent=round(area, 2))
        self._area_max = max(self._area_max, area)
        if phase == "end":
            return Moving(
                phase="end",
                duration_s=round(self._hold.lasted_s(now), 3),
                area_percent=round(self._area_max, 2),
            )
        return None
