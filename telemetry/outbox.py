"""The durable outbox: stored before it is offered to the broker, kept until it is acknowledged.

Everything that touches the database runs on one writer thread, so what happens there happens in
one order. Messages that arrive while a transaction is being written share the next one (group
commit). While the disk fails, an equal store in memory takes its place and the agent goes on.
"""

import asyncio
import contextlib
import heapq
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import structlog

from contract import Clock, Data, Priority, Stamp, Topics
from contract.gap import Gap
from telemetry.counters import Counters
from telemetry.row import Row, split_key
from telemetry.settings import OutboxSettings
from telemetry.store import Appended, Bounds, LossReason, Store, is_corrupted

GROUP_S = 0.1
"""How long telemetry and deletions wait for company before they are written on their own."""
_BATCH = 500
_PENDING = 4_000
_LIVE = 1_000
_FETCH = 200
_MEMORY_BOUNDS = Bounds(rows=2_000, size=4 * 2**20)
_RETRY_S = 5.0
STALLED_S = 300.0
"""A watermark that stands still for so long lacks a message that the broker took and lost."""
_AGAIN = 200

Fault = Literal["outbox.storage", "outbox.corrupted"]
OnFault = Callable[[Fault, str | None], None]
"""Told on the event loop that a fault began (with a sentence) or ended (with ``None``)."""

T = TypeVar("T")


class OutboxError(Exception):
    """A message could not be stored, not even in memory."""


log = structlog.get_logger()


@dataclass(slots=True)
class _Pending:
    data: Data
    stamp: Stamp
    stored: asyncio.Future[None]


class Outbox:
    """Messages on their way out.

    Args:
        folder: where ``outbox.db`` and ``counters.json`` live.
        topics: the kiosk's topics.
        settings: bounds and rates.
        clock: the time of gap messages, and of grouping.
        on_fault: told of storage faults.
    """

    def __init__(
        self,
        folder: Path,
        *,
        topics: Topics,
        settings: OutboxSettings,
        clock: Clock,
        on_fault: OnFault,
    ) -> None:
        self._disk = _Disk(folder, topics=topics, settings=settings, report=self._report)
        self._settings = settings
        self._clock = clock
        self._on_fault = on_fault
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._loop = asyncio.get_running_loop()

        self._pending: deque[_Pending] = deque()
        self._delivered: list[Row] = []
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._room = asyncio.Event()

        self._wake: Callable[[], None] | None = None
        self._live: dict[Priority, deque[Row]] = {priority: deque() for priority in Priority}
        self._held: set[int] = set()  # not to be offered again on this line
        self._busy: set[int] = set()  # on their way: not to be evicted
        self._after: dict[Priority, int] = dict.fromkeys(Priority, 0)
        self._more: set[Priority] = set()
        self._overflowed: set[Priority] = set()
        self._moved_at = clock.monotonic()  # the watermark
        self._warned = False  # of a watermark that belongs to another box

    async def start(self) -> None:
        """Open the database; a damaged one is set aside, an unusable disk replaced by memory."""
        await self._in_thread(partial(self._disk.open, self._clock.stamp()))

    async def run(self) -> None:
        """Write what is put and what is acknowledged, for ever."""
        retry = asyncio.create_task(self._retry(), name="outbox-retry")
        try:
            while True:
                await self._work.wait()
                if not self._urgent.is_set():
                    await self._company()
                await self._commit()
        finally:
            retry.cancel()

    async def close(self) -> None:
        """Write what is left and close the database."""
        while self._pending or self._delivered:
            await self._commit()
        await self._in_thread(partial(self._disk.close, self._clock.stamp()))
        self._thread.shutdown(wait=False)

    # -- numbers ---------------------------------------------------------------------------

    @property
    def counters(self) -> Counters:
        """The stored counters; their methods block."""
        return self._disk.counters

    @property
    def rows(self) -> int:
        """Messages stored and not yet delivered."""
        return self._disk.rows

    @property
    def size(self) -> int:
        """Bytes of these messages."""
        return self._disk.size

    @property
    def lost(self) -> int:
        """Messages given up since the start."""
        return self._disk.lost

    @property
    def last_sequence(self) -> int:
        """Highest number given out so far."""
        return self._disk.sequence

    async def oldest_age_s(self) -> float:
        """Age of the oldest message not yet delivered, in seconds."""
        oldest = await self._in_thread(self._disk.oldest_ms)
        if oldest is None:
            return 0.0
        return max(0.0, self._clock.stamp().time.timestamp() - oldest / 1000)

    async def next_session(self) -> int:
        """Count one more connection."""
        return await self._in_thread(self.counters.next_session)

    # -- what comes in ---------------------------------------------------------------------

    async def put(self, data: Data, stamp: Stamp) -> None:
        """Store a message; it is on disk when this returns (in memory while the disk fails).

        Raises:
            OversizeError: it is too large for the wire.
        """
        while len(self._pending) >= _PENDING:
            self._room.clear()
            await self._room.wait()
        pending = _Pending(data, stamp, self._loop.create_future())
        self._pending.append(pending)
        self._work.set()
        if data.PRIORITY is not Priority.TELEMETRY or len(self._pending) >= _BATCH:
            self._urgent.set()
        await pending.stored

    async def _company(self) -> None:
        """Wait a moment for a message that is worth a transaction of its own."""
        pause = asyncio.ensure_future(self._clock.sleep(GROUP_S))
        urgent = asyncio.ensure_future(self._urgent.wait())
        try:
            await asyncio.wait((pause, urgent), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            urgent.cancel()

    async def _commit(self) -> None:
        batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
        delivered, self._delivered = self._delivered, []
        if not self._pending:
            self._work.clear()
            self._urgent.clear()
        self._room.set()
        messages = [(item.data, item.stamp) for item in batch]
        try:
            appended = await self._in_thread(
                partial(self._disk.append, messages, delivered, self._busy, self._clock.stamp())
            )
        except Exception as error:
            self._delivered = delivered + self._delivered
            for item in batch:
                if not item.stored.done():
                    item.stored.set_exception(OutboxError(f"not stored: {error}"))
            raise
        except asyncio.CancelledError:
            for item in batch:
                item.stored.cancel()
            raise
        self._held.difference_update(row.key for row in delivered)
        self._busy.difference_update(row.key for row in delivered)
        self._hand_on(appended.rows)
        for place, item in enumerate(batch):
            if item.stored.done():
                continue
            if place in appended.refused:
                item.stored.set_exception(appended.refused[place])
            else:
                item.stored.set_result(None)

    def _hand_on(self, rows: Sequence[Row]) -> None:
        """Offer new rows to the link at once; leave to the backlog what would not fit."""
        if self._wake is None:
            return
        live = sum(len(queue) for queue in self._live.values())
        for row in rows:
            priority = row.priority
            is_gap = row.topic.endswith(Gap.SUFFIX)  # it may still grow until it is fetched
            if live >= _LIVE:
                self._overflowed.add(priority)  # what follows must not overtake this row
            if is_gap or priority in self._overflowed:
                self._read_again(priority, row.sequence - 1)
            else:
                self._live[priority].append(row)
                self._held.add(row.key)
                self._busy.add(row.key)
                live += 1
        self._wake()

    # -- what goes out ---------------------------------------------------------------------

    def attach(self, wake: Callable[[], None]) -> None:
        """The line is up: offer messages; ``wake`` is called when there are new ones."""
        self._wake = wake
        self._after = dict.fromkeys(Priority, 0)
        self._more = set(Priority)
        self._overflowed.clear()
        self._moved_at = self._clock.monotonic()

    def detach(self) -> None:
        """The line is down: whatever was not acknowledged is to be sent again."""
        self._wake = None
        for queue in self._live.values():
            queue.clear()
        self._held = {row.key for row in self._delivered}
        self._busy = set(self._held)

    def take_live(self) -> Row | None:
        """The next message that was stored since the line came up, highest class first."""
        for queue in self._live.values():
            if queue:
                return queue.popleft()
        return None

    async def fetch_backlog(self) -> list[Row]:
        """Some of the older messages, highest class first; empty when there are none left."""
        for priority in Priority:
            if priority not in self._more:
                continue
            # Whoever adds it meanwhile has rows to read again, from where that says.
            self._more.discard(priority)
            try:
                rows = await self._in_thread(
                    partial(
                        self._disk.fetch,
                        priority,
                        self._after[priority],
                        _FETCH,
                        self._held,
                        self._clock.stamp(),
                    )
                )
            except BaseException as error:
                self._more.add(priority)
                if not isinstance(error, sqlite3.Error):
                    raise
                log.warning("outbox cannot be read", error=str(error))
                await self._clock.sleep(_RETRY_S)
                return []
            if self._wake is None:
                return []
            if priority not in self._more:
                if len(rows) == _FETCH:
                    self._more.add(priority)
                else:
                    self._overflowed.discard(priority)
                if rows:
                    self._after[priority] = rows[-1].sequence
            # What was stored just before the thread read may have gone out live meanwhile.
            rows = [row for row in rows if row.key not in self._held]
            self._held.update(row.key for row in rows)
            self._busy.update(row.key for row in rows)
            if rows:
                return rows
        return []

    @property
    def has_backlog(self) -> bool:
        """Whether :meth:`fetch_backlog` may find something."""
        return bool(self._more)

    def delivered(self, row: Row) -> None:
        """The broker has acknowledged a message."""
        if self._settings.release == "puback":
            self._delivered.append(row)
            self._work.set()
            if len(self._delivered) >= _BATCH:
                self._urgent.set()
        else:
            self._busy.discard(row.key)  # the centre's word frees it, or a higher class

    def put_back(self, key: int) -> None:
        """A message was not taken: offer it again with the backlog."""
        self._held.discard(key)
        self._busy.discard(key)
        priority, sequence = split_key(key)
        self._read_again(priority, sequence - 1)

    def _read_again(self, priority: Priority, after: int = 0) -> None:
        """The store holds rows of a class that the backlog has passed by."""
        self._more.add(priority)
        self._after[priority] = min(self._after[priority], after)

    async def drop_oversize(self, row: Row) -> None:
        """Give up a message that the broker says it will never take, and admit the loss."""
        await self._in_thread(partial(self._disk.drop, row, self._clock.stamp()))
        self._held.discard(row.key)
        self._read_again(Priority.ALARM)  # the gap message

    async def expire(self, kinds: Sequence[type[Data]], age_s: float) -> None:
        """Give up messages of some types that wait for longer than that; admit the loss."""
        work = partial(self._disk.expire, kinds, age_s, self._busy, self._clock.stamp())
        if await self._in_thread(work):
            self._read_again(Priority.ALARM)  # the gap messages
            if self._wake is not None:
                self._wake()

    async def release(self, sequence: int) -> None:
        """Forget every message up to ``sequence``: the centre has stored them.

        A number that was not given out yet belongs to a box that had this name before: it says
        nothing of what is stored here.
        """
        if self._settings.release != "watermark":
            return
        if sequence > self.last_sequence:
            if not self._warned:
                self._warned = True
                log.warning("watermark beyond all that was sent", sequence=sequence)
            return
        rows = self.rows
        await self._in_thread(partial(self._disk.release, sequence, self._clock.stamp()))
        if self.rows < rows:
            self._moved_at = self._clock.monotonic()
        self._held = {key for key in self._held if split_key(key)[1] > sequence}

    # -- the thread ------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._thread, work)

    async def _retry(self) -> None:
        """While the disk fails, try it again now and then; so with what the centre lacks."""
        while True:
            await self._clock.sleep(_RETRY_S)
            if self._disk.failing:
                await self._in_thread(partial(self._disk.recover, self._clock.stamp()))
            if self._clock.monotonic() - self._moved_at >= STALLED_S:
                await self._offer_what_is_lacking()

    async def _offer_what_is_lacking(self) -> None:
        """Offer again the oldest of what the broker has acknowledged and the centre not."""
        self._moved_at = self._clock.monotonic()
        if self._settings.release != "watermark" or self._wake is None:
            return
        taken = self._held - self._busy
        oldest = partial(heapq.nsmallest, _AGAIN, taken, key=lambda key: split_key(key)[1])
        for key in await self._in_thread(oldest):
            priority, sequence = split_key(key)
            self._held.discard(key)
            self._read_again(priority, sequence - 1)
        if taken and self._wake is not None:
            self._wake()

    def _report(self, fault: Fault, text: str | None) -> None:
        self._loop.call_soon_threadsafe(self._faulted, fault, text)

    def _faulted(self, fault: Fault, text: str | None) -> None:
        """Offer the gap messages that a fault has left in the store, or what could not be read."""
        for priority in Priority if text is None else (Priority.ALARM,):
            self._read_again(priority)
        if self._wake is not None:
            self._wake()
        self._on_fault(fault, text)


class _Disk:
    """The store on disk, and the one in memory that stands in while the disk fails.

    Lives on the writer thread; the numbers may be read from anywhere.
    """

    def __init__(
        self,
        folder: Path,
        *,
        topics: Topics,
        settings: OutboxSettings,
        report: Callable[[Fault, str | None], None],
    ) -> None:
        self._folder = folder
        self._path = folder / "outbox.db"
        self._topics = topics
        self._bounds = Bounds(
            rows=settings.max_rows,
            size=settings.max_mib * 2**20,
            disk_floor=settings.disk_floor_mib * 2**20,
        )
        self._report = report
        self._store: Store | None = None
        self._memory: Store | None = None
        self._memory_base = 0
        self._undeleted: set[int] = set()
        self._lost_before = 0
        self._unadmitted: tuple[int, LossReason] | None = None
        self.counters = Counters(folder / "counters.json")

    @property
    def failing(self) -> bool:
        return self._memory is not None

    @property
    def _stores(self) -> list[Store]:
        return [store for store in (self._store, self._memory) if store is not None]

    @property
    def _numbering(self) -> Store:
        """The store that gives out numbers, for a gap message as well: never two at a time."""
        store = self._memory or self._store
        if store is None:
            msg = "the outbox is not open"
            raise RuntimeError(msg)
        return store

    @property
    def rows(self) -> int:
        return sum(store.rows for store in self._stores)

    @property
    def size(self) -> int:
        return sum(store.size for store in self._stores)

    @property
    def lost(self) -> int:
        return self._lost_before + sum(store.lost for store in self._stores)

    @property
    def sequence(self) -> int:
        return max((store.sequence for store in self._stores), default=0)

    @property
    def _given_out(self) -> int:
        """No number up to this may be given out again."""
        return max(self.sequence, self._unadmitted[0] if self._unadmitted else 0)

    def oldest_ms(self) -> int | None:
        try:
            times = [store.oldest_ms() for store in self._stores]
        except sqlite3.Error:
            return None
        return min((time for time in times if time is not None), default=None)

    def open(self, stamp: Stamp) -> None:
        """Open the database, whatever its state."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.counters.load()
        try:
            removed = not self._path.exists()
            if removed or self.counters.ahead:  # somebody removed it, or the disk failed at the end
                reason: LossReason = "corrupted" if removed else "storage_failed"
                self._lose(self.counters.sequence_limit, reason)
            self._store = self._new_store()
            self._admit(stamp)
        except (sqlite3.Error, OSError) as error:
            self._failed(error, stamp)
        if not self.failing:
            self.counters.begin(self.sequence)

    def close(self, stamp: Stamp) -> None:
        if self.failing:
            self.recover(stamp)
        failing = self.failing
        for store in self._stores:
            store.close()
        if not failing:
            self.counters.close()

    def _new_store(self) -> Store:
        return Store(
            self._path,
            topics=self._topics,
            bounds=self._bounds,
            free_bytes=lambda: shutil.disk_usage(self._folder).free,
            first_sequence=self._given_out,
        )

    def append(
        self,
        messages: Sequence[tuple[Data, Stamp]],
        delivered: Sequence[Row],
        held: set[int],
        stamp: Stamp,
    ) -> Appended:
        if self._store is not None and not self.failing:
            try:
                appended = self._store.append(messages, delivered, held, stamp)
            except (sqlite3.Error, OSError) as error:
                self._failed(error, stamp)
                if not self.failing:  # a new database took the place of a damaged one
                    return self.append(messages, (), held, stamp)
            else:
                self.counters.reserve(self.sequence)
                return appended
        base = self._memory_base
        self._undeleted |= {row.key for row in delivered if row.sequence <= base}
        mine = [row for row in delivered if row.sequence > base]
        appended = self._numbering.append(messages, mine, held, stamp)
        self.counters.reserve(self.sequence)
        return appended

    def fetch(
        self, priority: Priority, after: int, limit: int, held: set[int], stamp: Stamp
    ) -> list[Row]:
        """Read some rows; a damaged database is set aside, and the error raised.

        Where memory stands in, what it holds goes out although the disk cannot be read.
        """
        rows: list[Row] = []
        skip = held | self._undeleted
        for store in self._stores:
            try:
                rows += store.fetch(priority, after, limit - len(rows), skip)
            except sqlite3.Error as error:
                if is_corrupted(error) and store is self._store:
                    self._failed(error, stamp)
                elif self.failing and store is self._store:
                    log.warning("outbox cannot be read", error=str(error))
                    continue
                raise
            if len(rows) == limit:
                break
        return rows

    def drop(self, row: Row, stamp: Stamp) -> None:
        """Give a row up; one that lies on a failing disk stays, and is offered again later."""
        try:
            self._numbering.drop([row.key], "too_large", stamp)
        except sqlite3.Error as error:
            log.warning("outbox cannot be written", error=str(error))

    def expire(
        self, kinds: Sequence[type[Data]], age_s: float, held: set[int], stamp: Stamp
    ) -> bool:
        try:
            return self._numbering.expire(kinds, age_s, held, stamp)
        except sqlite3.Error as error:
            log.warning("outbox cannot be written", error=str(error))
            return False

    def release(self, sequence: int, stamp: Stamp) -> None:
        for store in self._stores:
            try:
                store.release(sequence, stamp)
            except sqlite3.Error as error:
                log.warning("outbox cannot be written", error=str(error))

    # -- faults ----------------------------------------------------------------------------

    def _failed(self, error: sqlite3.Error | OSError, stamp: Stamp) -> None:
        """Set a damaged database aside; else let memory stand in for the disk."""
        log.error("outbox storage failed", error=str(error), path=str(self._path))
        if isinstance(error, sqlite3.Error) and is_corrupted(error):
            try:
                self._set_aside(stamp)
            except (sqlite3.Error, OSError) as again:
                error = again
            else:
                if not self.failing:
                    self.counters.begin(self.sequence)
                self._report("outbox.corrupted", self._damaged(error))
                return
        if self.failing:  # memory stands in already
            return
        if self._store is None:
            self._lose(self.counters.sequence_limit, "storage_failed")
        self._memory_base = self._given_out
        self._memory = Store(
            None,
            topics=self._topics,
            bounds=_MEMORY_BOUNDS,
            free_bytes=lambda: _MEMORY_BOUNDS.size,
            first_sequence=self._memory_base,
            loss_reason="storage_failed",
        )
        self.counters.run_ahead(self._memory_base)
        self._admit(stamp)
        self._report(
            "outbox.storage",
            f"messages cannot be stored on disk ({error}); they are kept in memory, at most "
            f"{_MEMORY_BOUNDS.rows}, and would be lost in a power cut",
        )

    def _damaged(self, error: sqlite3.Error) -> str:
        return (
            f"the outbox database was damaged ({error}); it was set aside as "
            f"{self._path.name}.damaged and a new one started"
        )

    def _lose(self, last_sequence: int, reason: LossReason) -> None:
        """Note that what is missing up to a number may be lost: on disk, until it is admitted."""
        if last_sequence:
            if self._unadmitted is not None:
                last_sequence = max(last_sequence, self._unadmitted[0])
                reason = self._unadmitted[1]
            self._unadmitted = (last_sequence, reason)
            self.counters.run_ahead(last_sequence)

    def _admit(self, stamp: Stamp) -> None:
        """Say what may be lost, in the store that gives out numbers."""
        if self._unadmitted is not None:
            self._numbering.admit_unknown_loss(*self._unadmitted, stamp)
            self._unadmitted = None

    def _set_aside(self, stamp: Stamp) -> Store:
        if self._store is not None:
            self._lose(self._store.sequence, "corrupted")
            self._lost_before += self._store.lost + self._store.rows
            self._store.close()
            self._store = None
        elif self._memory is None:  # else what is lost was known when that took over
            self._lose(self.counters.sequence_limit, "corrupted")
        self._path.replace(self._path.with_name(self._path.name + ".damaged"))
        for ending in ("-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        self._store = self._new_store()
        self._admit(stamp)
        return self._store

    def recover(self, stamp: Stamp) -> None:
        """Try the disk again and move over what memory holds."""
        memory = self._memory
        if memory is None:
            return
        try:
            self._admit(stamp)
            self._adopt(memory, stamp)
        except (sqlite3.Error, OSError) as error:
            log.warning("outbox storage still fails", error=str(error))
            return
        self._undeleted.clear()
        self._lost_before += memory.lost
        memory.close()
        self._memory = None
        self.counters.begin(self.sequence)
        self._report("outbox.storage", None)

    def _adopt(self, memory: Store, stamp: Stamp) -> None:
        """Move over what memory holds; a disk that came back damaged is set aside first."""
        try:
            self._store = self._store or self._new_store()
            self._store.adopt(memory, list(self._undeleted), stamp)
        except sqlite3.Error as error:
            if not is_corrupted(error):
                raise
            self._set_aside(stamp).adopt(memory, (), stamp)
            self._report("outbox.corrupted", self._damaged(error))
