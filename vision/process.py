"""The agent's end of a process of this room: its pipes, its last words, its end."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel

from vision.order import Order
from vision.report import MAX_LINE_BYTES
from vision.source import redact

_STOP_S = 1.5
"""Time for a driver to close its device or session in order; then the process is killed."""
_CHUNK = 64 * 1024
_NOISE = re.compile(r"global \S+\.(cpp|hpp):\d+")
"""OpenCV's own running commentary."""
_DECODER = re.compile(r"\[(h264|hevc|mjpeg|mpeg4|mpeg2video|av1|libdav1d|vp8|vp9|h263|vvc) @ ")


class Child(Protocol):
    """A running process, as its keeper sees it."""

    last_words: str
    """The latest line that it wrote to standard error, redacted."""

    async def read(self) -> bytes | None:
        """Wait for a line; empty where it was too long, None at the end."""
        ...

    async def close(self, *, kill: bool) -> int | None:
        """End and reap it; ``kill`` does not ask first. Returns its exit status."""
        ...


class TellableChild(Child, Protocol):
    """A running process that is told more than its order."""

    async def tell(self, order: BaseModel) -> None:
        """Give it a line, and wait until it takes it; one that has ended hears nothing."""
        ...


class Capture(Child, Protocol):
    """A running capture process, as the camera sees it."""

    decode_errors: int
    """Complaints of the decoder so far."""


StartCapture = Callable[[Order], Awaitable[Capture]]


async def start_capture(order: Order) -> Capture:
    """Start a capture process.

    Raises:
        OSError: the machine cannot start another process.
    """
    return await start(_CaptureProcess, "vision.capture", order, pass_fds=(order.frames_fd,))


class ChildProcess:
    """Implements :class:`Child` on a process of this user."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - asked for in start
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self.last_words = ""
        self._listener = asyncio.create_task(self._listen(), name="child's stderr")

    async def tell(self, order: BaseModel) -> None:
        """Give it a line, and wait until it takes it; one that has ended hears nothing."""
        self._stdin.write(order.model_dump_json().encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await self._stdin.drain()

    async def read(self) -> bytes | None:
        """Wait for a line; empty where it was too long, None at the end."""
        return await _read_line(self._stdout)

    async def close(self, *, kill: bool) -> int | None:
        """End and reap it; ``kill`` does not ask first. Returns its exit status."""
        self._stdin.close()
        # A process that has a full pipe cannot end by itself, and asyncio takes none for ended
        # while something waits in its pipes.
        drain = asyncio.create_task(self._drain(), name="child's stdout")
        try:
            async with asyncio.timeout(0 if kill else _STOP_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        # Its pipes are closed with it, so these come to their end.
        pipes = {self._listener, drain}
        await asyncio.wait(pipes, timeout=_STOP_S)
        for pipe in pipes:
            pipe.cancel()
        return self._process.returncode

    async def _drain(self) -> None:
        while await self._stdout.read(_CHUNK):
            pass

    async def _listen(self) -> None:
        while (line := await _read_line(self._stderr)) is not None:
            self._hear(redact(line.decode(errors="replace").strip()))

    def _hear(self, text: str) -> None:
        if text and not _NOISE.search(text):
            self.last_words = text[:500]


class _CaptureProcess(ChildProcess):
    """Knows a decoder's complaints from last words."""

    decode_errors = 0

    def _hear(self, text: str) -> None:
        if _DECODER.match(text):
            self.decode_errors += 1
        else:
            super()._hear(text)


C = TypeVar("C", bound=ChildProcess)


async def start(kind: type[C], module: str, order: BaseModel, *, pass_fds: Sequence[int] = ()) -> C:
    """Start ``module`` as a process and give it its order (see :mod:`vision.child`).

    Raises:
        OSError: the machine cannot start another process.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=tuple(pass_fds),
        limit=MAX_LINE_BYTES,
    )
    child = kind(process)
    await child.tell(order)
    return child


async def _read_line(stream: asyncio.StreamReader) -> bytes | None:
    try:
        return await stream.readline() or None
    except ValueError:  # longer than the limit: asyncio has dropped it
        return b""
