"""Followers of the desk: each has a bounded queue, and who falls behind is let go."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from commands.desk.view import Subject, View

MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class Change:
    """A subject, and all that holds of it now."""

    subject: Subject
    view: View


class Follower:
    """Takes changes in order, until it falls behind."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Change] = asyncio.Queue(MAX_WAITING)
        self.is_behind = False
        """Whether it lost a change: nothing more comes."""

    async def next(self) -> Change | None:
        """Wait for a change; ``None`` for one that fell behind and has to begin anew."""
        if self.is_behind:
            return None
        return await self._waiting.get()

    def offer(self, change: Change) -> None:
        """Put a change into the queue."""
        try:
            self._waiting.put_nowait(change)
        except asyncio.QueueFull:
            self.is_behind = True


class Followers:
    """All that follow now."""

    def __init__(self) -> None:
        self._all: set[Follower] = set()

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def join(self, first: Iterable[Change]) -> Iterator[Follower]:
        """Follow inside the block; ``first`` come before what happens from now on."""
        follower = Follower()
        for change in first:
            follower.offer(change)
        self._all.add(follower)
        try:
            yield follower
        finally:
            self._all.discard(follower)

    def tell(self, change: Change) -> None:
        """Hand a change to everyone."""
        for follower in self._all:
            follower.offer(change)
