"""When something happened, and how far that time may be believed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

TimeQuality = Literal["synced", "unsynced"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment as a kiosk saw it."""

    time: datetime
    """Wall clock, UTC."""
    monotonic_ms: int
    """Milliseconds since boot, suspend included: orders events while the wall clock is wrong."""
    boot_id: str
    """The kernel's boot id (/proc/sys/kernel/random/boot_id)."""
    time_quality: TimeQuality


class Clock(Protocol):
    """The time that the agent lives by; tests pass one that they move by hand."""

    def stamp(self) -> Stamp:
        """Return this moment."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on the monotonic clock."""
        ...
