"""The machine's clock, for tests that talk to other processes."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from contract import Stamp


class RealClock:
    """Always synced; ``ahead`` of the others by so much."""

    def __init__(self, ahead: timedelta = timedelta()):
        self.ahead = ahead

    def stamp(self) -> Stamp:
        return Stamp(
            time=datetime.now(UTC) + self.ahead,
            monotonic_ms=int(time.monotonic() * 1000),
            boot_id="boot-1",
            time_quality="synced",
        )

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
