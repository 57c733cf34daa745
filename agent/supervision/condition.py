"""A condition with hysteresis: it must last to count, and be gone for a while to be over."""

from dataclasses import dataclass
from typing import Literal

from contract import Stamp


def elapsed_s(since: Stamp, now: Stamp) -> float:
    """Seconds between two moments of this life of the agent, by the monotonic clock."""
    return (now.monotonic_ms - since.monotonic_ms) / 1000


@dataclass(slots=True)
class Condition:
    """One condition; told how it is at every look."""

    since: Stamp | None = None
    """From when it holds without a break."""
    gone: Stamp | None = None
    """From when what counts is not so any more."""
    active: bool = False
    """It has lasted long enough, and is not over."""

    def update(
        self, now: Stamp, *, holds: bool | None, after_s: float, clear_s: float
    ) -> Literal["begin", "end"] | None:
        """Take how it is now; ``None``: nobody knows.

        While nobody knows, nothing that counts ends, and nothing comes to count.
        """
        if holds is None:
            if not self.active:
                self.since = None
            return None
        if holds:
            self.gone = None
            self.since = self.since or now
            if self.active or elapsed_s(self.since, now) < after_s:
                return None
            self.active = True
            return "begin"
        if not self.active:
            self.since = None
            return None
        self.gone = self.gone or now
        return "end" if elapsed_s(self.gone, now) >= clear_s else None

    def end(self, now: Stamp) -> float:
        """End what counts; returns how many seconds it lasted."""
        since, until = self.since or now, self.gone or now
        self.since, self.gone, self.active = None, None, False
        return round(elapsed_s(since, until), 3)
