"""Which frames are looked at for plates, and the process that does it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.support.plates import plate, reading
from tests.support.real_clock import RealClock
from vision.frames import FrameWriter
from vision.models.manifest import load_manifest
from vision.plates.passage import PassageRules
from vision.plates.report import Opened, PlateOrder, parse_report
from vision.plates.settings import CameraPlateSettings, PlateSettings
from vision.plates.watch import Follower
from vision.plates.watcher import PlateWatch, Told, start_watch
from vision.process import ChildProcess, start

SOON_S = 30
TEXT = "蒙BK2345"


def empty(shade=60):
    """A still street with the noise of a sensor."""
    random = np.random.default_rng(shade)
    return random.integers(shade - 2, shade + 3, (180, 320, 3), dtype=np.uint8)


class Street:
    """A follower that is shown a street, four frames a second; the test drives the cars."""

    def __init__(self):
        self.plates = []
        self.moving = False
        self.now = 1000.0
        self.seen = []
        self.rules = PassageRules()
        self.follower = Follower(self, self.rules)

    def find(self, picture):
        """Stands for the recogniser."""
        return self.plates

    def pass_(self, seconds, *, frames=True):
        """Let time go by; returns the number of looks."""
        before = self.follower.looks
        for step in range(int(seconds * 4)):
            self.now += 0.25
            picture = empty()
            if self.moving:
                picture[40:120, (8 * step) % 240 : (8 * step) % 240 + 80] = 220
            show = self.follower.take(picture, self.now) if frames else self.follower.miss(self.now)
            self.seen += show
        return self.follower.looks - before

    @property
    def told(self):
        return [(one.reading.text, one.final) for one in self.seen]


@pytest.fixture
def street():
    return Street()


def test_an_empty_street_costs_nothing(street):
    """After a first look around, frames in which nothing moves are not looked at."""
    assert street.pass_(10) <= 10
    assert street.pass_(600) == 0


def test_a_car_is_told_early_and_at_its_end(street):
    """While a car is there every frame is looked at; it is told when sure, and once when gone."""
    street.pass_(10)
    street.moving, street.plates = True, [plate(reading(TEXT), 160, 90)]
    began = street.now
    assert street.pass_(3) >= 10
    assert street.told == [(TEXT, False)]
    street.moving, street.plates = False, []
    street.pass_(10)
    assert street.told == [(TEXT, False), (TEXT, True)]
    early, final = street.seen
    assert early.number == final.number
    assert began <= final.begin_ms / 1000 <= began + 1
    assert final.begin_ms + 2000 <= final.end_ms <= (began + 3) * 1000
    assert street.pass_(60) == 0


def test_a_parked_car_costs_nothing_and_is_told_once(street):
    """A car that stays is reported while it stands, then rests with the street, and stays one."""
    street.moving, street.plates = True, [plate(reading(TEXT), 160, 90)]
    street.pass_(3)
    street.moving = False
    street.pass_(40)
    assert street.told == [(TEXT, False), (TEXT, True)]
    assert street.pass_(3600) == 0
    street.moving = True
    street.pass_(4)
    street.moving, street.plates = False, []
    street.pass_(60)
    assert street.told == [(TEXT, False), (TEXT, True)]


def test_times_are_right_after_a_rest(street):
    """What comes after a long rest has the times of its frames."""
    street.moving, street.plates = True, [plate(reading(TEXT), 160, 90)]
    street.pass_(3)
    street.moving = False
    street.pass_(3600)
    street.moving, street.plates = True, [plate(reading("京A12345"), 60, 40, 60)]
    began = street.now
    street.pass_(4)
    street.moving, street.plates = False, []
    street.pass_(20)
    [final] = [one for one in street.seen if one.final and one.reading.text == "京A12345"]
    assert began <= final.begin_ms / 1000 <= began + 2
    assert final.end_ms / 1000 <= began + 4


def test_a_camera_that_is_lost_ends_the_passage(street):
    """A car that was before a camera when its frames ended is reported, too."""
    street.moving, street.plates = True, [plate(reading(TEXT), 160, 90)]
    street.pass_(3)
    street.pass_(10, frames=False)
    assert street.told[-1] == (TEXT, True)
    street.plates = []
    street.pass_(3)
    assert street.told.count((TEXT, True)) == 1


class Process:
    """A real plate process with made-up networks, and frames that the test writes."""

    def __init__(self, **plates):
        self.fd = os.memfd_create("frames")
        self.writer = FrameWriter(self.fd)
        self.order = PlateOrder(
            frames=Path(f"/proc/{os.getpid()}/fd/{self.fd}"),
            settings=CameraPlateSettings(enabled=True, per_s=20),
            plates=PlateSettings(**plates),
        )
        self.child = None
        self.observations = []

    def show(self, shade, *, height=180):
        self.writer.slot(height, height * 16 // 9)[:] = shade
        self.writer.commit()

    async def start(self, order):
        self.child = await start(ChildProcess, "tests.support.plate_process", order)
        return self.child

    async def tell(self, observation):
        self.observations.append(observation)
        return Told(read=1)


@pytest.fixture
def process():
    made = Process()
    yield made
    os.close(made.fd)


async def test_a_car_passes_a_real_process(process):
    """Frames in shared memory become an early word and a report, with models and times."""
    watch = PlateWatch(
        "street", process.order, clock=RealClock(), tell=process.tell, start=process.start
    )
    task = asyncio.create_task(watch.run())
    began = time.monotonic()
    async with asyncio.timeout(SOON_S):
        while not process.observations or not process.observations[-1].final:
            driving = not process.observations
            process.show(250 if driving else 40)
            await asyncio.sleep(0.05)
    early, *_, final = process.observations
    assert (early.reading.text, early.final) == (TEXT, False)
    assert (final.id, final.reader, final.detector) == (early.id, "always-1", "white-1")
    assert began * 1000 <= final.begin.monotonic_ms <= final.end.monotonic_ms
    assert watch.health().state == "watching"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_machine_without_models_is_a_fault_of_models():
    """What cannot be loaded is said in a sentence; the process ends."""
    process = Process(threads=2)
    child = await process.start(process.order)
    async with asyncio.timeout(SOON_S):
        report = parse_report(await child.read())
        assert (report.kind, report.reason) == ("failed", "model")
        assert "plate-reader" in report.text
        assert await child.read() is None
    assert await child.close(kill=False) == 1
    os.close(process.fd)


async def test_it_ends_with_its_pipe(process):
    """Closing its standard input ends the process at once, in order."""
    child = await process.start(process.order)
    async with asyncio.timeout(SOON_S):
        assert isinstance(parse_report(await child.read()), Opened)
        assert await child.close(kill=False) == 0


_PARENT = """
import asyncio, sys
from vision.plates.report import PlateOrder
from vision.process import ChildProcess, start

async def main():
    order = PlateOrder.model_validate_json(sys.argv[1])
    child = await start(ChildProcess, "tests.support.plate_process", order)
    await child.read()
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_it_dies_with_its_parent(process, tmp_path):
    """When the agent is killed its plate processes are gone, too."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _PARENT,
            process.order.model_dump_json(),
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout.readline() == b"up\n"
    [child] = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    parent.wait(SOON_S)
    parent.stdout.close()
    child.wait(SOON_S)
    assert not child.is_running()


@pytest.mark.skipif(not load_manifest().model, reason="there are no trained models yet")
async def test_the_shipped_models_fit_in_150_mib(process):
    """The real process reads a 1080p camera with the shipped networks in less than 150 MiB."""
    child = await start_watch(process.order)
    async with asyncio.timeout(60):
        process.show(120, height=1080)
        assert isinstance(parse_report(await child.read()), Opened)
        for _ in range(40):
            process.show(120, height=1080)
            await asyncio.sleep(0.05)
        report = parse_report(await child.read())
        while report.looks < 5:
            process.show(120, height=1080)
            report = parse_report(await child.read())
    await child.close(kill=False)
    assert report.rss_bytes < 150 * 2**20
