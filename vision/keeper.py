"""Keeps a process alive that looks at one camera's frames: restarts it ever more rarely."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

import structlog

from contract import Clock
from vision.life import Beat, Failed, Opened
from vision.process import Child

log = structlog.get_logger()

_FIRST_DELAY_S = 1.0
_LAST_DELAY_S = 300.0
"""Also after a fault of the models: only a person mends that."""
_STEADY_S = 60.0
"""At work for so long: the next failure is a new one."""
_START_S = 120.0
"""To load the models; torch takes its time."""
_HANG_S = 30.0
_TEXT_LIMIT = 200

C = TypeVar("C", bound=Child)
R = TypeVar("R")


class Keeper(Generic[C, R]):
    """Starts a process again and again, kills it where it hangs, and hands on what it says.

    Args:
        camera: the camera's name.
        work: what the process does, for the log.
        clock: the time of pauses.
        start: starts the process. Raises ``OSError``: the machine cannot start another one.
        parse: reads a line of it. Raises ``ValueError``: it is no report.
        take: takes each report.
        gone: told whenever a process is gone.
        jitter: gives a number from 0 to 1.
    """

    def __init__(
        self,
        camera: str,
        work: str,
        *,
        clock: Clock,
        start: Callable[[], Awaitable[C]],
        parse: Callable[[bytes], R],
        take: Callable[[R], None],
        gone: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._name = f"{camera} {work}"
        self._clock = clock
        self._start = start
        self._parse = parse
        self._take = take
        self._gone = gone
        self._jitter = jitter
        self._log = log.bind(camera=camera, work=work)
        self._beat: Beat | None = None
        self._progress_s = 0.0
        self._past_looks = 0
        self.child: C | None = None
        """The process, once its models are loaded."""
        self.state: Literal["starting", "watching", "failed"] = "starting"
        self.failure = ""
        """Why it failed."""
        self.restarts = 0

    @property
    def looks(self) -> int:
        """Frames looked at, by all its processes."""
        return self._past_looks + (self._beat.looks if self._beat else 0)

    @property
    def look_ms(self) -> float | None:
        """Of the newest look."""
        return self._beat.look_ms if self._beat else None

    @property
    def rss_bytes(self) -> int | None:
        """Memory of the process."""
        return self._beat.rss_bytes if self._beat else None

    async def run(self) -> None:
        """Keep it alive until cancelled; the process is gone when this returns."""
        delay = _FIRST_DELAY_S
        while True:
            begun = self._clock.monotonic()
            failure = await self._live()
            text = failure.text[:_TEXT_LIMIT]
            if text != self.failure:
                self._log.warning("process failed", reason=failure.reason, text=text)
            self.state, self.failure = "failed", text
            if self._clock.monotonic() - begun >= _STEADY_S:
                delay = _FIRST_DELAY_S
            if failure.reason == "model":
                delay = _LAST_DELAY_S
            await self._clock.sleep(delay * (0.5 + self._jitter() / 2))
            delay = min(2 * delay, _LAST_DELAY_S)
            self.restarts += 1

    async def _live(self) -> Failed:
        """Live with one process until it fails."""
        self._progress_s = self._clock.monotonic()
        try:
            child = await self._start()
        except OSError as error:
            return Failed(reason="crashed", text=f"no process: {error}")
        reader = asyncio.create_task(self._read(child), name=f"{self._name} reports")
        watchdog = asyncio.create_task(self._await_hang(), name=f"{self._name} watchdog")
        hung, failure = False, None
        try:
            done, _ = await asyncio.wait({reader, watchdog}, return_when=asyncio.FIRST_COMPLETED)
            hung = reader not in done
            failure = (watchdog if hung else reader).result()
        finally:
            reader.cancel()
            watchdog.cancel()
            self.child = None
            self._past_looks, self._beat = self.looks, None
            self._gone()
            status = await asyncio.shield(asyncio.create_task(child.close(kill=hung)))
        return failure or Failed(
            reason="crashed",
            text=f"the process ended with status {status}; {child.last_words}"[:1024],
        )

    async def _read(self, child: C) -> Failed | None:
        while (line := await child.read()) is not None:
            try:
                report = self._parse(line)
            except ValueError:
                self._log.warning("report unreadable", size=len(line))
                continue
            self._progress_s = self._clock.monotonic()
            match report:
                case Failed():
                    return report
                case Opened():
                    self.child = child
                    self.state, self.failure = "watching", ""
                    self._log.info("process at work", detector=report.detector)
                case Beat():
                    self._beat = report
            self._take(report)
        return None

    async def _await_hang(self) -> Failed:
        while True:
            limit = _HANG_S if self.child else _START_S
            age = self._clock.monotonic() - self._progress_s
            if age >= limit:
                text = f"no sign of life for {age:.0f} s; the process was killed"
                return Failed(reason="crashed", text=text)
            await self._clock.sleep(min(limit - age, _HANG_S))
