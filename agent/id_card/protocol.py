"""Frames of the reader's security module (SAM), as public descriptions of "SAM-V" have them.

A request is ``AA AA AA 96 69``, a length of two bytes (big-endian), command, parameter, data, and
the exclusive or of everything from the length on. An answer has three status bytes in place of
command and parameter: two of the card (ISO 7816-4), one of the module.
"""

from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from operator import xor
from types import MappingProxyType
from typing import Final

PREAMBLE: Final = bytes.fromhex("aaaaaa9669")
MAX_LENGTH: Final = 2560
"""Of what follows the length; the longest known answer, with fingerprints, has 2314."""

TEXT_BYTES: Final = 256
PHOTO_BYTES: Final = 1024
_SHORTEST = 4
_HEADER = len(PREAMBLE) + 2


class Command(Enum):
    """What a module is asked: command and parameter."""

    RESET = bytes.fromhex("10ff")
    STATUS = bytes.fromhex("11ff")
    FIND = bytes.fromhex("2001")
    SELECT = bytes.fromhex("2002")
    READ = bytes.fromhex("3001")
    """Text and portrait."""


SUCCESS: Final = 0x90
FOUND: Final = 0x9F

READER_FAULTS = MappingProxyType(
    {
        0x10: ("line_noise", "the reader gets damaged requests: check its cable"),
        0x11: ("line_noise", "the reader gets requests of a wrong length: check its cable"),
        0x21: ("command_refused", "the reader does not know a command: is it another model?"),
        0x23: ("command_refused", "the reader does not allow a command: is it another model?"),
        0x24: ("unknown_fault", "the reader tells of a fault that it cannot name"),
        0x60: ("self_test_failed", "the reader's security module failed its self-test: replace it"),
        0x66: (
            "not_authorised",
            "the reader's security module is not authorised: its supplier must do that",
        ),
    }
)
"""Status bytes that speak of the reader: code, and what a person can do."""

CARD_FAULTS = MappingProxyType(
    {
        0x31: ("card_refused_reader", "the card did not accept the reader"),
        0x32: ("reader_refused_card", "the reader did not accept the card: is it genuine?"),
        0x33: ("card_data_damaged", "what the card said did not pass the reader's check"),
        0x40: ("wrong_card", "that is not an identity card"),
        0x41: ("card_not_read", "the card could not be read: it has to lie still"),
        0x47: ("card_not_read", "the card gave no random number: it has to lie still"),
        0x80: ("card_not_read", "the card was taken away too soon"),
        0x81: ("card_not_read", "the card could not be selected: it has to lie still"),
    }
)
"""Status bytes that speak of the card."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the module."""

    card: int
    """Status word of the card."""
    status: int
    data: bytes = field(repr=False)

    def card_data(self) -> tuple[bytes, bytes] | None:
        """Return text and portrait of an answer to :attr:`Command.READ`; None where it has none."""
        size = TEXT_BYTES + PHOTO_BYTES
        lengths = TEXT_BYTES.to_bytes(2, "big") + PHOTO_BYTES.to_bytes(2, "big")
        if len(self.data) != len(lengths) + size or not self.data.startswith(lengths):
            return None
        return self.data[4 : 4 + TEXT_BYTES], self.data[4 + TEXT_BYTES :]


def request(command: Command) -> bytes:
    """Return the frame that asks for something."""
    checked = (len(command.value) + 1).to_bytes(2, "big") + command.value
    return PREAMBLE + checked + bytes([reduce(xor, checked)])


class AnswerParser:
    """Finds the answers in a stream of bytes; what is none is skipped.

    A frame inside of what looked like a longer one is found, whole or not: damage hides no other
    answer.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Answer]:
        """Take more bytes, and return the answers that end in them."""
        self._buffer += data
        found = []
        while (span := self._find()) is not None:
            begin, end = span
            body = self._buffer[begin + _HEADER : end - 1]
            found.append(Answer(int.from_bytes(body[:2], "big"), body[2], bytes(body[3:])))
            del self._buffer[:end]
        return found

    def reset(self) -> None:
        """Forget everything that came."""
        self._buffer.clear()

    def _find(self) -> tuple[int, int] | None:
        """Return where the first whole frame lies, and drop what can be part of none."""
        keep: int | None = None
        begin = self._buffer.find(PREAMBLE)
        while begin >= 0:
            end = self._end(begin)
            if end is None or end > len(self._buffer):
                keep = begin if keep is None else keep
            elif end > begin and not reduce(xor, self._buffer[begin + len(PREAMBLE) : end]):
                return begin, end
            begin = self._buffer.find(PREAMBLE, begin + 1)
        if keep is None:
            keep = len(self._buffer) - _tail(self._buffer)
        del self._buffer[:keep]
        return None

    def _end(self, begin: int) -> int | None:
        """Where the frame ends; None: not known yet; ``begin`` itself: it is none."""
        header = self._buffer[begin + len(PREAMBLE) : begin + _HEADER]
        if len(header) < 2:
            return None
        length = int.from_bytes(header, "big")
        return begin + _HEADER + length if _SHORTEST <= length <= MAX_LENGTH else begin


def _tail(buffer: bytearray) -> int:
    """How many of the last bytes can begin a preamble."""
    return next(
        (size for size in range(len(PREAMBLE) - 1, 0, -1) if buffer.endswith(PREAMBLE[:size])), 0
    )
