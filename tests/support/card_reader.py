"""An identity-card reader that is a pty, cards to lay on it, and a clock at its pace."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import reduce
from operator import xor
from pathlib import Path

from tests.support.clock import ManualClock

PREAMBLE = bytes.fromhex("aaaaaa9669")
RESET, STATUS, FIND, SELECT, READ = "10ff", "11ff", "2001", "2002", "3001"
"""Commands and their parameters."""
PHOTO = bytes(range(256)) * 4
NUMBER = "11010519491231002X"

Card = tuple[bytes, bytes]


class PacedClock(ManualClock):
    """Pauses of up to a second pass by themselves, at once; longer ones when a test says so."""

    def __init__(self):
        super().__init__()
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if seconds <= 1:
            await asyncio.sleep(0.001)
            self.move(seconds)
            return
        sleeper = (self._now + seconds, asyncio.get_running_loop().create_future())
        self._waiting.append(sleeper)
        try:
            await sleeper[1]
        finally:
            self._waiting.remove(sleeper)

    def move(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now += seconds
        for due, future in self._waiting:
            if due <= self._now and not future.done():
                future.set_result(None)


def frame(body: bytes) -> bytes:
    """Preamble, length, body, and the exclusive or of length and body."""
    checked = (len(body) + 1).to_bytes(2, "big") + body
    return PREAMBLE + checked + bytes([reduce(xor, checked)])


def answer(status: int, data: bytes = b"") -> bytes:
    """What a module answers: two zeros of the card, its own status, data."""
    return frame(bytes([0, 0, status]) + data)


class SimulatedReader:
    """Answers as the reader does, behind a link at ``device`` that leads to a pty of its own."""

    def __init__(self, device: Path):
        self.device = device
        self.card: Card | None = None
        self.finds_once = False
        """Like modules that find a lying card a single time."""
        self.statuses: dict[str, int] = {}
        """Status bytes in place of the usual ones, by command."""
        self.silent = False
        self.before = b""
        """Sent before each answer."""
        self.piece = 4096
        """Answers come in pieces of this size."""
        self.damaged = 0
        """So many answers come with a wrong checksum."""
        self.asked: list[str] = []
        self.on_asked: Callable[[str], None] = lambda command: None
        self._found: Card | None = None
        self._received = b""
        self._sending: set[asyncio.Task[None]] = set()
        self._master = self._slave = -1

    def plug_in(self) -> None:
        self._master, self._slave = os.openpty()
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._receive)
        link = self.device.with_suffix(".new")
        link.symlink_to(os.ttyname(self._slave))
        link.replace(self.device)

    def unplug(self) -> None:
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        for task in self._sending:
            task.cancel()
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self.device.unlink()

    def send(self, data: bytes) -> None:
        """Send bytes that nobody asked for."""
        task = asyncio.get_running_loop().create_task(self._send(data))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def count(self, command: str) -> int:
        return self.asked.count(command)

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            self._received += os.read(self._master, 4096)
        while len(self._received) >= 10:
            assert self._received.startswith(PREAMBLE + b"\0\3"), self._received
            request, self._received = self._received[:10], self._received[10:]
            assert reduce(xor, request[5:]) == 0
            self._hear(request[7:9].hex())

    def _hear(self, command: str) -> None:
        self.asked.append(command)
        self.on_asked(command)
        if self.silent:
            return
        reply = self._reply(command)
        if self.damaged:
            self.damaged -= 1
            reply = reply[:-1] + bytes([reply[-1] ^ 1])
        self.send(self.before + reply)

    def _reply(self, command: str) -> bytes:
        if (status := self.statuses.get(command)) is not None:
            return answer(status)
        match command:
            case "2001":
                return answer(0x9F, bytes(4)) if self._finds() else answer(0x80)
            case "2002":
                return answer(0x90, bytes(8)) if self.card else answer(0x81)
            case "3001":
                return answer(0x90, _content(self.card)) if self.card else answer(0x41)
        return answer(0x90)

    def _finds(self) -> bool:
        before, self._found = self._found, self.card
        return self.card is not None and not (self.finds_once and self.card is before)

    async def _send(self, data: bytes) -> None:
        for begin in range(0, len(data), self.piece):
            with contextlib.suppress(OSError):
                os.write(self._master, data[begin : begin + self.piece])
            await asyncio.sleep(0)


def _content(card: Card) -> bytes:
    text, photo = card
    return len(text).to_bytes(2, "big") + len(photo).to_bytes(2, "big") + text + photo


def fields(*parts: tuple[str, int], kind: str = " ") -> bytes:
    """Texts, each in so many bytes of UTF-16LE; the letter of the kind at byte 248."""
    text = "".join(part.ljust(size // 2) for part, size in parts).ljust(128)
    return (text[:124] + kind + text[125:]).encode("utf-16-le")


def resident(
    *,
    name: str = "张三",
    nation: str = "01",
    birth: str = "19491231",
    number: str = NUMBER,
    since: str = "20160801",
    until: str = "20360801",
    pass_number: str = "",
    kind: str = " ",
) -> bytes:
    """The text of a resident's card, or of a residence permit (kind J)."""
    return fields(
        (name, 30),
        ("2", 2),
        (nation, 4),
        (birth, 16),
        ("北京市朝阳区某街1号", 70),
        (number, 36),
        ("北京市公安局朝阳分局", 30),
        (since, 16),
        (until, 16),
        (pass_number, 18),
        kind=kind,
    )
