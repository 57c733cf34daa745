"""The outbox's table: messages in SQLite, one row each until they are delivered.

A row's key is its class and sequence number in one integer, so that the table itself is in the
order of sending: class by class, oldest first, without an index to maintain.

All methods block; the outbox calls them from its one writer thread.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from contract import Data, OversizeError, Priority, Stamp, Topics, seal
from contract.gap import Gap, GapClass
from telemetry.row import CLASS_SHIFT, ROW_OVERHEAD, Row, key_of, key_range, split_key

_CHUNK = 64  # rows a statement: one statement lets go of the interpreter lock just once
_MAX_VARIABLES = 900
_PAGE = 4096
_RESERVE = 4 * 2**20
"""Bytes that the database may take even where the file system is nearly full."""

LossReason = Literal["full", "disk_full", "storage_failed", "corrupted", "too_large", "expired"]

_CLASS_NAMES: dict[Priority, GapClass] = {
    Priority.ALARM: "alarm",
    Priority.RECEIPT: "receipt",
    Priority.EVENT: "event",
    Priority.TELEMETRY: "telemetry",
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    key     INTEGER PRIMARY KEY,
    topic   TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO counter VALUES ('sequence', 0);
"""


@dataclass(slots=True)
class Usage:
    """What is stored of one class."""

    rows: int = 0
    size: int = 0


@dataclass(slots=True)
class _OpenGap:
    """A loss whose message has not been offered to the broker yet: it may still grow."""

    sequence: int
    stamp: Stamp
    count: int = 0
    first: int = 0
    last: int = 0
    from_ms: int = 0
    to_ms: int = 0

    def add(self, sequence: int, time_ms: int) -> None:
        self.first = min(self.first or sequence, sequence)
        self.last = max(self.last, sequence)
        self.from_ms = min(self.from_ms or time_ms, time_ms)
        self.to_ms = max(self.to_ms, time_ms)
        self.count += 1


@dataclass(slots=True)
class Bounds:
    """What the store may take."""

    rows: int
    size: int
    """Bytes of database and log together."""
    disk_floor: int = 0
    """Bytes left free on the file system."""


@dataclass(slots=True)
class _Plan:
    """One transaction's results, taken over only when it is committed."""

    stamp: Stamp
    sequence: int
    usage: dict[Priority, Usage]
    gaps: dict[tuple[Priority, LossReason], _OpenGap]
    file_size: int
    rows: list[Row] = field(default_factory=list)
    lost: int = 0


class CorruptedError(sqlite3.DatabaseError):
    """The database file is damaged."""


def is_corrupted(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged, as opposed to a disk that is full or read-only."""
    code = getattr(error, "sqlite_errorcode", None)
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, CorruptedError) or (code is not None and code & 0xFF in damaged)


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch."""

    rows: list[Row]
    """New rows, gap messages among them, without those that were evicted at once."""
    refused: dict[int, OversizeError]
    """Messages too large for the wire, by their place in the batch."""


class Store:
    """Rows of messages, bounded; a loss is admitted in the transaction that makes it.

    Args:
        path: the database file, or ``None`` for one in memory (while the disk fails).
        topics: the kiosk's topics.
        bounds: what it may take.
        free_bytes: tells the free space of the file system.
        first_sequence: the number before the first to be given out, if the database has none.
        loss_reason: reason of a gap where the bounds alone make the loss.

    Raises:
        sqlite3.Error: the database cannot be opened, or is corrupted (``DatabaseError``).
    """

    def __init__(
        self,
        path: Path | None,
        *,
        topics: Topics,
        bounds: Bounds,
        free_bytes: Callable[[], int],
        first_sequence: int = 0,
        loss_reason: LossReason = "full",
    ) -> None:
        self._topics = topics
        self._bounds = bounds
        self._free_bytes = free_bytes
        self._loss_reason = loss_reason
        self._log_limit = min(8 * 2**20, max(bounds.size // 8, 16 * _PAGE))
        self._batch_limit = min(2**20, bounds.size // 8)
        self._db = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5
        )
        try:
            self._prepare(path)
            self.usage = self._count()
            self._file_size = self._db.execute("PRAGMA page_count").fetchone()[0] * _PAGE
            stored = self._db.execute("SELECT value FROM counter").fetchone()[0]
        except BaseException:
            self._db.close()
            raise
        self.sequence: int = max(stored, first_sequence)
        self.lost = 0
        self._gaps: dict[tuple[Priority, LossReason], _OpenGap] = {}

    def _prepare(self, path: Path | None) -> None:
        if path is not None:
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA cache_size=-512")  # KiB, of 2,000: rows are read once
            self._db.execute(f"PRAGMA wal_autocheckpoint={self._log_limit // _PAGE // 2}")
            self._db.execute(f"PRAGMA journal_size_limit={self._log_limit}")
            # FULL alone lets a torn page pass; the check reads every page once, at start only.
            verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise CorruptedError(verdict)
        self._db.executescript(_SCHEMA)

    def _count(self) -> dict[Priority, Usage]:
        usage = {priority: Usage() for priority in Priority}
        for priority, rows, size in self._db.execute(
            "SELECT key >> ?, count(*), sum(length(payload) + length(topic) + ?)"
            " FROM message GROUP BY 1",
            (CLASS_SHIFT, ROW_OVERHEAD),
        ):
            if priority not in usage:
                msg = f"there is no class {priority} of messages"
                raise CorruptedError(msg)
            usage[Priority(priority)] = Usage(rows, size)
        return usage

    @property
    def rows(self) -> int:
        """Messages stored."""
        return sum(usage.rows for usage in self.usage.values())

    @property
    def size(self) -> int:
        """Bytes stored."""
        return sum(usage.size for usage in self.usage.values())

    def oldest_ms(self) -> int | None:
        """Time of the oldest message stored, in Unix milliseconds."""
        times = [
            row[0]
            for priority in Priority
            for row in self._db.execute(
                "SELECT time_ms FROM message WHERE key > ? AND key < ? ORDER BY key LIMIT 1",
                key_range(priority),
            )
        ]
        return min(times, default=None)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # -- writing ---------------------------------------------------------------------------

    def append(
        self,
        messages: Sequence[tuple[Data, Stamp]],
        delivered: Sequence[Row],
        held: AbstractSet[int],
        stamp: Stamp,
    ) -> Appended:
        """Number and store messages, and forget delivered ones, in one transaction.

        Args:
            messages: what to store, in order.
            delivered: rows that the broker has acknowledged.
            held: keys on their way to the broker: not to be evicted.
            stamp: now; the time of a gap message where one is needed.

        Raises:
            sqlite3.Error: nothing was stored and no number was given out.
        """
        plan = self._plan(stamp)
        refused: dict[int, OversizeError] = {}
        for place, (data, when) in enumerate(messages):
            try:
                plan.rows.append(self._row(data, when, plan.sequence + 1))
            except OversizeError as error:
                refused[place] = error
            else:
                plan.sequence += 1
        with self._transaction(plan):
            self._forget(plan, delivered)
            self._insert(plan, plan.rows)
            self._make_room(plan, held)
        return Appended(plan.rows, refused)

    def adopt(self, other: "Store", delivered: Sequence[int], stamp: Stamp) -> None:
        """Take over what another store held and the numbers that it gave out.

        Args:
            other: the store in memory that stood in while the disk failed.
            delivered: keys in this store that were acknowledged meanwhile.
            stamp: now.
        """
        plan = self._plan(stamp)
        plan.sequence = max(plan.sequence, other.sequence)
        with self._transaction(plan):
            self._delete(plan, delivered)
            self._insert(plan, list(other.all_rows()))
            self._make_room(plan, frozenset())

    def drop(self, keys: Sequence[int], reason: LossReason, stamp: Stamp) -> None:
        """Give up rows that can never be delivered, and say so on ``up/gap``."""
        plan = self._plan(stamp)
        with self._transaction(plan):
            self._drop(plan, keys, reason)

    def expire(
        self, kinds: Sequence[type[Data]], age_s: float, held: AbstractSet[int], stamp: Stamp
    ) -> bool:
        """Give up messages of some types that are older than that, and say so on ``up/gap``.

        Their age is known within a boot, between synchronised clocks, and, of an earlier boot, to
        be no less than this boot has lasted. What came before one that is too old is older.

        Returns:
            Whether there were any.
        """
        topics = [self._topics.up(kind.SUFFIX) for kind in kinds]
        marks = ",".join("?" * len(topics))
        old: list[int] = []
        for priority in {kind.PRIORITY for kind in kinds}:
            passed: list[int] = []
            for key, time_ms, payload in self._db.execute(
                "SELECT key, time_ms, payload FROM message WHERE key > ? AND key < ?"  # noqa: S608 - only marks
                f" AND topic IN ({marks}) ORDER BY key",
                (*key_range(priority), *topics),
            ):
                passed.append(key)
                older = _is_older(json.loads(payload), time_ms, age_s * 1000, stamp)
                if older:
                    old += passed
                    passed = []
                elif older is False:
                    break
        old = [key for key in old if key not in held]
        if old:
            self.drop(old, "expired", stamp)
        return bool(old)

    def admit_unknown_loss(self, last_sequence: int, reason: LossReason, stamp: Stamp) -> None:
        """Say on ``up/gap`` that whatever is missing up to a number may be lost for good."""
        plan = self._plan(stamp)
        plan.sequence = max(plan.sequence, last_sequence) + 1
        gap = Gap(
            message_class="unknown", first_sequence=1, last_sequence=last_sequence, reason=reason
        )
        with self._transaction(plan):
            self._insert(plan, [self._row(gap, stamp, plan.sequence)])

    def release(self, sequence: int, stamp: Stamp) -> None:
        """Forget every message up to a number: the centre has stored them."""
        plan = self._plan(stamp)
        with self._transaction(plan):
            for priority in Priority:
                low, _ = key_range(priority)
                high = key_of(priority, sequence)
                where = "FROM message WHERE key > ? AND key <= ?"
                rows, size = self._db.execute(
                    f"SELECT count(*), total(length(payload) + length(topic) + ?) {where}",
                    (ROW_OVERHEAD, low, high),
                ).fetchone()
                self._db.execute(f"DELETE {where}", (low, high))
                plan.usage[priority].rows -= rows
                plan.usage[priority].size -= int(size)

    # -- reading ---------------------------------------------------------------------------

    def fetch(
        self, priority: Priority, after: int, limit: int, held: AbstractSet[int]
    ) -> list[Row]:
        """Oldest rows of a class after a sequence number, without those in ``held``.

        A gap message among them will not grow any more: it is about to be offered.
        """
        rows: list[Row] = []
        for values in self._db.execute(
            "SELECT key, topic, time_ms, payload FROM message WHERE key > ? AND key < ?"
            " ORDER BY key LIMIT ?",
            (*key_range(priority, after), limit + len(held)),
        ):
            if values[0] not in held:
                rows.append(Row(*values))
                if len(rows) == limit:
                    break
        offered = {row.key for row in rows}
        self._gaps = {
            name: gap
            for name, gap in self._gaps.items()
            if key_of(Gap.PRIORITY, gap.sequence) not in offered
        }
        return rows

    def all_rows(self) -> Iterator[Row]:
        """Every row, in the order of sending."""
        for values in self._db.execute("SELECT key, topic, time_ms, payload FROM message"):
            yield Row(*values)

    # -- a transaction ---------------------------------------------------------------------

    def _plan(self, stamp: Stamp) -> _Plan:
        return _Plan(
            stamp=stamp,
            sequence=self.sequence,
            usage={priority: replace(usage) for priority, usage in self.usage.items()},
            gaps={name: replace(gap) for name, gap in self._gaps.items()},
            file_size=self._file_size,
        )

    @contextmanager
    def _transaction(self, plan: _Plan) -> Iterator[None]:
        """Commit what the body writes and take the plan over; else leave all as it was."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("UPDATE counter SET value = ?", (plan.sequence,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self.sequence = plan.sequence
        self.usage = plan.usage
        self._gaps = plan.gaps
        self._file_size = plan.file_size
        self.lost += plan.lost

    def _row(self, data: Data, stamp: Stamp, sequence: int) -> Row:
        sealed = seal(data, kiosk=self._topics.kiosk, stamp=stamp, sequence=sequence)
        return Row(
            key=key_of(data.PRIORITY, sequence),
            topic=self._topics.up(data.SUFFIX),
            time_ms=int(stamp.time.timestamp() * 1000),
            payload=sealed.payload,
        )

    def _insert(self, plan: _Plan, rows: Sequence[Row]) -> None:
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            values = ",".join(["(?,?,?,?)"] * len(chunk))
            self._db.execute(
                f"INSERT OR REPLACE INTO message VALUES {values}",  # noqa: S608 - only marks
                [v for row in chunk for v in (row.key, row.topic, row.time_ms, row.payload)],
            )
        for row in rows:
            usage = plan.usage[row.priority]
            usage.rows += 1
            usage.size += row.size

    def _forget(self, plan: _Plan, rows: Sequence[Row]) -> None:
        """Delete rows that are known, so that nothing need be read back."""
        missing = False
        for start in range(0, len(rows), _MAX_VARIABLES):
            chunk = [row.key for row in rows[start : start + _MAX_VARIABLES]]
            marks = ",".join("?" * len(chunk))
            cursor = self._db.execute(f"DELETE FROM message WHERE key IN ({marks})", chunk)  # noqa: S608 - only marks
            missing |= cursor.rowcount != len(chunk)
        if missing:  # some had been released by a watermark
            plan.usage = self._count()
            return
        for row in rows:
            plan.usage[row.priority].rows -= 1
            plan.usage[row.priority].size -= row.size

    def _delete(self, plan: _Plan, keys: Sequence[int]) -> list[tuple[int, int]]:
        """Delete rows; returns key and time of those that were there."""
        gone: list[tuple[int, int]] = []
        for start in range(0, len(keys), _MAX_VARIABLES):
            chunk = keys[start : start + _MAX_VARIABLES]
            marks = ",".join("?" * len(chunk))
            for key, time_ms, size in self._db.execute(
                f"DELETE FROM message WHERE key IN ({marks})"  # noqa: S608 - only marks
                f" RETURNING key, time_ms, length(payload) + length(topic) + {ROW_OVERHEAD}",
                chunk,
            ).fetchall():
                usage = plan.usage[Priority(key >> CLASS_SHIFT)]
                usage.rows -= 1
                usage.size -= size
                gone.append((key, time_ms))
        return gone

    # -- bounds ----------------------------------------------------------------------------

    def _make_room(self, plan: _Plan, held: AbstractSet[int]) -> None:
        """Evict the oldest of the lowest class until the rest fits."""
        limit = self._bounds.size - self._log_limit - self._batch_limit
        reason = self._loss_reason
        if self._free_bytes() < self._bounds.disk_floor:
            # The file system is nearly full: the file must not grow beyond what it has, or a few
            # MiB, which are less than the floor leaves.
            (pages,) = self._db.execute("PRAGMA page_count").fetchone()
            room = max(min(int(pages) * _PAGE, self._file_size), _RESERVE)
            if room < limit:
                limit, reason = room, "disk_full"
        while True:
            rows = sum(usage.rows for usage in plan.usage.values()) - self._bounds.rows
            size = self._measure() - limit
            if rows <= 0 and size <= 0:
                break
            victims = self._victims(plan, rows, size, held)
            if not victims:
                break
            self._drop(plan, victims, reason)
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        plan.file_size = int(pages) * _PAGE

    def _measure(self) -> int:
        """Bytes of the pages in use. Keys are in order, so old rows leave whole pages behind."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * _PAGE

    def _victims(self, plan: _Plan, rows: int, size: int, held: AbstractSet[int]) -> list[int]:
        """Keys of the oldest rows of the lowest class that has any to give."""
        gaps = {key_of(Gap.PRIORITY, gap.sequence) for gap in plan.gaps.values()}
        for priority in reversed(Priority):
            found: list[int] = []
            freed = 0
            for key, row_size in self._db.execute(
                "SELECT key, length(payload) + length(topic) + ? FROM message"
                " WHERE key > ? AND key < ? ORDER BY key",
                (ROW_OVERHEAD, *key_range(priority)),
            ):
                if len(found) >= rows and freed >= size:
                    break
                if key not in held and key not in gaps:
                    found.append(key)
                    freed += row_size
            if found:
                return found
        return []

    def _drop(self, plan: _Plan, keys: Sequence[int], reason: LossReason) -> None:
        """Delete rows and let the gap message of their class tell of them."""
        gone = self._delete(plan, keys)
        plan.lost += len(gone)
        changed: dict[Priority, _OpenGap] = {}
        for key, time_ms in gone:
            priority, sequence = split_key(key)
            gap = plan.gaps.get((priority, reason))
            if gap is None:
                plan.sequence += 1
                gap = plan.gaps[priority, reason] = _OpenGap(plan.sequence, plan.stamp)
            gap.add(sequence, time_ms)
            changed[priority] = gap
        dropped = {key for key, _ in gone}
        told = [self._gap_row(priority, reason, gap) for priority, gap in changed.items()]
        self._delete(plan, [row.key for row in told])
        self._insert(plan, told)
        dropped.update(row.key for row in told)
        plan.rows[:] = [*(row for row in plan.rows if row.key not in dropped), *told]

    def _gap_row(self, priority: Priority, reason: LossReason, gap: _OpenGap) -> Row:
        message = Gap(
            message_class=_CLASS_NAMES[priority],
            count=gap.count,
            first_sequence=gap.first,
            last_sequence=gap.last,
            reason=reason,
            from_time=_time(gap.from_ms),
            to_time=_time(gap.to_ms),
        )
        return self._row(message, gap.stamp, gap.sequence)


def _is_older(envelope: dict[str, Any], time_ms: int, age_ms: float, now: Stamp) -> bool | None:
    """Whether a message is older than that; None where nobody can know."""
    if envelope["bootid"] == now.boot_id:
        return bool(now.monotonic_ms - envelope["monotonicms"] > age_ms)
    if envelope["timequality"] == now.time_quality == "synced":
        return now.time.timestamp() * 1000 - time_ms > age_ms
    return True if now.monotonic_ms > age_ms else None


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
