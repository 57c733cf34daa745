"""A serial device, on a pty."""

import array
import asyncio
import fcntl
import os
import termios

import pytest

from agent.id_card.errors import PortError
from agent.id_card.serial_port import SerialPort


@pytest.fixture
def pty():
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:
            assert fd == master  # a test hung up


async def refusal(path: str) -> PortError:
    with pytest.raises(PortError) as caught:
        await SerialPort.open(path)
    return caught.value


async def opened(path: str) -> SerialPort | None:
    """Open it unless another one has it."""
    try:
        return await SerialPort.open(path)
    except PortError as error:
        if error.code != "busy":
            raise
        return None


async def arrived(port: SerialPort, count: int) -> None:
    """Wait until so many bytes wait to be read."""
    waiting = array.array("i", [0])
    async with asyncio.timeout(20):
        while waiting[0] < count:
            await asyncio.sleep(0.001)
            fcntl.ioctl(port._fd, termios.FIONREAD, waiting)  # no door tells this


async def test_every_byte_goes_through_as_it_is(pty):
    """115200 baud, eight bits, raw: no byte means anything to the kernel."""
    master, path = pty
    port = await SerialPort.open(path)
    everything = bytes(range(256))
    await port.write(everything)
    assert await asyncio.to_thread(os.read, master, 4096) == everything
    os.write(master, everything)
    received = b""
    while len(received) < 256:
        received += await port.read()
    assert received == everything
    _, _, mode, _, sending, receiving, _ = termios.tcgetattr(port._fd)  # the kernel's own word
    assert sending == receiving == termios.B115200
    assert mode & termios.CSIZE == termios.CS8
    assert not mode & (termios.PARENB | termios.CSTOPB | termios.CRTSCTS)
    port.close()


async def test_reading_waits_for_bytes_without_blocking(pty):
    """Other tasks run meanwhile."""
    master, path = pty
    port = await SerialPort.open(path)
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    assert not reading.done()
    os.write(master, b"x")
    assert await reading == b"x"
    port.close()


async def test_more_than_the_kernel_takes_is_written_in_pieces(pty):
    """Writing waits for room."""
    master, path = pty
    os.set_blocking(master, False)
    port = await SerialPort.open(path)
    writing = asyncio.create_task(port.write(bytes(100_000)))
    received = 0
    async with asyncio.timeout(20):
        while received < 100_000:
            await asyncio.sleep(0)
            try:
                received += len(os.read(master, 65_536))
            except BlockingIOError:
                await asyncio.sleep(0.001)
    await writing
    port.close()


async def test_a_waiting_read_that_is_cancelled_leaves_the_loop_alone(pty):
    """The next one gets the bytes."""
    master, path = pty
    port = await SerialPort.open(path)
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    os.write(master, b"x")
    assert await port.read() == b"x"
    port.close()


async def test_what_came_can_be_discarded(pty):
    """What comes afterwards is read."""
    master, path = pty
    port = await SerialPort.open(path)
    os.write(master, b"old")
    await arrived(port, 3)
    port.discard()
    os.write(master, b"new")
    assert await port.read() == b"new"
    port.close()


async def test_a_device_that_goes_away_says_so(pty):
    """Whatever is done with it; closing it does not hang."""
    master, path = pty
    port = await SerialPort.open(path)
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    os.close(master)
    for work in (reading, port.write(b"x"), port.read()):
        with pytest.raises(PortError) as caught:
            await work
        assert caught.value.code == "gone"
        assert caught.value.is_absent
    with pytest.raises(PortError):
        port.discard()
    port.close()


async def test_a_device_is_for_one_program_at_a_time(pty):
    """The second one is refused until the first one is done, root or not."""
    _, path = pty
    port = await SerialPort.open(path)
    assert (await refusal(path)).code == "busy"
    port.close()
    (await SerialPort.open(path)).close()


async def test_what_is_no_serial_device_is_told_apart(tmp_path):
    """A missing file is a reader that is unplugged; another file is a wrong setting."""
    (tmp_path / "file").touch()
    missing = await refusal(str(tmp_path / "missing"))
    assert (missing.code, missing.is_absent) == ("not_found", True)
    wrong = await refusal(str(tmp_path / "file"))
    assert (wrong.code, wrong.is_absent) == ("not_serial", False)
    assert (await refusal(str(tmp_path))).code == "not_serial"


async def test_opening_that_is_cancelled_gives_the_device_back(pty):
    """Nobody else is kept out for ever."""
    _, path = pty
    opening = asyncio.create_task(SerialPort.open(path))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening})
    async with asyncio.timeout(20):
        while not (port := await opened(path)):
            await asyncio.sleep(0.001)
    port.close()
