"""The reading of plates is kept alive, and what its process reports is handed on."""

import asyncio
import contextlib
import errno
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.children import FakeChild
from tests.support.clock import START, ManualClock
from tests.support.observations import TEXT, characters
from vision.life import Beat, Failed
from vision.plates.plate import Reading
from vision.plates.report import Opened, PlateOrder, Seen
from vision.plates.settings import CameraPlateSettings, PlateSettings
from vision.plates.watcher import PlateWatch, Told

ORDER = PlateOrder(
    frames=Path("/frames"), settings=CameraPlateSettings(enabled=True), plates=PlateSettings()
)
OPENED = Opened(detector="plates-1", reader="characters-1")


def seen(number=1, *, begin_ms=0, end_ms=0, final=True):
    return Seen(
        number=number,
        begin_ms=begin_ms,
        end_ms=end_ms,
        final=final,
        reading=Reading(characters(at4=("3", 0.6, {"8": 0.3})), "blue", 0.9, 2),
        doubtful=(4,),
        width_px=120,
        views=3,
    )


class Stage:
    """A watch with a clock, processes and a listener in the test's hand."""

    def __init__(self):
        self.clock = ManualClock()
        self.started = []
        self.heard = []
        self.cannot_start = False
        self.broken = False
        self.listening = asyncio.Event()
        self.listening.set()
        self.watch = PlateWatch(
            "street",
            ORDER,
            clock=self.clock,
            tell=self._tell,
            start=self._start,
            jitter=lambda: 1.0,
        )

    async def _tell(self, observation):
        await self.listening.wait()
        if self.broken:
            raise ValueError(observation.reading.text)
        self.heard.append(observation)
        return Told(read=1)

    async def _start(self, order):
        assert order == ORDER
        if self.cannot_start:
            raise OSError(errno.EAGAIN, "out of processes")
        self.started.append(FakeChild())
        return self.started[-1]

    async def say(self, *reports):
        self.started[-1].say(*reports)
        await self.clock.settle()

    async def die(self):
        self.started[-1].die()
        await self.clock.settle()

    async def seconds_to_next_start(self):
        count, before = len(self.started), self.clock.monotonic()
        while len(self.started) == count:
            await self.clock.advance(0.5)
        return self.clock.monotonic() - before


@pytest.fixture
async def stage():
    stage = Stage()
    task = asyncio.create_task(stage.watch.run())
    await stage.clock.settle()
    yield stage
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_what_is_seen_is_handed_on(stage):
    """A report becomes an observation: grammar, times as stamps, models, and one id a passage."""
    await stage.clock.advance(60)
    await stage.say(
        OPENED,
        seen(7, begin_ms=50_000, end_ms=58_000, final=False),
        seen(7, begin_ms=50_000, end_ms=59_500),
        seen(8, begin_ms=50_000, end_ms=59_500),
    )
    early, final, other = stage.heard
    assert early.id == final.id != other.id
    assert (early.final, final.final) == (False, True)
    assert final.begin.time == START + timedelta(seconds=50)
    assert final.end.time == START + timedelta(seconds=59.5)
    assert (final.begin.monotonic_ms, final.end.monotonic_ms) == (50_000, 59_500)
    assert (final.reading.text, final.verdict.kind, final.readable) == (TEXT, "civil", False)
    assert final.reading.characters[4].alternatives == (("8", 0.3),)
    assert (final.detector, final.reader) == ("plates-1", "characters-1")


async def test_health(stage):
    """Health says what the process does, and counts over its deaths."""
    assert stage.watch.health().state == "starting"
    await stage.say(OPENED, Beat(looks=10, look_ms=41.5, rss_bytes=1000), seen())
    health = stage.watch.health()
    assert (health.state, health.looks, health.look_ms) == ("watching", 10, 41.5)
    assert (health.read, health.rss_bytes, health.restarts) == (1, 1000, 0)
    await stage.die()
    health = stage.watch.health()
    assert (health.state, health.looks, health.rss_bytes) == ("failed", 10, None)
    assert health.text == "the process ended with status 1; libgomp: no memory"
    await stage.clock.advance(1)
    await stage.say(OPENED, Beat(looks=5, rss_bytes=1000))
    health = stage.watch.health()
    assert (health.state, health.text) == ("watching", "")
    assert (health.looks, health.restarts) == (15, 1)


async def test_tries_come_ever_more_rarely(stage):
    """After each failure the wait doubles, up to five minutes; a steady time starts it anew."""
    waits = []
    for _ in range(10):
        await stage.die()
        waits.append(await stage.seconds_to_next_start())
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    await stage.say(OPENED)
    for _ in range(5):
        await stage.clock.advance(20)
        await stage.say(Beat(looks=0, rss_bytes=1))
    await stage.die()
    assert await stage.seconds_to_next_start() == 1


async def test_a_fault_of_the_models_is_tried_slowly(stage):
    """What only a person can mend is told in health, and tried every five minutes."""
    await stage.say(Failed(reason="model", text="no model for the task plate-reader is listed"))
    health = stage.watch.health()
    assert (health.state, health.text) == (
        "failed",
        "no model for the task plate-reader is listed",
    )
    assert await stage.seconds_to_next_start() == 300


async def test_a_silent_process_is_killed(stage):
    """Once the models are loaded, 30 s without a sign of life are too long; before, two minutes."""
    await stage.clock.advance(119)
    assert stage.started[0].killed is None
    await stage.say(OPENED)
    await stage.clock.advance(29)
    await stage.say(Beat(looks=1, rss_bytes=1))
    await stage.clock.advance(29)
    assert stage.started[0].killed is None
    await stage.clock.advance(2)
    assert stage.started[0].killed is True
    assert "no sign of life" in stage.watch.health().text


async def test_a_machine_that_starts_nothing_is_asked_again():
    """Where no process can be started, that is a failure like others."""
    stage = Stage()
    stage.cannot_start = True
    task = asyncio.create_task(stage.watch.run())
    await stage.clock.settle()
    assert "no process" in stage.watch.health().text
    stage.cannot_start = False
    await stage.clock.advance(1)
    assert len(stage.started) == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"nonsense\n", b'{"kind":"seen"}\n', b'{"kind":"bye"}\n', b"\xff\n"]
)
async def test_nonsense_is_passed_over(stage, line):
    """A line that is no report changes nothing."""
    await stage.say(OPENED)
    stage.started[-1].line(line)
    await stage.say(seen())
    assert len(stage.heard) == 1
    assert len(stage.started) == 1


async def test_a_slow_listener_loses_the_newest(stage):
    """What waits is bounded; what there is no room for is counted."""
    stage.listening.clear()
    await stage.say(OPENED, *(seen(number) for number in range(100)))
    await stage.clock.settle(200)
    dropped = stage.watch.health().dropped
    assert dropped in {35, 36}
    stage.listening.set()
    await stage.clock.settle(200)
    assert len(stage.heard) == 100 - dropped


async def test_stopping_ends_the_process():
    """When the watch is cancelled its process has ended."""
    stage = Stage()
    task = asyncio.create_task(stage.watch.run())
    await stage.clock.settle()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert stage.started[0].killed is False


async def test_a_vehicle_that_cannot_be_told_of_ends_nothing():
    """What fails for one vehicle is counted, without its plate in any log; the next one is told."""
    stage = Stage()
    stage.broken = True
    task = asyncio.create_task(stage.watch.run())
    await stage.clock.settle()
    with capture_logs() as logs:
        await stage.say(OPENED, seen(1))
    stage.broken = False
    await stage.say(seen(2))
    assert (len(stage.heard), len(stage.started)) == (1, 1)
    assert (stage.watch.health().dropped, stage.watch.health().read) == (1, 1)
    assert TEXT not in str(logs)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_passage_keeps_its_id_and_shares_it_with_none(stage):
    """Not even when its beginning is told anew; the next process counts from 1 again."""
    await stage.say(OPENED, seen(1, begin_ms=1000), seen(1, begin_ms=5000))
    await stage.die()
    await stage.clock.advance(1)
    await stage.say(OPENED, seen(1, begin_ms=1000))
    first, same, other = (one.id for one in stage.heard)
    assert first == same != other
