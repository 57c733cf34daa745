"""The reading of plates at one camera as the agent has it: a process, kept alive, and its word."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from contract import Clock, Stamp
from contract.health import PlateHealth
from vision.keeper import Keeper
from vision.plates.grammar import Verdict, judge
from vision.plates.plate import Reading
from vision.plates.report import Opened, PlateOrder, Report, Seen, parse_report
from vision.process import Child, ChildProcess, start

log = structlog.get_logger()

_MAX_WAITING = 64


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
        self._clock = clock
        self._tell = tell
        self._log = log.bind(camera=camera)
        self._keeper = Keeper(
            camera,
            "plates",
            clock=clock,
            start=lambda: start(order),
            parse=parse_report,
            take=self._take,
            jitter=jitter,
        )
        self._waiting: asyncio.Queue[Observation] = asyncio.Queue(_MAX_WAITING)
        self._opened: Opened | None = None
        self._opened_ms = 0
        self._dropped = 0
        self._told = Told()

    def health(self) -> PlateHealth:
        """Say how the reading is now."""
        kept, told = self._keeper, self._told
        return PlateHealth(
            state=kept.state,
            text=kept.failure,
            looks=kept.looks,
            look_ms=kept.look_ms,
            read=told.read,
            unreadable=told.unreadable,
            suppressed=told.suppressed,
            hits=told.hits,
            dropped=self._dropped,
            restarts=kept.restarts,
            rss_bytes=kept.rss_bytes,
        )

    async def run(self) -> None:
        """Read until cancelled; the process is gone when this returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hand_on(), name=f"{self._camera} passages")
            await self._keeper.run()

    def _take(self, report: Report) -> None:
        match report:
            case Opened():
                self._opened, self._opened_ms = report, self._clock.stamp().monotonic_ms
            case Seen() if self._opened:
                self._observe(report, self._opened)

    def _observe(self, seen: Seen, opened: Opened) -> None:
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
            detector=opened.detector,
            reader=opened.reader,
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
