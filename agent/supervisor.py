"""Keeps long-lived tasks alive: what fails or ends is started again after a growing pause."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import structlog

from contract import Clock
from telemetry.backoff import Backoff

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 60.0
STABLE_S = 300.0
"""A task that ran this long failed for a new reason: its next pause is short again."""

log = structlog.get_logger()


class Supervisor:
    """Runs tasks by name until cancelled.

    Args:
        clock: the time of pauses.
        jitter: gives a number from 0 to 1.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._running: set[str] = set()
        self.restarts: dict[str, int] = {}
        self.errors: dict[str, str] = {}
        """The last error of each task that ever failed."""

    @property
    def total_restarts(self) -> int:
        """Restarts of all tasks."""
        return sum(self.restarts.values())

    def is_running(self, name: str) -> bool:
        """Whether the task is running at this moment, not waiting to be started again."""
        return name in self._running

    async def run(self, tasks: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Run them all; returns only by cancellation, when all of them have ended."""
        async with asyncio.TaskGroup() as group:
            for name, start in tasks.items():
                group.create_task(self._keep(name, start), name=name)

    async def _keep(self, name: str, start: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LAST_PAUSE_S, self._jitter)
        while True:
            began = self._clock.monotonic()
            self._running.add(name)
            try:
                await start()
            except (Exception, asyncio.CancelledError) as error:
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and (
                    task is None or task.cancelling()
                ):
                    raise  # we are told to end; else something that it waited for was cancelled
                self.errors[name] = f"{type(error).__name__}: {error}"[:500]
                log.exception("task failed", task=name)
            else:
                log.error("task ended by itself", task=name)
            finally:
                self._running.discard(name)
            if self._clock.monotonic() - began >= STABLE_S:
                backoff.reset()
            self.restarts[name] = self.restarts.get(name, 0) + 1
            await self._clock.sleep(backoff.next_s())
