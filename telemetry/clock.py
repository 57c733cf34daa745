"""The machine's own clock, and how far it may be believed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from contract.stamp import Stamp
from telemetry.timesync import UNKNOWN, TimeStatus, time_status

_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before the year of this software is wrong, whatever anyone says."""

_log = structlog.get_logger()


class SystemClock:
    """Implements :class:`contract.stamp.Clock`; unsynced until :func:`watch_time_quality` knows.

    The constructor reads one small file: make it before the event loop runs.
    """

    def __init__(
        self, *, proc: Path = Path("/proc"), now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        try:
            boot_id = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            boot_id = "unknown"
        self._boot_id = boot_id
        self._now = now
        self._status = UNKNOWN

    @property
    def status(self) -> TimeStatus:
        """What the last look at the time source gave."""
        if self._status.quality == "synced" and self._now() < _BUILT:
            return UNKNOWN
        return self._status

    def set_status(self, status: TimeStatus) -> None:
        """Take over what the time source says."""
        self._status = status

    def stamp(self) -> Stamp:
        """Return this moment."""
        now = self._now()
        return Stamp(
            time=now,
            monotonic_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            boot_id=self._boot_id,
            time_quality="unsynced" if now < _BUILT else self._status.quality,
        )

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean something."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the monotonic clock."""
        await asyncio.sleep(seconds)


async def watch_time_quality(
    clock: SystemClock,
    *,
    probe: Callable[[], Awaitable[TimeStatus]] = time_status,
    every_s: float = 10.0,
) -> None:
    """Keep ``clock.status`` up to date until cancelled."""
    while True:
        before = clock.status.quality
        clock.set_status(await probe())
        status = clock.status
        if status.quality != before:
            _log.info("time_quality", quality=status.quality, error_ms=status.error_ms)
        await clock.sleep(every_s)
