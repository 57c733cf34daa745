"""Parts are restarted one by one, and only those whose settings differ."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.parts import Parts, needs_restart
from agent.settings import Settings, SettingsFile
from agent.supervisor import Supervisor
from telemetry.alarms import AlarmBoard
from telemetry.health import HealthMonitor
from telemetry.link import Link, LinkState
from telemetry.outbox import Outbox
from telemetry.voice import Birth
from tests.support.clock import START, ManualClock
from tests.support.fake_broker import FakeBroker
from tests.support.messages import TOPICS
from vision.camera import Camera
from vision.identity.report import IdentityOrder
from vision.identity.watcher import IdentityWatch
from vision.order import Order
from vision.plates.report import PlateOrder
from vision.plates.watcher import PlateWatch, Told

FILE = SettingsFile("agent.toml", "[kiosk]\nid = 'k1'\n")
TWO_CAMERAS = {"camera": [{"name": "a", "source": "0"}, {"name": "b", "source": "1"}]}


def settings(**pushed: Any) -> Settings:
    return FILE.settings({**TWO_CAMERAS, **pushed})


def memory(frames: Path) -> int:
    """Which memory file lies at a path now."""
    return os.fstat(int(frames.name)).st_ino


class SilentCapture:
    """A capture process that takes its time."""

    decode_errors = 0
    last_words = ""

    async def read(self) -> bytes | None:
        await asyncio.Event().wait()
        return None

    async def close(self, *, kill: bool) -> int | None:
        await asyncio.sleep(0)
        return 0


class House:
    """All parts, on a broker in memory, with their supervisor running."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.broker = FakeBroker(self.clock)
        self.supervisor = Supervisor(self.clock)
        self.rest = False
        self.captures: list[str] = []
        self.reads: list[tuple[int, int]] = []
        self.compares: list[tuple[int, int]] = []
        self.monitors = 0
        self.levels: list[str] = []
        first = settings()
        self.outbox = Outbox(
            folder,
            topics=TOPICS,
            settings=first.outbox,
            clock=self.clock,
            on_fault=lambda *_: None,
        )
        self.board = AlarmBoard(clock=self.clock, publish=self.outbox.put, settings=first.alarms)
        self.link = Link(
            transport=self.broker.transport(),
            outbox=self.outbox,
            topics=TOPICS,
            settings=first.link,
            outbox_settings=first.outbox,
            clock=self.clock,
            birth=lambda: Birth("1", START, (), ()),
        )
        self.parts = Parts(
            supervisor=self.supervisor,
            link=self.link,
            board=self.board,
            make_health=self._make_health,
            make_camera=self._make_camera,
            make_plates=self._make_plates,
            make_identity=self._make_identity,
            set_level=self.levels.append,
            cameras_rest=lambda: self.rest,
        )

    def _make_health(self, chosen) -> HealthMonitor:
        self.monitors += 1
        return HealthMonitor(
            clock=self.clock,
            publish=self.outbox.put,
            board=self.board,
            probes=(),
            settings=chosen,
        )

    def _make_camera(self, chosen) -> Camera:
        return Camera(chosen, clock=self.clock, publish=self.outbox.put, start=self._capture)

    def _make_plates(self, camera, shared, frames) -> PlateWatch:
        order = PlateOrder(frames=frames, settings=camera.plates, plates=shared)
        return PlateWatch(
            camera.name, order, clock=self.clock, tell=self._tell, start=self._read_plates
        )

    def _make_identity(self, camera, shared, frames) -> IdentityWatch:
        order = IdentityOrder(frames=frames, settings=camera.identity, identity=shared)
        return IdentityWatch(
            camera.name,
            order,
            clock=self.clock,
            present=lambda *_: None,
            start=self._compare_faces,
        )

    async def _compare_faces(self, order: IdentityOrder) -> SilentCapture:
        self.compares.append((memory(order.frames), order.identity.threads))
        return SilentCapture()

    async def _read_plates(self, order: PlateOrder) -> SilentCapture:
        # What lies at the path when the process opens it is what it reads.
        self.reads.append((memory(order.frames), order.plates.threads))
        return SilentCapture()

    async def _tell(self, observation) -> Told:
        return Told()

    async def _capture(self, order: Order) -> SilentCapture:
        self.captures.append(order.settings.name)
        return SilentCapture()

    async def settle(self) -> None:
        for _ in range(5):
            await self.clock.settle()
            await self.outbox.oldest_age_s()  # a round trip through its thread


@pytest.fixture
async def house(tmp_path: Path):
    house = House(tmp_path)
    await house.outbox.start()
    house.supervisor.start("outbox", house.outbox.run)
    running = asyncio.create_task(house.supervisor.run())
    await house.parts.apply(settings())
    await house.settle()
    yield house
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    house.parts.close()
    await house.outbox.close()


@pytest.mark.parametrize(
    ("pushed", "restart"),
    [
        ({"link": {"port": 1}}, False),
        ({"health": {"sample_s": 1}}, False),
        ({"alarms": {"max_active": 3}}, False),
        ({"log": {"level": "debug"}}, False),
        ({"camera": []}, False),
        ({"plates": {"threads": 2}}, False),
        ({"outbox": {"in_flight": 3, "backlog_per_s": 1}}, False),
        ({"outbox": {"max_rows": 500}}, True),
        ({"outbox": {"release": "watermark"}}, True),
        ({"log": {"format": "json"}}, True),
        ({"config": {"confirm_s": 60}}, False),
        ({"safe_mode": {"max_starts": 9}}, True),
    ],
)
def test_what_needs_a_restart(pushed, restart: bool):  # noqa: FBT001 - a column of the table
    """What the running parts cannot take on needs a new process; all else does not."""
    assert needs_restart(settings(), settings(**pushed)) is restart


async def test_same_settings_restart_nothing(house: House):
    """Settings that are in force already touch nothing."""
    session = house.link.session
    await house.parts.apply(settings())
    await house.settle()
    assert (house.captures, house.monitors) == (["a", "b"], 1)
    assert (house.link.state, house.link.session) == (LinkState.ONLINE, session)
    assert house.levels == ["info"]


async def test_each_part_for_itself(house: House):
    """A changed table restarts its own part only."""
    session = house.link.session
    changed = {"camera": [{"name": "a", "source": "0"}, {"name": "b", "source": "2"}]}
    await house.parts.apply(settings(**changed))
    await house.settle()
    assert house.captures == ["a", "b", "b"]
    await house.parts.apply(settings(**changed, health={"sample_s": 1}, log={"level": "debug"}))
    await house.settle()
    assert (house.captures, house.monitors) == (["a", "b", "b"], 2)
    assert house.levels == ["info", "debug"]
    assert house.link.session == session
    await house.parts.apply(settings(**changed, outbox={"backlog_per_s": 1}))
    await house.settle()
    assert house.link.session == session + 1
    assert house.captures == ["a", "b", "b"]


async def test_cameras_come_go_and_rest(house: House):
    """Frames are known of those cameras that are watched, under one mapping all the time."""
    frames = house.parts.frames
    assert list(frames) == ["a", "b"]
    await house.parts.apply(settings(camera=[{"name": "b", "source": "1"}]))
    assert [camera.name for camera in house.parts.cameras] == list(frames) == ["b"]
    house.rest = True
    await house.parts.apply(settings())
    assert house.parts.cameras == ()
    assert not frames
    assert house.parts.tasks == {"link", "health"}
    house.rest = False
    await house.parts.apply(settings())
    await house.settle()
    assert [camera.name for camera in house.parts.cameras] == ["a", "b"]
    assert house.captures == ["a", "b", "a", "b"]


PLATES = {"camera": [{"name": "a", "source": "0", "plates": {"enabled": True}}]}


async def test_plates_live_with_their_camera(house: House):
    """Plates are read where enabled, from their camera's frames, as long as it is watched."""
    assert house.reads == []
    await house.parts.apply(settings(**PLATES))
    await house.settle()
    first = memory(house.parts.frames["a"])
    assert house.reads == [(first, 1)]
    assert house.parts.tasks == {"link", "health", "camera.a", "plates.a"}
    [health] = house.parts.camera_health()
    assert health.plates is not None
    await house.parts.apply(settings(**PLATES, plates={"threads": 2}))
    await house.settle()
    assert house.reads == [(first, 1), (first, 2)]
    assert house.captures == ["a", "b", "a"]
    moved = {"camera": [{**PLATES["camera"][0], "source": "7"}]}
    await house.parts.apply(settings(**moved, plates={"threads": 2}))
    await house.settle()
    assert house.reads[2:] == [(memory(house.parts.frames["a"]), 2)]
    house.rest = True
    await house.parts.apply(settings(**moved))
    assert house.parts.tasks == {"link", "health"}
    assert house.parts.camera_health() == ()
    house.rest = False
    await house.parts.apply(settings())
    await house.settle()
    assert house.parts.tasks == {"link", "health", "camera.a", "camera.b"}
    assert [health.plates for health in house.parts.camera_health()] == [None, None]


async def test_faces_are_compared_where_enabled(house: House):
    """Beside plates, from the same frames, and anew when the settings they share change."""
    both = {"camera": [{**PLATES["camera"][0], "identity": {"enabled": True}}]}
    await house.parts.apply(settings(**both))
    await house.settle()
    frames = memory(house.parts.frames["a"])
    assert house.compares == [(frames, 1)]
    assert house.parts.tasks == {"link", "health", "camera.a", "plates.a", "identity.a"}
    [health] = house.parts.camera_health()
    assert health.identity is not None
    assert list(house.parts.identity) == ["a"]
    await house.parts.apply(settings(**both, identity={"threads": 2}))
    await house.settle()
    assert house.compares == [(frames, 1), (frames, 2)]
    assert house.reads == [(frames, 1)]
    await house.parts.apply(settings(**PLATES))
    assert house.parts.tasks == {"link", "health", "camera.a", "plates.a"}
    assert not house.parts.identity


async def test_plates_never_read_another_cameras_frames(house: House):
    """However far a change came when it was cancelled, plates are read from their own camera."""
    other = {"camera": [{"name": "b", "source": "5"}, {**PLATES["camera"][0], "source": "7"}]}
    for turns in range(40):
        change = asyncio.create_task(house.parts.apply(settings(**other)))
        for _ in range(turns):
            await asyncio.sleep(0)
        change.cancel()
        with suppress(asyncio.CancelledError):
            await change
        await house.parts.apply(settings(**PLATES))
        await house.settle()
        assert house.parts.tasks == {"link", "health", "camera.a", "plates.a"}
        assert house.reads[-1] == (memory(house.parts.frames["a"]), 1)
        assert house.supervisor.is_running("plates.a")
    assert house.supervisor.restarts == {}


async def test_cut_off_change_is_mended_by_the_next(house: House):
    """However far a change came when it was cancelled, going back brings every part back."""
    other = settings(
        link={"port": 1}, health={"sample_s": 1}, camera=[{"name": "a", "source": "3"}]
    )
    for turns in range(40):
        change = asyncio.create_task(house.parts.apply(other))
        for _ in range(turns):
            await asyncio.sleep(0)
        change.cancel()
        with suppress(asyncio.CancelledError):
            await change
        await house.parts.apply(settings())
        await house.settle()
        assert house.parts.tasks == {"link", "health", "camera.a", "camera.b"}
        assert all(house.supervisor.is_running(task) for task in house.parts.tasks)
        assert house.link.state is LinkState.ONLINE
        assert list(house.parts.frames) == ["a", "b"]
    assert house.supervisor.restarts == {}
