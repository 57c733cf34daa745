"""A stored message. Its key holds class and sequence, so keys are in the order of sending."""

from dataclasses import dataclass

from contract import Priority

CLASS_SHIFT = 56
ROW_OVERHEAD = 40
"""Bytes that SQLite spends on a row besides topic and payload, rounded up."""


def key_of(priority: Priority, sequence: int) -> int:
    """Class and sequence in one integer, ordered by class first."""
    return priority << CLASS_SHIFT | sequence


@dataclass(frozen=True, slots=True)
class Row:
    """A stored message."""

    key: int
    topic: str
    time_ms: int
    payload: bytes

    @property
    def priority(self) -> Priority:
        """The class of the message."""
        return Priority(self.key >> CLASS_SHIFT)

    @property
    def sequence(self) -> int:
        """The message's number."""
        return self.key & (1 << CLASS_SHIFT) - 1

    @property
    def size(self) -> int:
        """Bytes that the row takes, nearly."""
        return len(self.payload) + len(self.topic) + ROW_OVERHEAD


def key_range(priority: Priority, after: int = 0) -> tuple[int, int]:
    """Keys of a class: above the first, below the second; those after a sequence number."""
    return key_of(priority, after), key_of(priority, 0) + (1 << CLASS_SHIFT)


def split_key(key: int) -> tuple[Priority, int]:
    """Class and sequence of a key."""
    return Priority(key >> CLASS_SHIFT), key & (1 << CLASS_SHIFT) - 1
