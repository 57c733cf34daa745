"""The reading of plates at one camera as the agent has it: a process, kept alive, and its word."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

import structlog

from contract import Clock, Stamp
from contract.health import PlateHealth
from vision.plates.grammar import Verdict, judge
from vision.plates.plate import Reading
from vision.plates.report import Beat, Failed, Opened, PlateOrder, Seen, parse_report
from vision.process import Child, ChildProcess, start

log = structlog.get_logger()

_FIRST_DELAY_S = 1.0
_LAST_DELAY_S = 300.0
"""Also after a fault of the models: only a person mends that."""
_STEADY_S = 60.0
"""At work for so long: the next failure is a new one."""
_START_S = 120.0
"""To load the models; torch takes its time."""
_HANG_S = 30.0
_MAX_WAITING = 64
_TEXT_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Observation:
    """A vehicle that passes a camera."""

    camera: str
    id: str
    """The same for all that is said of one passage, and of no other while the agent lives."""
    begin: Stamp
    end: Stamp
    final: bool
    """Whether this is the report of the passage; early words come before it."""
    reading: Reading
    doubtful: tuple[int, ...]
    """Places of the characters that are not sure; the place after the last one stands for the
    number of characters."""
    verdict: Verdict
    width_px: int
    views: int
    detector: str
    reader: str

    @property
    def readable(self) -> bool:
        """Whether its text may be told."""
        return bool(self.reading.characters) and not self.doubtful


@dataclass(frozen=True, slots=True)
class Told:
    """What was made of what was said of a passage; each a count."""

    read: int = 0
    unreadable: int = 0
    suppressed: int = 0
    hits: int = 0

    def __add__(self, other: "Told") -> "Told":
        return Told(
            self.read + other.read,
            self.unreadable + other.unreadable,
            self.suppressed + other.suppressed,
            self.hits + other.hits,
        )


Tell = Callable[[Observation], Awaitable[Told]]
StartWatch = Callable[[PlateOrder], Awaitable[Child]]


async def start_watch(order: PlateOrder) -> Child:
    """Start a plate process.

    Raises:
        OSError: the machine cannot start another process.
    """
    return await start(ChildProcess, "vision.plates.watch", order)


class PlateWatch:
    """Reads the plates before one camera: hands on what is seen, restarts what fails.

    Args:
        camera: the camera's name.
        order: what its process is told.
        clock: the time of pauses and stamps.
        tell: takes each passage, one after the other; up to 64 wait for it.
        start: starts the process.
        jitter: gives a number from 0 to 1.
    """

    def __init__(
        self,
        camera: str,
        order: PlateOrder,
        *,
        clock: Clock,
        tell: Tell,
        start: StartWatch = start_watch,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._camera = camera
        self._order = order
        self._clock = clock
        self._tell = tell
        self._start = start
        self._jitter = jitter
        self._log = log.bind(camera=camera)
        self._waiting: asyncio.Queue[Observation] = asyncio.Queue(_MAX_WAITING)
        self._state: Literal["starting", "watching", "failed"] = "starting"
        self._failure = ""
        self._opened: Opened | None = None
        self._opened_ms = 0
        self._beat: Beat | None = None
        self._progress_s = 0.0
        self._looks = 0
        self._dropped = 0
        self._restarts = 0
        self._told = Told()

    def health(self) -> PlateHealth:
        """Say how the reading is now."""
        beat, told = self._beat, self._told
        return PlateHealth(
            state=self._state,
            text=self._failure,
            looks=self._looks + (beat.looks if beat else 0),
            look_ms=beat.look_ms if beat else None,
            read=told.read,
            unreadable=told.unreadable,
            suppressed=told.suppressed,
            hits=told.hits,
            dropped=self._dropped,
            restarts=self._restarts,
            rss_bytes=beat.rss_bytes if beat else None,
        )

    async def run(self) -> None:
        """Read until cancelled; the process is gone when this returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hand_on(), name=f"{self._camera} passages")
            await self._keep()

    async def _keep(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            begun = self._clock.monotonic()
            failure = await self._watch()
            text = failure.text[:_TEXT_LIMIT]
            if text != self._failure:
                self._log.warning("plates not read", reason=failure.reason, text=text)
            self._state, self._failure = "failed", text
            if self._clock.monotonic() - begun >= _STEADY_S:
                delay = _FIRST_DELAY_S
            if failure.reason == "model":
                delay = _LAST_DELAY_S
            await self._clock.sleep(delay * (0.5 + self._jitter() / 2))
            delay = min(2 * delay, _LAST_DELAY_S)
            self._restarts += 1

    async def _watch(self) -> Failed:
        """Live with one process until it fails."""
        self._opened = self._beat = None
        self._progress_s = self._clock.monotonic()
        try:
            child = await self._start(self._order)
        except OSError as error:
            return Failed(reason="crashed", text=f"no process: {error}")
        reader = asyncio.create_task(self._read(child), name=f"{self._camera} plate reports")
        watchdog = asyncio.create_task(self._await_hang(), name=f"{self._camera} plate watchdog")
        hung, failure = False, None
        try:
            done, _ = await asyncio.wait({reader, watchdog}, return_when=asyncio.FIRST_COMPLETED)
            hung = reader not in done
            failure = (watchdog if hung else reader).result()
        finally:
            reader.cancel()
            watchdog.cancel()
            status = await asyncio.shield(asyncio.create_task(child.close(kill=hung)))
            self._looks += self._beat.looks if self._beat else 0
            self._beat = None
        return failure or Failed(
            reason="crashed",
            text=f"the process ended with status {status}; {child.last_words}"[:1024],
        )

    async def _read(self, child: Child) -> Failed | None:
        while (line := await child.read()) is not None:
            try:
                report = parse_report(line)
            except ValueError:
                self._log.warning("plate report unreadable", size=len(line))
                continue
            self._progress_s = self._clock.monotonic()
            match report:
                case Failed():
                    return report
                case Opened():
                    self._opened, self._opened_ms = report, self._clock.stamp().monotonic_ms
                    self._state, self._failure = "watching", ""
                    self._log.info("plates are read", detector=report.detector)
                case Beat():
                    self._beat = report
                case Seen():
                    self._take(report)
        return None

    async def _await_hang(self) -> Failed:
        while True:
            limit = _HANG_S if self._opened else _START_S
            age = self._clock.monotonic() - self._progress_s
            if age >= limit:
                text = f"no sign of life for {age:.0f} s; the process was killed"
                return Failed(reason="crashed", text=text)
            await self._clock.sleep(min(limit - age, _HANG_S))

    def _take(self, seen: Seen) -> None:
        if self._opened is None:
            return
        now = self._clock.stamp()
        reading = seen.reading
        observation = Observation(
            camera=self._camera,
            id=f"{self._camera} {self._opened_ms} {seen.number}",
            begin=_at(seen.begin_ms, now),
            end=_at(seen.end_ms, now),
            final=seen.final,
            reading=reading,
            doubtful=seen.doubtful,
            verdict=judge(reading.text, reading.colour, reading.rows),
            width_px=seen.width_px,
            views=seen.views,
            detector=self._opened.detector,
            reader=self._opened.reader,
        )
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(observation)
            return
        self._dropped += 1
        self._log.error("plate dropped: storage too slow", dropped=self._dropped)

    async def _hand_on(self) -> None:
        while True:
            observation = await self._waiting.get()
            try:
                self._told += await self._tell(observation)
            except Exception as error:  # noqa: BLE001 - one vehicle must not end the watch
                self._dropped += 1
                # What it says may quote the plate.
                kind = type(error).__name__
                self._log.error("plate dropped", error=kind, dropped=self._dropped)


def _at(monotonic_ms: int, now: Stamp) -> Stamp:
    """Return an earlier moment of this boot."""
    earlier = timedelta(milliseconds=now.monotonic_ms - monotonic_ms)
    return replace(now, time=now.time - earlier, monotonic_ms=monotonic_ms)
