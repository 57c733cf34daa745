"""Presence: somebody faces the camera. One begin and one end, however often the face is missed.

The detector is dlib's frontal one; it is handed in, so that the rest is tested without it.
"""

from collections.abc import Callable

import cv2
import dlib
import numpy as np

from vision.report import Present
from vision.scene import Grey
from vision.settings import PresenceSettings

WIDTH_PX = 480
"""Pictures are looked at in this width at most: faces from a sixth of it on are found."""
_CONFIRM_S = 2.5
"""A second look must confirm a first face within this time."""

FindFaces = Callable[[Grey], list[int]]
"""Gives the width in pixels of each face in a grey picture, ``(height, width)``."""


def dlib_faces() -> FindFaces:
    """Make the frontal face detector of dlib."""
    detector = dlib.get_frontal_face_detector()

    def find(picture: Grey) -> list[int]:
        return [face.width() for face in detector(picture, 0)]

    return find


class Presence:
    """Watches one camera's picture for a person."""

    def __init__(self, settings: PresenceSettings, find_faces: FindFaces) -> None:
        self._settings = settings
        self._find_faces = find_faces
        self._next_s = 0.0
        self._first_s: float | None = None
        self._last_s = 0.0
        self._most = 0
        self._largest_px = 0
        self.active = False

    def due(self, now: float, quiet_s: float) -> bool:
        """Whether to look now, ``quiet_s`` seconds after the last motion."""
        wanted = self.active or quiet_s <= self._settings.after_motion_s
        return wanted and now >= self._next_s

    def look(self, frame: np.ndarray, now: float) -> Present | None:
        """Look for faces in a frame, ``(height, width)`` or ``(height, width, 3)``."""
        self._next_s = now + 1 / self._settings.per_s
        scale = min(1.0, WIDTH_PX / frame.shape[1])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        widths = self._find_faces(np.asarray(grey, dtype=np.uint8))
        return self.update([round(width / scale) for width in widths], now)

    def update(self, widths_px: list[int], now: float) -> Present | None:
        """Take the widths of the faces that were found at ``now`` (seconds), in camera pixels."""
        if widths_px:
            return self._found(widths_px, now)
        return self.tick(now)

    def tick(self, now: float) -> Present | None:
        """End a presence whose face was not found for long."""
        if not self.active:
            if self._first_s is not None and now - self._first_s > _CONFIRM_S:
                self._first_s = None
            return None
        if now - self._last_s < self._settings.end_s or self._first_s is None:
            return None
        ended = Present(
            phase="end",
            duration_s=round(self._last_s - self._first_s, 3),
            faces=self._most,
            face_px=self._largest_px,
        )
        self.active, self._first_s = False, None
        return ended

    def _found(self, widths_px: list[int], now: float) -> Present | None:
        if self._first_s is None:
            self._first_s, self._most, self._largest_px = now, 0, 0
        self._last_s = now
        confirmed = self._most > 0
        self._most = max(self._most, len(widths_px))
        self._largest_px = max(self._largest_px, *widths_px)
        if self.active or not confirmed:
            return None
        self.active = True
        return Present(phase="begin", faces=len(widths_px), face_px=max(widths_px))
