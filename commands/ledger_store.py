"""The ledger's tables: commands, every receipt of each, and the audit trail, in SQLite.

All methods block; the ledger calls them from its one thread, inside a transaction that it holds.
A command's step and its entry in the audit trail are one transaction: neither is without the
other.

What a kiosk has forgotten it must not do again. ``floor`` is the latest expiry among the
commands that were forgotten: one that expires no later may be a replay of those. ``since`` is
when the record began: what could be signed before that may have been done by a record that is
lost. As long as a record that follows on a damaged one does not know that, no command that has
an effect is done on its date. Dates that cannot be, because a clock was wrong or a command made
them up, do not last.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import TypeAdapter

from commands.audit_store import AuditTable
from commands.errors import RefusedError, ReplayError, UndatedError
from commands.settings import CommandSettings
from contract import Stamp
from contract.actions import ACTIONS
from contract.audit import Facts
from contract.command import MAX_VALIDITY_S, Command
from contract.receipt import TERMINAL, Receipt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS command (
    number     INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    document   TEXT NOT NULL,
    digest     TEXT NOT NULL,
    signers    TEXT NOT NULL,
    received   TEXT NOT NULL,
    exp        INTEGER NOT NULL,
    disruptive INTEGER NOT NULL,
    state      TEXT NOT NULL,
    begun      TEXT,
    ended_s    INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS command_open ON command(state) WHERE state IN ('accepted', 'running');
CREATE INDEX IF NOT EXISTS command_exp ON command(exp);
CREATE INDEX IF NOT EXISTS command_ended ON command(ended_s);
CREATE INDEX IF NOT EXISTS command_disruptive ON command(number) WHERE disruptive;
CREATE TABLE IF NOT EXISTS receipt (
    number     INTEGER PRIMARY KEY,
    command_id TEXT NOT NULL REFERENCES command(id) ON DELETE CASCADE,
    document   TEXT NOT NULL,
    stamp      TEXT NOT NULL,
    terminal   INTEGER NOT NULL,
    published  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS receipt_command ON receipt(command_id);
CREATE UNIQUE INDEX IF NOT EXISTS receipt_one_end ON receipt(command_id) WHERE terminal;
CREATE INDEX IF NOT EXISTS receipt_unpublished ON receipt(number) WHERE NOT published;
CREATE TABLE IF NOT EXISTS memory (floor INTEGER NOT NULL, since INTEGER NOT NULL) STRICT;
INSERT INTO memory SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM memory);
"""
_AFTER_ANOTHER = -1
"""``since`` is not known yet, and what was done just before may have been forgotten."""
_FORGET_SHARE = 16
_PUBLISH_AT_ONCE = 100
_HOUR_MS = 3_600_000

T = TypeVar("T")

_log = structlog.get_logger()
_STAMP = TypeAdapter(Stamp)


@dataclass(frozen=True, slots=True)
class Step:
    """A receipt as it was recorded."""

    number: int
    receipt: Receipt
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Record:
    """A recorded command."""

    command: Command
    signers: tuple[str, ...]
    received: Stamp
    digest: str = ""
    """SHA-256 of the signed document."""


@dataclass(frozen=True, slots=True)
class OpenCommand:
    """A command that has not ended; ``begun`` when it was recorded as running, if it was."""

    record: Record
    begun: Stamp | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a command that came in: known before, or recorded with these steps."""

    known: Step | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command must keep to in order to be recorded as accepted."""

    waiting: int
    disruptive_per_hour: int | None
    """``None``: it is not a disruptive one."""
    has_effect: bool = True
    """Whether it matters that it is done once."""


class LedgerStore:
    """Commands, receipts, and the audit trail.

    Raises:
        sqlite3.Error: from every method; nothing was changed.
    """

    def __init__(
        self, path: Path, *, settings: CommandSettings, stamp: Stamp, former: Path | None = None
    ) -> None:
        self._settings = settings
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA cache_size=-512")  # KiB, of 2,000
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.execute("PRAGMA secure_delete=ON")  # what is private is gone when it goes
            # The log is written over from its start before it reaches the size it is cut to: a log
            # that grows costs a write of the file system's own with every commit.
            self._db.execute("PRAGMA wal_autocheckpoint=200")
            self._db.execute(f"PRAGMA journal_size_limit={2**20}")
            self._page_size: int = self._db.execute("PRAGMA page_size").fetchone()[0]
            self._check()
            self._db.executescript(_SCHEMA)
            self.audit = AuditTable(self._db, max_rows=settings.audit_max_rows)
            self._log_holds_private = True  # a life that was cut off may have left some
            self._since: int = self._db.execute("SELECT since FROM memory").fetchone()[0]
            with self.transaction():
                reason = f"the one before was damaged, see {former.name}" if former else "new"
                if self.audit.begin(stamp, reason) and former:
                    self._db.execute("UPDATE memory SET since = ?", (_AFTER_ANOTHER,))
                    self._since = _AFTER_ANOTHER
        except BaseException:
            self._db.close()
            raise

    def _check(self) -> None:
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def knows_since(self) -> bool:
        """Whether it is known when this record began."""
        return self._since > 0

    # -- writing ---------------------------------------------------------------------------

    def note_time(self, stamp: Stamp) -> None:
        """Note when this record began, as soon as the clock can be believed."""
        if stamp.time_quality != "synced":
            return
        now_s, margin_s = int(stamp.time.timestamp()), 2 * self._settings.clock_leeway_s
        if not 0 < self._since <= now_s + margin_s:
            # By a clock that is ahead as far as it may, something done just before was dated later.
            self._since = now_s + margin_s if self._since == _AFTER_ANOTHER else now_s
            self._db.execute("UPDATE memory SET since = ?", (self._since,))
        latest_s = self._latest_exp(now_s)
        self._db.execute("UPDATE memory SET floor = ? WHERE floor > ?", (latest_s, latest_s))

    def _latest_exp(self, now_s: int) -> int:
        """No command that expires later is valid yet."""
        return now_s + self._settings.clock_leeway_s + MAX_VALIDITY_S

    def take_in(
        self,
        record: Record,
        receipts: Sequence[Receipt],
        stamp: Stamp,
        *,
        limits: Limits | None = None,
    ) -> Taken:
        """Record a command that is not known yet with its first receipts.

        Without limits, the receipts are a refusal.

        Raises:
            ReplayError: it is old enough to have been forgotten; nothing is recorded.
            UndatedError: it may be, and nobody can tell; likewise.
            RefusedError: it goes beyond the limits; likewise.
        """
        known = self.recall(record.command)
        if known is not None:
            return Taken(known, ())
        if limits is not None:
            if limits.has_effect and self._may_be_forgotten(record.command):
                raise UndatedError
            self._check_limits(limits, stamp)
        disruptive = limits is not None and limits.disruptive_per_hour is not None
        return Taken(None, self._add(record, receipts, stamp, disruptive=disruptive))

    def _may_be_forgotten(self, command: Command) -> bool:
        """Whether a lost record may have had it, and no clock has told yet when this one began."""
        return self._since == _AFTER_ANOTHER and command.challenge is None

    def _check_limits(self, limits: Limits, stamp: Stamp) -> None:
        waiting = self._db.execute(
            "SELECT count(*) FROM command WHERE state = 'accepted'"
        ).fetchone()[0]
        if waiting >= limits.waiting:
            text = f"{waiting} commands are waiting already; send it later"
            raise RefusedError(code="rate_limited", text=text)
        if limits.disruptive_per_hour is not None:
            self._check_loop(limits.disruptive_per_hour, stamp)

    def _add(
        self, record: Record, receipts: Sequence[Receipt], stamp: Stamp, *, disruptive: bool
    ) -> tuple[Step, ...]:
        """Record a command with its first receipts, and forget old ones."""
        self._forget(stamp)
        ended = receipts[-1].status in TERMINAL
        self._db.execute(
            "INSERT INTO command (id, document, digest, signers, received, exp, disruptive, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.command.id,
                _document(record.command, ended=ended),
                record.digest,
                json.dumps(record.signers),
                _STAMP.dump_json(record.received).decode(),
                record.command.exp,
                disruptive,
                receipts[0].status,
            ),
        )
        steps = tuple(self._append(receipt, stamp) for receipt in receipts)
        self._account(record, receipts[-1] if ended else receipts[0], stamp)
        return steps

    def append(self, record: Record, receipt: Receipt, stamp: Stamp) -> Step:
        """Record the next receipt of a command that has not ended."""
        if receipt.status != "running":
            self._account(record, receipt, stamp)
        if receipt.status in TERMINAL and _is_private(record.command):
            self._db.execute(
                "UPDATE command SET document = ? WHERE id = ?",
                (_document(record.command, ended=True), record.command.id),
            )
            self._log_holds_private = True
        return self._append(receipt, stamp)

    def _append(self, receipt: Receipt, stamp: Stamp) -> Step:
        terminal = receipt.status in TERMINAL
        moment = _STAMP.dump_json(stamp).decode()
        synced = stamp.time_quality == "synced"
        number = self._db.execute(
            "INSERT INTO receipt (command_id, document, stamp, terminal) VALUES (?, ?, ?, ?)",
            (receipt.command_id, receipt.model_dump_json(exclude_none=True), moment, terminal),
        ).lastrowid
        self._db.execute(
            "UPDATE command SET state = ?, ended_s = ?, begun = coalesce(begun, ?) WHERE id = ?",
            (
                receipt.status,
                int(stamp.time.timestamp()) if terminal and synced else None,
                moment if receipt.status == "running" else None,
                receipt.command_id,
            ),
        )
        return Step(number or 0, receipt, stamp)

    def _account(self, record: Record, receipt: Receipt, stamp: Stamp) -> None:
        """Put into the audit trail who ordered what, why, and how far it came."""
        command = record.command
        facts: Facts = {
            "command_id": command.id,
            "action": command.action,
            "document_sha256": record.digest,
            "signers": ",".join(record.signers),
            "reason": command.reason,
            "ticket": command.ticket,
            "code": receipt.code,
            "text": receipt.text,
        }
        known = {name: fact for name, fact in facts.items() if fact}
        self.audit.append(f"command.{receipt.status}", known, stamp)

    def mark_published(self, numbers: Sequence[int]) -> None:
        """Remember that receipts were handed on."""
        self._db.executemany(
            "UPDATE receipt SET published = 1 WHERE number = ?", [(one,) for one in numbers]
        )

    # -- reading ---------------------------------------------------------------------------

    def recall(self, command: Command) -> Step | None:
        """Return the newest receipt of a command, or ``None`` where it is a new one.

        Raises:
            ReplayError: it is not known, but old enough to have been forgotten.
            RefusedError: another command had its id.
        """
        known = self.last_step(command.id)
        if known is not None:
            self._check_same(command)
            return known
        floor = self._db.execute("SELECT floor FROM memory").fetchone()[0]
        if command.exp <= floor:
            text = "it is older than what this kiosk remembers: it may be a replay"
            raise ReplayError(text)
        if command.challenge is None and command.nbf + self._settings.clock_leeway_s < self._since:
            text = (
                "it was signed before this kiosk's record of commands began, so it may have been "
                "done before; sign a new one"
            )
            raise ReplayError(text)
        return None

    def _check_same(self, command: Command) -> None:
        """Refuse what was signed under the id of another command: its receipts are not these."""
        (document,) = self._db.execute(
            "SELECT document FROM command WHERE id = ?", (command.id,)
        ).fetchone()
        known = Command.model_validate_json(document)
        same = (_document(command, ended=ended) for ended in (False, True))
        if known not in [Command.model_validate_json(one) for one in same]:
            text = "another command came with this id before: every command needs an id of its own"
            raise RefusedError(code="malformed", text=text)

    def last_step(self, command_id: str) -> Step | None:
        """Return the newest receipt of a command, or ``None`` where it is not known."""
        row = self._db.execute(
            "SELECT number, document, stamp FROM receipt WHERE command_id = ?"
            " ORDER BY number DESC LIMIT 1",
            (command_id,),
        ).fetchone()
        return None if row is None else _step(row)

    def unpublished(self) -> list[Step]:
        """Return some receipts that were not handed on yet, the oldest first.

        Without those after which a later one of the same command was: they would look like news;
        and without what a newer version of the agent wrote and this one cannot read.
        """
        rows = self._db.execute(
            "SELECT number, document, stamp FROM receipt AS one WHERE NOT published"
            " AND NOT EXISTS (SELECT 1 FROM receipt AS later WHERE later.published"
            " AND later.command_id = one.command_id AND later.number > one.number)"
            " ORDER BY number LIMIT ?",
            (_PUBLISH_AT_ONCE,),
        )
        return list(_readable(_step, rows))

    def open_commands(self) -> list[OpenCommand]:
        """Return the commands that have not ended, the oldest first.

        What this version cannot read waits for the newer one that accepted it.
        """
        rows = self._db.execute(
            "SELECT document, signers, received, digest, begun FROM command"
            " WHERE state IN ('accepted', 'running') ORDER BY number"
        )
        return list(_readable(_open_command, rows))

    def _check_loop(self, per_hour: int, now: Stamp) -> None:
        """Refuse where so many disruptive commands were accepted within the last hour."""
        rows = self._db.execute(
            "SELECT received FROM command WHERE disruptive ORDER BY number DESC LIMIT ?",
            (per_hour,),
        ).fetchall()
        if len(rows) == per_hour and all(
            _within_hour(_STAMP.validate_json(s), now) for (s,) in rows
        ):
            text = (
                f"{per_hour} commands have interrupted this kiosk's service within the last hour; "
                "it takes no more for now"
            )
            raise RefusedError(code="loop_breaker", text=text)

    # -- transactions ----------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One durable transaction around the body."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        if self._log_holds_private:
            # What is committed stays so; where this fails, the next transaction tries again.
            with suppress(sqlite3.Error):
                busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._log_holds_private = bool(busy)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo the body alone where it raises, within a transaction."""
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has rolled everything back already
                self._db.execute("ROLLBACK TO one")
                self._db.execute("RELEASE one")
            raise
        self._db.execute("RELEASE one")

    def _forget(self, now: Stamp) -> None:
        """Make room: what is older than the retention, then whatever expires first."""
        latest_exp = None
        if now.time_quality == "synced":
            now_s = int(now.time.timestamp())
            latest_exp = self._latest_exp(now_s)
            self._delete(
                "SELECT number FROM command WHERE +exp < ? AND ended_s < ?",
                now_s,
                now_s - self._settings.ledger_retention_days * 86_400,
                latest_exp=latest_exp,
            )
        rows = self._db.execute("SELECT count(*) FROM command").fetchone()[0]
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        size = (pages - free) * self._page_size - self.audit.size()
        excess = rows + 1 - self._settings.ledger_max_rows
        if size > self._settings.ledger_max_mib * 2**20:
            excess = max(excess, rows // _FORGET_SHARE)
        if excess > 0:
            self._delete(
                "SELECT number FROM command WHERE state NOT IN ('accepted', 'running')"
                " ORDER BY exp LIMIT ?",
                excess,
                latest_exp=latest_exp,
            )

    def _delete(self, which: str, *values: int, latest_exp: int | None) -> None:
        gone = self._db.execute(
            f"DELETE FROM command WHERE number IN ({which}) RETURNING exp",  # noqa: S608 - ours
            values,
        ).fetchall()
        # What was never valid was never done.
        valid = [exp for (exp,) in gone if latest_exp is None or exp <= latest_exp]
        if valid:
            self._db.execute("UPDATE memory SET floor = max(floor, ?)", (max(valid),))


def _within_hour(then: Stamp, now: Stamp) -> bool:
    """Whether it was less than an hour ago; when nobody can know, it was."""
    if then.boot_id == now.boot_id:
        return now.monotonic_ms - then.monotonic_ms < _HOUR_MS
    if now.monotonic_ms >= _HOUR_MS:  # this boot alone has lasted longer
        return False
    if "unsynced" in (then.time_quality, now.time_quality):
        return True
    return (now.time - then.time).total_seconds() * 1000 < _HOUR_MS


def _readable(read: Callable[[Any], T], rows: Iterable[Any]) -> Iterator[T]:
    """Read rows; one of another version of the agent must not keep the others from going on."""
    for row in rows:
        try:
            yield read(row)
        except ValueError as error:
            _log.error("a row of the ledger cannot be read", reason=str(error)[:200])


def _open_command(row: tuple[str, str, str, str, str | None]) -> OpenCommand:
    document, signers, received, digest, begun = row
    return OpenCommand(
        Record(
            command=Command.model_validate_json(document),
            signers=tuple(json.loads(signers)),
            received=_STAMP.validate_json(received),
            digest=digest,
        ),
        None if begun is None else _STAMP.validate_json(begun),
    )


def _step(row: tuple[int, str, str]) -> Step:
    number, document, stamp = row
    # What a later release told more than this one knows is passed over: it is still what was told.
    receipt = Receipt.model_validate_json(document, extra="ignore")
    return Step(number, receipt, _STAMP.validate_json(stamp))


def _document(command: Command, *, ended: bool) -> str:
    """Return what is kept of a command: once it has ended, no private arguments."""
    if ended and _is_private(command):
        command = command.model_copy(update={"args": {}})
    return command.model_dump_json()


def _is_private(command: Command) -> bool:
    arguments = ACTIONS.get(command.action)
    return arguments is not None and arguments.PRIVATE
