"""Conditions that must last before they count, and must be gone for a while before they end."""

from typing import Literal

Phase = Literal["begin", "end"]


class Hold:
    """Turns a flickering yes or no into one begin and one end."""

    def __init__(self, begin_s: float, end_s: float) -> None:
        self._begin_s = begin_s
        self._end_s = end_s
        self._since: float | None = None
        self._begun = 0.0
        self.active = False

    def update(self, now: float, *, on: bool) -> Phase | None:
        """Take what is seen at ``now`` (seconds); say whether that begins or ends it."""
        if on == self.active:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since < (self._end_s if self.active else self._begin_s):
            return None
        if not self.active:
            self._begun = self._since
        self._since = None
        self.active = not self.active
        return "begin" if self.active else "end"

    def lasted_s(self, now: float) -> float:
        """Seconds since the condition was first seen, of the active or just ended one."""
        return now - self._begun
