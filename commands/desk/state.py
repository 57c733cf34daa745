"""What of the desk outlives the agent: lock, maintenance and open sessions, in one small file."""

from typing import Protocol, Self

from pydantic import Field

from contract import Stamp
from contract.actions import DAY_S, ScreenText
from contract.business import Mode
from contract.ids import MessageId
from contract.wire import Name, Text, WireModel

MAX_STATE_BYTES = 64 * 1024


class Store(Protocol):
    """A place for a few bytes that survives a power cut. Both calls block; both raise OSError."""

    def load(self) -> bytes | None:
        """Return what was saved last, ``None`` where nothing ever was."""
        ...

    def save(self, content: bytes) -> None:
        """Replace it whole or not at all, durable when this returns."""
        ...


def age_s(since: Stamp, now: Stamp) -> float | None:
    """Seconds between two moments; ``None`` where no clock can tell.

    Within one boot the monotonic clock tells; over a reboot only a wall clock that was right
    both times.
    """
    if since.boot_id == now.boot_id and now.monotonic_ms >= since.monotonic_ms:
        return (now.monotonic_ms - since.monotonic_ms) / 1000
    if since.time_quality == now.time_quality == "synced" and now.time >= since.time:
        return (now.time - since.time).total_seconds()
    return None


class Lease(WireModel):
    """For how long something holds."""

    granted: Stamp
    for_s: float | None = Field(gt=0, le=30 * DAY_S, description="None: until somebody ends it.")
    recounted: Stamp | None = None
    """From when it counts in full again, because no clock could tell how much was over."""

    def left_s(self, now: Stamp) -> float | None:
        """Seconds that are left, 0 where it is over; ``None``: it does not end by itself."""
        if self.for_s is None:
            return None
        for since in (self.granted, self.recounted):
            if since is not None and (age := age_s(since, now)) is not None:
                return max(0.0, self.for_s - age)
        return self.for_s

    def taken_up(self, now: Stamp) -> Self:
        """The lease after a restart: counted in full again where no clock can tell its age."""
        if any(since and age_s(since, now) is not None for since in (self.granted, self.recounted)):
            return self
        return self.model_copy(update={"recounted": now})

    def may_shorten(self, now: Stamp) -> bool:
        """Whether it turns out shorter as soon as this boot's wall clock is right."""
        return (
            self.for_s is not None
            and self.granted.boot_id != now.boot_id
            and self.granted.time_quality == "synced"
            and now.time_quality != "synced"
        )


class Lock(WireModel):
    """Screen and business are closed."""

    text: ScreenText
    command_id: MessageId | None = None
    lease: Lease


class Maintenance(WireModel):
    """Somebody works on the kiosk."""

    text: ScreenText
    by: Text
    begun: Stamp
    lease: Lease


class Session(WireModel):
    """A citizen is being served."""

    id: MessageId
    business: Name
    mode: Mode
    begun: Stamp


class DeskState(WireModel):
    """The whole file."""

    lock: Lock | None = None
    maintenance: Maintenance | None = None
    sessions: tuple[Session, ...] = Field(default=(), max_length=64)
