"""A clock that tests move by hand."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

from contract import Stamp
from contract.stamp import TimeQuality

START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


class ManualClock:
    """Time stands still until :meth:`advance`; sleepers wake in the order of their due times."""

    def __init__(self, quality: TimeQuality = "synced", boot_id: str = "boot-1"):
        self.quality: TimeQuality = quality
        self.boot_id = boot_id
        self.wall_offset = timedelta()
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    def stamp(self) -> Stamp:
        return Stamp(
            time=START + timedelta(seconds=self._now) + self.wall_offset,
            monotonic_ms=int(self._now * 1000),
            boot_id=self.boot_id,
            time_quality=self.quality,
        )

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking every sleeper at its own moment and letting it run."""
        end = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not future.done():
                future.set_result(None)
            await self.settle()
        self._now = end
        await self.settle()

    @staticmethod
    async def settle(turns: int = 20) -> None:
        """Let everything that is ready run."""
        for _ in range(turns):
            await asyncio.sleep(0)
