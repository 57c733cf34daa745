"""How much the agent says in its log, for a time."""

import asyncio
from collections.abc import Callable
from typing import Literal

import structlog

from contract import Clock

Level = Literal["debug", "info", "warning", "error"]

log = structlog.get_logger()


class LogLevel:
    """Changes the level, and goes back to the settings' one by itself while :meth:`run` runs.

    Args:
        set_level: puts a level in force at once.
        usual: the settings' level.
        clock: the time of going back.
    """

    def __init__(
        self, *, set_level: Callable[[Level], None], usual: Callable[[], Level], clock: Clock
    ) -> None:
        self._set_level = set_level
        self._usual = usual
        self._clock = clock
        self._changed = asyncio.Event()
        self._end_s: float | None = None

    def change(self, level: Level, for_s: int | None) -> None:
        """Put a level in force, for so long or until the next change or start."""
        self._end_s = None if for_s is None else self._clock.monotonic() + for_s
        self._set_level(level)
        self._changed.set()
        log.info("log level", level=level, for_s=for_s)

    async def run(self) -> None:
        """End what has its time, until cancelled."""
        while True:
            self._changed.clear()
            if self._end_s is None:
                await self._changed.wait()
            elif (left := self._end_s - self._clock.monotonic()) > 0:
                await self._wait(left)
            else:
                self.change(self._usual(), None)

    async def _wait(self, seconds: float) -> None:
        """Wait for the end or the next change."""
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((pause, change), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            change.cancel()
