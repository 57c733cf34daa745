"""Other processes get the newest frame, whole."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vision.frames import FrameReader, FrameWriter


@pytest.fixture
def memory():
    fd = os.memfd_create("test")
    yield fd
    os.close(fd)


def path_of(fd):
    return Path(f"/proc/{os.getpid()}/fd/{fd}")


def write(writer, value, height=4, width=6):
    writer.slot(height, width)[:] = value
    return writer.commit()


def test_newest_frame_wins(memory):
    """A reader sees the latest frame and its number, and nothing that it has seen before."""
    writer, reader = FrameWriter(memory), FrameReader(path_of(memory))
    assert reader.newest() is None
    for value in range(1, 6):
        write(writer, value)
    frame = reader.newest()
    assert frame.number == 5
    assert frame.picture.shape == (4, 6, 3)
    assert (frame.picture == 5).all()
    assert reader.newest(after=5) is None
    reader.close()


def test_half_written_frame_is_not_seen(memory):
    """While the next frame is written, the one before is still the newest."""
    writer, reader = FrameWriter(memory), FrameReader(path_of(memory))
    write(writer, 1)
    writer.slot(4, 6)[:2] = 2
    assert (reader.newest().picture == 1).all()
    reader.close()


def test_view_tells_that_it_was_overwritten(memory):
    """A view holds for two more frames and says when it no longer does."""
    writer, reader = FrameWriter(memory), FrameReader(path_of(memory))
    write(writer, 1)
    view = reader.view()
    write(writer, 2)
    write(writer, 3)
    assert reader.intact(view)
    assert (view.picture == 1).all()
    write(writer, 4)
    assert not reader.intact(view)
    reader.close()


def test_larger_frames_and_a_new_writer(memory):
    """A camera that comes back larger goes on in the same memory, numbers included."""
    writer, reader = FrameWriter(memory), FrameReader(path_of(memory))
    write(writer, 1)
    assert reader.newest().number == 1
    write(FrameWriter(memory), 2, height=200, width=300)
    frame = reader.newest()
    assert (frame.number, frame.picture.shape) == (2, (200, 300, 3))
    write(FrameWriter(memory), 3)
    assert reader.newest().picture.shape == (4, 6, 3)
    reader.close()


def test_reader_in_another_process(memory):
    """A process that has only the path reads the frame and its time since boot."""
    writer = FrameWriter(memory)
    write(writer, 7)
    code = (
        "import sys, pathlib; from vision.frames import FrameReader;"
        "f = FrameReader(pathlib.Path(sys.argv[1])).newest();"
        "print(f.number, int(f.picture.sum()), f.monotonic_ms > 0)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code, str(path_of(memory))],
        check=True,
        capture_output=True,
        text=True,
    )
    assert seen.stdout.split() == ["1", str(7 * 4 * 6 * 3), "True"]


def test_copies_are_whole_under_a_fast_writer(memory):
    """Ten thousand frames written behind a reader's back never give it a mixed one."""
    pid = os.fork()
    if pid == 0:
        writer = FrameWriter(memory)
        for value in range(10_000):
            write(writer, value % 251, 40, 60)
        os._exit(0)
    reader = FrameReader(path_of(memory))
    seen = 0
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        frame = reader.newest(after=seen)
        if frame:
            assert len(np.unique(frame.picture)) == 1
            seen = frame.number
    assert reader.newest().number == 10_000
    reader.close()
