"""A serial device on the event loop: 115200 baud, 8N1, raw, for one program at a time."""

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import Callable
from typing import Any

from agent.id_card.errors import PortError

_CHUNK = 4096
_BAUD = termios.B115200
_HUNG_UP = "hung up"


class SerialPort:
    """An open device. Not for two readers or two writers at a time."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, path: str) -> "SerialPort":
        """Open a device for this program alone.

        Raises:
            PortError: it is missing, taken, forbidden, or no serial device.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(_open, path))
        try:
            return cls(await asyncio.shield(opening), path)
        except asyncio.CancelledError:
            opening.add_done_callback(_abandon)
            raise

    async def write(self, data: bytes) -> None:
        """Send everything. Raises :class:`PortError`: the device went away."""
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
            except OSError as error:
                raise self._gone(error.strerror) from None

    async def read(self) -> bytes:
        """Wait for bytes. Raises :class:`PortError`: the device went away."""
        while True:
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
                continue
            except OSError as error:
                raise self._gone(error.strerror) from None
            if not data:
                raise self._gone(_HUNG_UP)
            return data

    def discard(self) -> None:
        """Drop what came and was not read. Raises :class:`PortError`: the device went away."""
        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except termios.error as error:
            raise self._gone(error.args[-1]) from None

    def close(self) -> None:
        """Give the device back."""
        # Without this the kernel would wait for a dead device to take what was sent.
        with contextlib.suppress(termios.error):
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        os.close(self._fd)

    async def _ready(self, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
        ready = self._loop.create_future()
        add(self._fd, _settle, ready)
        try:
            await ready
        finally:
            remove(self._fd)

    def _gone(self, why: object) -> PortError:
        return PortError(code="gone", text=f"{self._path} went away: {why}")


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(path, error) from None
    try:
        _take(fd)
        _set_up(fd)
    except BlockingIOError:
        os.close(fd)
        raise PortError(code="busy", text=f"another program uses {path}") from None
    except (OSError, termios.error):
        os.close(fd)
        raise PortError(code="not_serial", text=f"{path} is no serial device") from None
    return fd


def _take(fd: int) -> None:
    """Keep others out: a lock for those who ask, and TIOCEXCL, which stops all but root."""
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.ioctl(fd, termios.TIOCEXCL)


def _set_up(fd: int) -> None:
    controls = termios.tcgetattr(fd)[6]
    controls[termios.VMIN], controls[termios.VTIME] = 1, 0
    mode = termios.CS8 | termios.CREAD | termios.CLOCAL
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, mode, 0, _BAUD, _BAUD, controls])
    termios.tcflush(fd, termios.TCIOFLUSH)


def _refused(path: str, error: OSError) -> PortError:
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV | errno.EIO:
            return PortError(
                code="not_found", text=f"{path} is not there: is the reader plugged in?"
            )
        case errno.EACCES | errno.EPERM:
            return PortError(code="forbidden", text=f"the agent may not use {path}: see its group")
        case errno.EBUSY:
            return PortError(code="busy", text=f"another program uses {path}")
        case _:
            return PortError(code="not_serial", text=f"{path} cannot be opened: {error.strerror}")


def _abandon(opening: "asyncio.Future[int]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())
