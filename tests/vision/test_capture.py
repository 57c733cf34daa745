"""Real capture processes: they work, they die, they are killed, and the camera goes on."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.real_clock import RealClock
from tests.support.rtsp import HEIGHT, WIDTH, RtspCamera
from vision.camera import Camera
from vision.frames import FrameReader
from vision.settings import CameraSettings

SOON_S = 30
"""A loaded machine needs seconds to start a process."""
QUICK = {"reconnect_min_s": 0.1, "reconnect_max_s": 0.5, "hang_s": 2}


class Watched:
    """A running camera and the events that it told."""

    def __init__(self, **settings):
        self.events = []
        self._news = asyncio.Event()
        self.camera = Camera(
            CameraSettings(name="test", **QUICK | settings),
            clock=RealClock(),
            publish=self._publish,
        )
        self._task = asyncio.create_task(self.camera.run())

    async def _publish(self, data, stamp):
        self.events.append(data)
        self._news.set()

    async def event(self, kind, count=1):
        """Wait for the ``count``-th event of a kind."""
        async with asyncio.timeout(SOON_S):
            while len(found := [e for e in self.events if kind == e.KIND]) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]

    async def until(self, true):
        async with asyncio.timeout(SOON_S):
            while not true():
                await asyncio.sleep(0.05)

    async def stop(self):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    @property
    def process(self):
        # Of all children, the one that was given this camera's memory.
        memory = self.camera.frames.stat().st_ino
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error, OSError):
                handed = Path(f"/proc/{child.pid}/fd") / self.camera.frames.name
                if handed.stat().st_ino == memory:
                    return child
        return None


@pytest.fixture
async def watch():
    """Makes running cameras."""
    running = []

    def make(**settings):
        running.append(Watched(**settings))
        return running[-1]

    yield make
    for watched in running:
        await watched.stop()
        watched.camera.close()


async def test_file_is_watched_and_shared(watch, clip):
    """A file plays at its own rate, its frames can be taken, and stopping leaves no process."""
    watched = watch(source=str(clip))
    online = await watched.event("camera.online")
    assert (online.width_px, online.height_px) == (320, 180)
    await watched.event("motion.begin")
    await watched.until(lambda: 14 < watched.camera.health().frames_per_s < 26)
    reader = FrameReader(watched.camera.frames)
    assert reader.newest().picture.shape == (180, 320, 3)
    reader.close()
    process = watched.process
    assert str(clip) not in process.cmdline()
    await watched.stop()
    assert not process.is_running()


async def test_killed_process_is_replaced(watch, clip):
    """A capture process that is killed is a loss and a return, not an exception."""
    watched = watch(source=str(clip))
    await watched.event("camera.online")
    watched.process.kill()
    assert (await watched.event("camera.lost")).reason == "crashed"
    back = await watched.event("camera.online", 2)
    assert back.outage_s > 0
    assert watched.camera.health().restarts == 1


async def test_stopped_process_counts_as_hung(watch, clip):
    """A process that lives but does nothing is killed and replaced."""
    watched = watch(source=str(clip))
    await watched.event("camera.online")
    process = watched.process
    process.suspend()
    assert (await watched.event("camera.lost")).reason == "hung"
    await watched.event("camera.online", 2)
    assert not process.is_running()


async def test_missing_file_that_appears(watch, clip, tmp_path):
    """A camera that is missing at start is told once and comes online when it is there."""
    path = tmp_path / "late.avi"
    watched = watch(source=str(path))
    lost = await watched.event("camera.lost")
    assert lost.reason == "open_failed"
    assert lost.text == f"{path} does not exist"
    await watched.until(lambda: watched.camera.health().restarts >= 2)
    shutil.copy(clip, path)
    await watched.event("camera.online")
    assert [e.KIND for e in watched.events].count("camera.lost") == 1


async def test_file_that_is_no_video(watch, tmp_path):
    """Rubbish in a file is a camera that cannot be opened."""
    path = tmp_path / "rubbish.mp4"
    path.write_bytes(os.urandom(5000))
    assert (await watch(source=str(path)).event("camera.lost")).reason == "open_failed"


async def test_damaged_frames_are_counted(watch, clip, tmp_path):
    """Broken data in a stream are decode errors; the camera stays online."""
    data = bytearray(clip.read_bytes())
    for at in range(8000, len(data) - 8000, 3001):
        data[at : at + 40] = os.urandom(40)
    path = tmp_path / "damaged.avi"
    path.write_bytes(data)
    watched = watch(source=str(path))
    await watched.event("camera.online")
    await watched.until(lambda: watched.camera.health().decode_errors > 0)
    assert watched.camera.health().state == "online"


async def test_rtsp_camera_that_stops_sending(watch):
    """An RTSP camera is read over TCP; when it goes silent it is lost in seconds, then back."""
    async with RtspCamera() as server:
        watched = watch(source=f"rtsp://127.0.0.1:{server.port}/live")
        online = await watched.event("camera.online")
        assert (online.width_px, online.height_px) == (WIDTH, HEIGHT)
        assert "TCP" in server.transports[0]
        server.muted = True
        async with asyncio.timeout(6):
            assert (await watched.event("camera.lost")).reason == "hung"
        server.muted = False
        assert (await watched.event("camera.online", 2)).outage_s > 0
        await watched.stop()


async def test_rtsp_server_that_says_nothing(watch):
    """A server that accepts and never answers is a lost camera within the open timeout."""
    async with RtspCamera(silent=True) as server:
        watched = watch(source=f"rtsp://127.0.0.1:{server.port}/live", open_timeout_s=1)
        lost = await watched.event("camera.lost")
        assert lost.reason in {"open_failed", "hung"}
        await watched.stop()


async def test_password_stays_in_the_process(watch, capfd):
    """A login works, a wrong one is told, and neither is in events, logs or the process list."""
    async with RtspCamera(login="guard:s3cret") as server:
        good = watch(source=f"rtsp://guard:s3cret@127.0.0.1:{server.port}/live")
        await good.event("camera.online")
        process = good.process
        assert "s3cret" not in " ".join(process.cmdline()) + str(process.environ())
        bad = watch(source=f"rtsp://guard:wr0ng@127.0.0.1:{server.port}/live")
        lost = await bad.event("camera.lost")
        assert "401" in lost.text
        await good.stop()
        await bad.stop()
    told = "".join(e.model_dump_json() for e in good.events + bad.events) + capfd.readouterr().out
    assert "s3cret" not in told
    assert "wr0ng" not in told


async def test_process_dies_with_its_agent(clip):
    """When the agent is killed, its capture process goes too, even one that is stopped."""
    code = (
        "import asyncio, sys\n"
        "from tests.support.real_clock import RealClock\n"
        "from vision.camera import Camera\nfrom vision.settings import CameraSettings\n"
        "async def publish(data, stamp): print(data.KIND, flush=True)\n"
        "camera = Camera(CameraSettings(name='a', source=sys.argv[1]), clock=RealClock(),\n"
        "                publish=publish)\n"
        "asyncio.run(camera.run())\n"
    )
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(clip), stdout=subprocess.PIPE
    )
    async with asyncio.timeout(SOON_S):
        while b"online" not in await agent.stdout.readline():
            pass
    (child,) = psutil.Process(agent.pid).children()
    child.suspend()
    agent.send_signal(signal.SIGKILL)
    await agent.communicate()
    async with asyncio.timeout(5):
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.05)


def test_agent_side_stays_light():
    """Importing the room loads neither OpenCV nor dlib nor NumPy."""
    code = "import sys, vision; print(sorted({'cv2', 'dlib', 'numpy'} & set(sys.modules)))"
    seen = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert seen.stdout.strip() == "[]"
