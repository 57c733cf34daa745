"""Watch lists: which plates are looked for, what for, and until when.

They are the only plates that the kiosk keeps in plain text: in one file that only the agent's user
can read, each list until it expires.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import structlog
from pydantic import Field

from agent.state_file import StateFile
from commands.errors import ActionError
from contract import Clock, ContractError
from contract.actions import WatchListEntry, WatchListPut
from contract.plates import Purpose
from contract.wire import Name, UtcTime, WireModel, parse_kept
from vision.plates.plate import Character
from vision.plates.settings import PlateSettings

MAX_LISTS = 32
MAX_FILE_BYTES = 8 * 1024 * 1024
LOOK_S = 3600.0
"""How often expired lists are looked for, and the time is written down."""
NEAR_CONFIDENCE = 0.02
"""What a character may be with a smaller probability does not make a near match."""

log = structlog.get_logger()


class WatchList(WireModel):
    """One list."""

    name: Name
    purpose: Purpose
    expires: UtcTime
    entries: tuple[WatchListEntry, ...]


class _File(WireModel):
    lists: tuple[WatchList, ...] = Field(default=(), max_length=MAX_LISTS)
    at: UtcTime | None = None
    """The latest time that is known to have come."""


@dataclass(frozen=True, slots=True)
class Match:
    """A plate that is looked for."""

    watch_list: WatchList
    entry: WatchListEntry
    kind: Literal["exact", "near"]


class WatchLists:
    """Keeps the lists and looks plates up in them.

    Expiry goes by the latest time that is known to have come: a synchronised clock's, and from
    there on the monotonic one, over restarts too. So a clock that falls back to 1970 makes no list
    live longer than the hours in which the kiosk was off.

    Args:
        path: the file.
        clock: tells what has expired.
        settings: the limits in force.
        on_damage: told, in a sentence, that the file was damaged.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        settings: Callable[[], PlateSettings],
        on_damage: Callable[[str], None],
    ) -> None:
        self._path = path
        self._store = StateFile(path, limit=MAX_FILE_BYTES)
        self._clock = clock
        self._settings = settings
        self._on_damage = on_damage
        self._changing = asyncio.Lock()
        self._lists: dict[str, WatchList] = {}
        self._index: dict[str, list[tuple[WatchList, WatchListEntry]]] = {}
        self._known: tuple[datetime, float] | None = None
        """The latest time that is known to have come, and when that was on the monotonic clock."""

    @property
    def lists(self) -> tuple[WatchList, ...]:
        """The lists in force, by name."""
        now = self._now()
        return tuple(
            one for _, one in sorted(self._lists.items()) if now is None or now < one.expires
        )

    async def start(self) -> None:
        """Take up what the life before left; a damaged file is set aside."""
        content, problem = await asyncio.to_thread(self._load)
        if problem is not None:
            log.error("watch_lists_unusable", error=problem)
            self._on_damage(
                f"the watch lists could not be read ({problem}): no plate is looked for until "
                f"they are put anew; the damaged file is {self._aside.name}"
            )
        if content.at is not None:
            self._known = content.at, self._clock.monotonic()
        self._adopt(content.lists)

    async def run(self) -> None:
        """Delete what expires; until cancelled."""
        while True:
            async with self._changing:
                if self._lists:
                    lists = self.lists
                    with contextlib.suppress(OSError):  # what has expired matches nothing anyway
                        await self._keep(lists)
            await self._clock.sleep(LOOK_S)

    async def put(self, order: WatchListPut, *, not_before: datetime) -> WatchList:
        """Keep a list, or more entries of one; in force when this returns.

        Args:
            order: the list.
            not_before: when the order was signed; from then on validity counts.

        Raises:
            ActionError: it is over, for too long, too much, or cannot be written.
        """
        settings = self._settings()
        if order.expires - not_before > timedelta(days=settings.watch_list_days):
            msg = f"no watch list may be for longer than {settings.watch_list_days} days"
            raise ActionError(msg)
        async with self._changing:
            now = self._now()
            if order.expires <= (now or not_before):
                msg = "the list has expired already"
                raise ActionError(msg)
            lists = {one.name: one for one in self.lists}
            before = lists[order.name].entries if self._adds(order, lists) else ()
            entries = {entry.text: entry for entry in (*before, *order.entries)}
            changed = WatchList(
                name=order.name,
                purpose=order.purpose,
                expires=order.expires,
                entries=tuple(entries.values()),
            )
            lists[order.name] = changed
            _check_room(lists, settings.watch_list_entries)
            await self._save(tuple(lists.values()))
            return changed

    async def remove(self, name: str) -> int:
        """Delete a list; returns how many entries it had.

        Raises:
            ActionError: there is none of this name, or the file cannot be written.
        """
        async with self._changing:
            lists = {one.name: one for one in self.lists}
            if name not in lists:
                msg = f"there is no watch list {name}; there are {', '.join(lists) or 'none'}"
                raise ActionError(msg)
            gone = lists.pop(name)
            await self._save(tuple(lists.values()))
            return len(gone.entries)

    def match(self, characters: Sequence[Character], doubtful: Sequence[int]) -> list[Match]:
        """Look a plate up.

        exact: every character is sure, and the text is on the list. near: one character is not
        sure, or reads otherwise, and could be the list's; all others are sure and the list's.

        Args:
            characters: as they were read.
            doubtful: places of those that are not sure.
        """
        if not self._index or len(doubtful) > 1 or any(at >= len(characters) for at in doubtful):
            return []
        text = "".join(character.text for character in characters)
        found = self._look_up(text, "near" if doubtful else "exact")
        for place in doubtful or range(len(characters)):
            for other, confidence in characters[place].alternatives:
                if len(other) == 1 and confidence >= NEAR_CONFIDENCE:
                    near = text[:place] + other + text[place + 1 :]
                    found += self._look_up(near, "near")
        return found

    def _look_up(self, text: str, kind: Literal["exact", "near"]) -> list[Match]:
        now = self._now()
        return [
            Match(one, entry, kind)
            for one, entry in self._index.get(text, ())
            if now is None or now < one.expires
        ]

    @staticmethod
    def _adds(order: WatchListPut, lists: dict[str, WatchList]) -> bool:
        if order.mode == "replace":
            return False
        if order.name not in lists:
            msg = f"there is no watch list {order.name} to add to; put it with mode replace first"
            raise ActionError(msg)
        return True

    def _now(self) -> datetime | None:
        """Return the latest time that is known to have come; None: no clock was ever right."""
        stamp, ticks = self._clock.stamp(), self._clock.monotonic()
        if stamp.time_quality == "synced":
            self._known = stamp.time, ticks
        if self._known is None:
            return None
        time, at = self._known
        return time + timedelta(seconds=max(0.0, ticks - at))

    async def _save(self, lists: tuple[WatchList, ...]) -> None:
        try:
            await self._keep(lists)
        except OSError as error:
            msg = f"the watch lists cannot be written ({error.strerror}); nothing has changed"
            raise ActionError(msg) from None

    async def _keep(self, lists: tuple[WatchList, ...]) -> None:
        """Write the lists down and put them in force; both are done even where it is cancelled.

        A write that came to its end on its own would take a later one back.
        """
        file = _File(lists=lists, at=self._now())
        writing = asyncio.create_task(asyncio.to_thread(self._write, file))
        try:
            await asyncio.shield(writing)
        finally:
            await asyncio.wait({writing})
            if not writing.cancelled() and writing.exception() is None:
                self._adopt(lists)

    def _write(self, file: _File) -> None:
        self._store.save(file.model_dump_json().encode())
        self._aside.unlink(missing_ok=True)

    def _adopt(self, lists: Sequence[WatchList]) -> None:
        self._lists = {one.name: one for one in lists}
        self._index = {}
        for one in lists:
            for entry in one.entries:
                self._index.setdefault(entry.text, []).append((one, entry))

    @property
    def _aside(self) -> Path:
        """A damaged file is personal data, too: it goes with the next one that is written."""
        return self._path.with_name(f"{self._path.name}.damaged")

    def _load(self) -> tuple[_File, str | None]:
        try:
            content = self._store.load()
            return _File() if content is None else parse_kept(_File, content), None
        except OSError as error:
            problem = error.strerror or str(error)
        except ContractError:
            problem = "its content is damaged"
        with contextlib.suppress(OSError):
            self._path.replace(self._aside)
        return _File(), problem


def _check_room(lists: dict[str, WatchList], most: int) -> None:
    if len(lists) > MAX_LISTS:
        msg = f"more than {MAX_LISTS} watch lists; remove one first"
        raise ActionError(msg)
    total = sum(len(one.entries) for one in lists.values())
    if total > most:
        msg = f"{total} plates on all lists together; this kiosk takes {most}"
        raise ActionError(msg)
