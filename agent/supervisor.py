"""Keeps long-lived tasks alive: what fails or ends is started again after a growing pause."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import cast

import structlog

from contract import Clock
from telemetry.backoff import Backoff

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 60.0
STABLE_S = 300.0
"""A task that ran this long failed for a new reason: its next pause is short again."""

log = structlog.get_logger()


Start = Callable[[], Awaitable[None]]


class Supervisor:
    """Runs tasks by name; they may come and go while it runs.

    Args:
        clock: the time of pauses.
        jitter: gives a number from 0 to 1.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._running: set[str] = set()
        self._wanted: dict[str, Start] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
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

    def start(self, name: str, start: Start) -> None:
        """Keep one more task alive; before :meth:`run` it waits for that.

        Raises:
            ValueError: there is one of this name.
        """
        if name in self._wanted:
            msg = f"there is a task {name} already"
            raise ValueError(msg)
        self._wanted[name] = start
        if self._group is not None:
            self._begin(self._group, name)

    async def stop(self, name: str) -> None:
        """End a task and forget it; it has ended when this returns. Unknown names are fine."""
        self._wanted.pop(name, None)
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def stop_all(self, *, but: str) -> None:
        """End and forget all tasks except one, at the same time."""
        await asyncio.gather(*(self.stop(name) for name in tuple(self._wanted) if name != but))

    async def run(self) -> None:
        """Keep them all alive; returns only by cancellation, when all of them have ended."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for name in self._wanted:
                    self._begin(group, name)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def _begin(self, group: asyncio.TaskGroup, name: str) -> None:
        task = group.create_task(self._keep(name, self._wanted[name]), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._forget(name, task))

    def _forget(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    async def _keep(self, name: str, start: Start) -> None:
        me = cast("asyncio.Task[None]", asyncio.current_task())
        backoff = Backoff(FIRST_PAUSE_S, LAST_PAUSE_S, self._jitter)
        while True:
            began = self._clock.monotonic()
            self._running.add(name)
            try:
                await start()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and me.cancelling():
                    raise  # we are told to end; else something that it waited for was cancelled
                self.errors[name] = f"{type(error).__name__}: {error}"[:500]
                log.exception("task failed", task=name)
            else:
                log.error("task ended by itself", task=name)
            finally:
                self._running.discard(name)
            if me.cancelling():
                return  # told to end, and it ended as if by itself
            if self._clock.monotonic() - began >= STABLE_S:
                backoff.reset()
            self.restarts[name] = self.restarts.get(name, 0) + 1
            await self._clock.sleep(backoff.next_s())
