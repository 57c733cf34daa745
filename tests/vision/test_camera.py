"""A camera is kept alive, and what its capture process reports becomes events."""

import asyncio
import contextlib
import errno

import pytest

from contract.events import CameraCovered, CameraLost, CameraOnline, MotionEnd, PresenceEnd
from tests.support.clock import START, ManualClock
from vision.camera import Camera
from vision.report import Beat, Evidence, Failed, Learned, Moving, Opened, Present, Tampered
from vision.settings import CameraSettings

EVIDENCE = Evidence(luma_mean=60, luma_std=4, sharpness=2, still_s=0, scene_match=0.1)
SOURCE = "rtsp://guard:secret@camera/stream?token=abc"


class FakeCapture:
    """A capture process whose lines the test writes."""

    def __init__(self, order):
        self.order = order
        self.decode_errors = 0
        self.last_words = ""
        self.killed = None
        self._lines = asyncio.Queue()

    def say(self, *reports):
        for report in reports:
            self.line(report.model_dump_json().encode() + b"\n")

    def line(self, raw):
        self._lines.put_nowait(raw)

    async def read(self):
        return await self._lines.get()

    async def close(self, *, kill):
        self.killed = kill
        return -9 if kill else 1


class Stage:
    """A camera with a clock, processes and events in the test's hand."""

    def __init__(self, **settings):
        self.clock = ManualClock()
        self.events = []
        self.started = []
        self.cannot_start = False
        self.camera = Camera(
            CameraSettings(name="counter", **{"source": SOURCE, **settings}),
            clock=self.clock,
            publish=self._publish,
            start=self._start,
            jitter=lambda: 1.0,
        )

    async def _publish(self, data, stamp):
        self.events.append(data)

    async def _start(self, order):
        if self.cannot_start:
            raise OSError(errno.EAGAIN, "out of processes")
        self.started.append(FakeCapture(order))
        return self.started[-1]

    @property
    def capture(self):
        return self.started[-1]

    @property
    def kinds(self):
        return [event.KIND for event in self.events]

    async def say(self, *reports):
        self.capture.say(*reports)
        await self.clock.settle()

    async def online(self):
        await self.say(Opened(width_px=640, height_px=360))


def beat(frames, **fields):
    base = {"frames_per_s": 25, "frame_age_s": 0.02, "decode_errors": 0, "dropped": 0}
    return Beat(frames=frames, rss_bytes=1, **(base | fields))


@pytest.fixture
async def stages():
    """Makes running cameras."""
    running = []

    async def make(**settings):
        stage = Stage(**settings)
        running.append((stage, asyncio.create_task(stage.camera.run())))
        await stage.clock.settle()
        return stage

    yield make
    for stage, task in running:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        stage.camera.close()


async def test_missing_at_start_is_told_once(stages):
    """A camera that is not there is one event, however often it is tried."""
    stage = await stages()
    for _ in range(4):
        await stage.say(Failed(reason="open_failed", text="no route"))
        await stage.clock.advance(12)
    assert stage.kinds == ["camera.lost"]
    assert stage.events[0].reason == "open_failed"
    assert stage.camera.health().state == "lost"
    assert len(stage.started) == 5
    await stage.online()
    assert isinstance(stage.events[1], CameraOnline)
    assert stage.events[1].outage_s == pytest.approx(48)


async def test_tries_come_ever_more_rarely(stages):
    """Between tries the wait doubles up to the limit, and starts anew after a steady time."""
    stage = await stages(reconnect_min_s=1, reconnect_max_s=5)
    waits = []
    for _ in range(5):
        await stage.say(Failed(reason="open_failed", text=""))
        before, count = stage.clock.monotonic(), len(stage.started)
        while len(stage.started) == count:
            await stage.clock.advance(0.5)
        waits.append(stage.clock.monotonic() - before)
    assert waits == [1, 2, 4, 5, 5]
    await stage.online()
    for second in range(70):
        await stage.clock.advance(1)
        await stage.say(beat(second + 1))
    await stage.say(Failed(reason="ended", text=""))
    await stage.clock.advance(1)
    assert len(stage.started) == 7


async def test_hang_is_noticed_in_seconds(stages):
    """A process that lives but gives no frame is killed, told as hung, and replaced."""
    stage = await stages(hang_s=5)
    await stage.online()
    await stage.say(beat(10))
    for _ in range(6):
        await stage.clock.advance(1)
        await stage.say(beat(10))
    assert stage.started[0].killed
    lost = stage.events[-1]
    assert isinstance(lost, CameraLost)
    assert lost.reason == "hung"
    await stage.clock.advance(2)
    assert len(stage.started) == 2
    assert stage.camera.health().restarts == 1


async def test_hang_while_opening_is_noticed(stages):
    """A source that is neither opened nor refused counts as hung too."""
    stage = await stages(open_timeout_s=5)
    await stage.clock.advance(30)
    assert stage.started[0].killed
    assert stage.events[0].reason == "hung"


async def test_frames_keep_it_online(stages):
    """While frames come, nothing happens to it."""
    stage = await stages()
    await stage.online()
    for second in range(100):
        await stage.clock.advance(1)
        await stage.say(beat(25 * second))
    assert stage.kinds == ["camera.online"]
    health = stage.camera.health()
    assert (health.state, health.frames_per_s, health.width_px) == ("online", 25, 640)
    assert health.frame_age_s < 1.1


async def test_garbage_on_the_pipe_is_survived(stages):
    """A line that is no report is skipped, and so is one that was too long."""
    stage = await stages()
    for raw in (b"", b"\n", b"{}\n", b"\xff\xfe\n", b'{"kind":"beat"}\n', b"[" * 5000, b"null\n"):
        stage.capture.line(raw)
    await stage.online()
    assert stage.kinds == ["camera.online"]


async def test_process_that_dies_is_a_crash(stages):
    """A process that ends without a word is told as crashed, with its status."""
    stage = await stages()
    await stage.online()
    stage.capture.last_words = "Segmentation fault"
    stage.capture.line(None)
    await stage.clock.settle()
    assert stage.events[-1].reason == "crashed"
    assert "status 1; Segmentation fault" in stage.events[-1].text


async def test_process_that_cannot_start_is_a_crash(stages):
    """A machine without room for another process is an event too."""
    stage = await stages()
    stage.cannot_start = True
    await stage.say(Failed(reason="ended", text=""))
    await stage.clock.advance(10)
    assert stage.kinds == ["camera.lost"]


async def test_begin_and_end_belong_together(stages):
    """Motion and presence end with the time of their begin; conditions carry their evidence."""
    stage = await stages()
    await stage.online()
    await stage.say(
        Moving(phase="begin", area_percent=3),
        Present(phase="begin", faces=1, face_px=90),
        Tampered(condition="covered", phase="begin", evidence=EVIDENCE),
    )
    assert stage.camera.health().conditions == ("covered",)
    await stage.clock.advance(4)
    await stage.say(
        Present(phase="end", duration_s=3.5, faces=2, face_px=95),
        Moving(phase="end", duration_s=3.8, area_percent=9),
        Tampered(condition="covered", phase="end", duration_s=4, evidence=EVIDENCE),
    )
    assert stage.kinds[1:] == [
        "motion.begin",
        "presence.begin",
        "camera.covered",
        "presence.end",
        "motion.end",
        "camera.covered",
    ]
    assert stage.events[4] == PresenceEnd(
        camera="counter", begun=START, duration_s=3.5, faces_max=2
    )
    assert stage.events[6].duration_s == 4
    assert stage.camera.health().conditions == ()


async def test_loss_ends_what_was_going_on(stages):
    """What began ends with the camera, before the loss is told."""
    stage = await stages()
    await stage.online()
    await stage.say(
        Moving(phase="begin", area_percent=3),
        Tampered(condition="covered", phase="begin", evidence=EVIDENCE),
    )
    await stage.clock.advance(2)
    await stage.say(Failed(reason="ended", text="the line is cut"))
    motion, covered, lost = stage.events[-3:]
    assert isinstance(motion, MotionEnd)
    assert motion.duration_s == pytest.approx(2)
    assert isinstance(covered, CameraCovered)
    assert covered.phase == "end"
    assert isinstance(lost, CameraLost)


async def test_end_without_begin_is_not_told(stages):
    """A report out of order makes no event."""
    stage = await stages()
    await stage.online()
    await stage.say(Moving(phase="end", area_percent=3, duration_s=1))
    assert stage.kinds == ["camera.online"]


async def test_learned_scene_goes_to_the_next_process(stages):
    """What one process learned of the scene is handed to the one that follows it."""
    stage = await stages()
    await stage.say(Learned(scene="picture"), Failed(reason="ended", text=""))
    await stage.clock.advance(2)
    assert stage.capture.order.scene == "picture"


async def test_counts_go_on_over_restarts(stages):
    """Decode errors and dropped frames are counted since the agent started."""
    stage = await stages()
    for _ in range(2):
        await stage.online()
        stage.capture.decode_errors = 2
        await stage.say(beat(10, decode_errors=1, dropped=4), Failed(reason="ended", text=""))
        await stage.clock.advance(5)
    health = stage.camera.health()
    assert (health.decode_errors, health.dropped_frames, health.restarts) == (6, 8, 2)


async def test_file_that_is_played_once_stays_at_its_end(stages):
    """A file without a loop is not started again."""
    stage = await stages(source="clip.mp4", loop=False)
    await stage.online()
    await stage.say(Failed(reason="ended", text=""))
    await stage.clock.advance(300)
    assert len(stage.started) == 1
    assert stage.kinds == ["camera.online", "camera.lost"]


async def test_slow_storage_drops_no_camera():
    """While the outbox cannot store, the camera goes on; what does not fit is dropped."""
    stage = Stage()
    gate = asyncio.Event()

    async def blocked(data, stamp):
        await gate.wait()
        stage.events.append(data)

    stage.camera._publish = blocked  # the stage's own door is open from the start
    task = asyncio.create_task(stage.camera.run())
    await stage.clock.settle()
    await stage.online()
    for _ in range(300):
        await stage.say(
            Moving(phase="begin", area_percent=3),
            Moving(phase="end", area_percent=3, duration_s=1),
        )
    gate.set()
    await stage.clock.settle(600)
    assert 200 < len(stage.events) < 300
    assert stage.camera.health().state == "online"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    stage.camera.close()
