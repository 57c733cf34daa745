"""The newest frame of a camera in shared memory, for other processes to take without a pipe.

The agent makes an anonymous memory file (memfd) per camera and hands it to the capture process,
which writes; whoever may open the agent's ``/proc/{pid}/fd/{n}`` reads. It outlives a capture
process and vanishes with its last user, however that dies.

Three slots are written in turn. A slot's generation is odd while it is written, so a reader sees
afterwards whether what it copied was whole; a view stays untouched for two more frames.
"""

import mmap
import os
import struct
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

_MAGIC = b"kioskfr1"
_SLOTS = 3
_HEAD = struct.Struct("<8sQQ")  # magic, bytes a slot can hold, number of the newest frame
_SLOT = struct.Struct("<QQQIII")  # generation, number, time, height, width, channels
_SLOT_STEP = 64
_DATA = 4096
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class SharedFrame:
    """One frame as it was captured."""

    picture: Frame
    """BGR, ``(height, width, 3)``, or grey, ``(height, width, 1)``."""
    number: int
    """Counts the frames since this memory was made, from 1; some are never seen by a reader."""
    monotonic_ms: int
    """Milliseconds since boot, suspend included (CLOCK_BOOTTIME), as in every stamp."""


class FrameWriter:
    """Writes frames into the memory file ``fd``; one writer at a time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._capacity = 0
        self._map: mmap.mmap | None = None
        self._number = _newest(fd)

    def slot(self, height: int, width: int, channels: int = 3) -> Frame:
        """Open the next slot for a frame of this shape; fill it, then :meth:`commit`."""
        memory = self._reserve(height * width * channels)
        index = (self._number + 1) % _SLOTS
        generation, *_ = _SLOT.unpack_from(memory, _slot_at(index))
        _SLOT.pack_into(memory, _slot_at(index), generation | 1, 0, 0, height, width, channels)
        start = _DATA + index * self._capacity
        flat = np.frombuffer(memory, np.uint8, height * width * channels, start)
        return flat.reshape(height, width, channels)

    def commit(self) -> int:
        """Hand on the slot that was filled; returns the frame's number."""
        memory = self._map
        if memory is None:
            msg = "a slot is opened before it is committed"
            raise RuntimeError(msg)
        self._number += 1
        at = _slot_at(self._number % _SLOTS)
        generation, _, _, height, width, channels = _SLOT.unpack_from(memory, at)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        _SLOT.pack_into(memory, at, generation, self._number, now, height, width, channels)
        struct.pack_into("<Q", memory, at, generation + 1)
        _HEAD.pack_into(memory, 0, _MAGIC, self._capacity, self._number)
        return self._number

    def _reserve(self, size: int) -> mmap.mmap:
        if self._map is None or size > self._capacity:
            # Grown, never shrunk: a reader's mapping must stay backed by the file.
            page = mmap.PAGESIZE
            self._capacity = max(_capacity(self._fd), -(-size // page) * page)
            os.ftruncate(self._fd, _DATA + _SLOTS * self._capacity)
            self._map = mmap.mmap(self._fd, _DATA + _SLOTS * self._capacity)
            for index in range(_SLOTS):  # what was there lies elsewhere now, or half written
                generation, *_ = _SLOT.unpack_from(self._map, _slot_at(index))
                _SLOT.pack_into(self._map, _slot_at(index), (generation | 1) + 1, 0, 0, 0, 0, 0)
            _HEAD.pack_into(self._map, 0, _MAGIC, self._capacity, self._number)
        return self._map


class FrameReader:
    """Reads the newest frame from the memory file at ``path`` (see ``Camera.frames``).

    Raises:
        OSError: the file is not there or may not be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._map: mmap.mmap | None = None

    def close(self) -> None:
        """Let the memory go; views given out keep it until they go too."""
        self._map = None
        self._file.close()

    def newest(self, after: int = 0) -> SharedFrame | None:
        """Copy the newest frame; None where there is none with a number above ``after``."""
        for _ in range(_ATTEMPTS):
            frame = self.view(after)
            if frame is None:
                return None
            copy = SharedFrame(frame.picture.copy(), frame.number, frame.monotonic_ms)
            if self.intact(frame):
                return copy
        return None

    def view(self, after: int = 0) -> SharedFrame | None:
        """Show the newest frame where it lies; ask :meth:`intact` after having used it."""
        memory = self._attach()
        if memory is None:
            return None
        _, capacity, number = _HEAD.unpack_from(memory, 0)
        index = number % _SLOTS
        generation, found, at_ns, height, width, channels = _SLOT.unpack_from(
            memory, _slot_at(index)
        )
        if number <= after or found != number or generation % 2:
            return None
        size = height * width * channels
        picture = np.frombuffer(memory, np.uint8, size, _DATA + index * capacity)
        return SharedFrame(
            picture=picture.reshape(height, width, channels),
            number=number,
            monotonic_ms=at_ns // 1_000_000,
        )

    def intact(self, frame: SharedFrame) -> bool:
        """Whether the frame's slot still holds it, whole."""
        if self._map is None:
            return False
        generation, number, *_ = _SLOT.unpack_from(self._map, _slot_at(frame.number % _SLOTS))
        return bool(number == frame.number and generation % 2 == 0)

    def _attach(self) -> mmap.mmap | None:
        size = os.fstat(self._file.fileno()).st_size
        if size <= _DATA:
            return None
        if self._map is None or len(self._map) != size:
            self._map = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        magic, capacity, _ = _HEAD.unpack_from(self._map, 0)
        whole = magic == _MAGIC and _DATA + _SLOTS * capacity == size
        return self._map if whole else None


class NewFrames:
    """Takes frames out of the memory file at ``path``, each of them once at most.

    Nothing is kept of it in between: a mapping would count three whole frames to this process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0

    def take(self) -> SharedFrame | None:
        """Copy the newest frame; None where it was taken before. Raises ``OSError``."""
        with closing(FrameReader(self._path)) as reader:
            frame = reader.newest(self._number)
        if frame is not None:
            self._number = frame.number
        return frame


def _slot_at(index: int) -> int:
    return 64 + index * _SLOT_STEP


def _head(fd: int) -> tuple[int, int]:
    raw = os.pread(fd, _HEAD.size, 0)
    if len(raw) < _HEAD.size or not raw.startswith(_MAGIC):
        return 0, 0
    _, capacity, newest = _HEAD.unpack(raw)
    return capacity, newest


def _capacity(fd: int) -> int:
    return _head(fd)[0]


def _newest(fd: int) -> int:
    return _head(fd)[1]
