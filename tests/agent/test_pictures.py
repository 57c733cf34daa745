"""The agent has pictures made by a process of their own, and survives what that does."""

import asyncio
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from agent import pictures
from agent.pictures import Pictures
from commands.errors import ActionError
from vision.frames import FrameWriter

HEADER = (
    '{"error":null,"size":9,"width_px":1,"height_px":1,"faces_hidden":0,'
    '"plates_hidden":2,"frame_age_ms":0}'
)


@pytest.fixture
def frames():
    fd = os.memfd_create("test")
    yield FrameWriter(fd), Path(f"/proc/{os.getpid()}/fd/{fd}")
    os.close(fd)


@pytest.fixture
def pretend(monkeypatch):
    """Puts another program in the place of the process that takes pictures."""

    def put(code: str) -> Pictures:
        monkeypatch.setattr(pictures, "_PROGRAM", (sys.executable, "-c", code))
        return Pictures({"front": Path("/nonexistent")})

    return put


async def test_a_picture_of_the_newest_frame(frames):
    """What the camera saw last, without faces, as a JPEG."""
    writer, path = frames
    writer.slot(90, 160)[:] = np.arange(160, dtype=np.uint8)[None, :, None]
    writer.commit()
    picture = await Pictures({"front": path}).take("front", True, 1280)
    assert (picture.width_px, picture.height_px) == (160, 90)
    assert (picture.faces_hidden, picture.plates_hidden) == (0, 0)
    assert picture.jpeg.startswith(b"\xff\xd8")
    assert 0 <= picture.frame_age_ms < 60_000


async def test_a_camera_without_a_frame_and_one_that_is_not_there(frames):
    """Both are sentences that name the camera."""
    cameras = Pictures({"front": frames[1]})
    with pytest.raises(ActionError, match="camera front: it has given no picture yet"):
        await cameras.take("front", False, 640)
    with pytest.raises(ActionError, match="no camera 'roof'; this kiosk has front"):
        await cameras.take("roof", False, 640)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise RuntimeError('no memory')", r"failed \(status 1\): RuntimeError: no memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"status -9\): no word"),
        ("print('x' * 2_000_000)", "failed"),
        (
            f"print({HEADER!r})",
            "has 0 bytes instead of 9",
        ),
    ],
)
async def test_whatever_the_process_does_is_a_sentence(pretend, code, sentence):
    """A crash, a kill, too much output, a picture cut short."""
    with pytest.raises(ActionError, match=sentence):
        await pretend(code).take("front", True, 640)


async def test_a_cancelled_snapshot_leaves_no_process(pretend, tmp_path):
    """The process and its children are gone when the command is."""
    mark = tmp_path / "pids"
    code = (
        "import os, time, pathlib; child = os.fork();"
        f"child and pathlib.Path({str(mark)!r}).write_text(f'{{os.getpid()}} {{child}}');"
        "time.sleep(60)"
    )
    taking = asyncio.create_task(pretend(code).take("front", True, 640))
    async with asyncio.timeout(10):
        while not (mark.exists() and mark.read_text()):
            await asyncio.sleep(0.01)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    async with asyncio.timeout(10):
        while any(_runs(int(pid)) for pid in mark.read_text().split()):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
