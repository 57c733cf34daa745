"""Which of a kiosk's numbered messages did not arrive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """Sequence numbers ``first`` to ``last`` have not been seen."""

    first: int
    last: int


@dataclass(slots=True)
class _Hole:
    first: int
    last: int
    since: float
    told: bool = False


MAX_HOLES = 1000


class Sequences:
    """Remembers holes in the numbers since the first that was seen.

    Messages of different classes overtake each other, and a backlog comes later: a hole is worth
    a word only when it has stayed for a while.
    """

    def __init__(self) -> None:
        self._next: int | None = None
        self._holes: list[_Hole] = []

    def add(self, sequence: int, now: float) -> None:
        """Take note of a number, at a moment in seconds."""
        if self._next is None:
            self._next = sequence + 1
        elif sequence >= self._next:
            if sequence > self._next:
                self._holes.append(_Hole(self._next, sequence - 1, now))
                del self._holes[:-MAX_HOLES]
            self._next = sequence + 1
        else:
            self._fill(sequence)

    def overdue(self, now: float, *, after_s: float = 0.0) -> list[Missing]:
        """Return holes older than ``after_s`` that were not returned before."""
        found = [hole for hole in self._holes if not hole.told and now - hole.since >= after_s]
        for hole in found:
            hole.told = True
        return [Missing(hole.first, hole.last) for hole in found]

    @property
    def missing(self) -> list[Missing]:
        """Every hole that is open."""
        return [Missing(hole.first, hole.last) for hole in self._holes]

    def _fill(self, sequence: int) -> None:
        for index, hole in enumerate(self._holes):
            if hole.first <= sequence <= hole.last:
                parts = [(hole.first, sequence - 1), (sequence + 1, hole.last)]
                self._holes[index : index + 1] = [
                    _Hole(first, last, hole.since, hole.told)
                    for first, last in parts
                    if first <= last
                ]
                return
