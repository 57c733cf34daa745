"""The ledger's tables: commands, and every receipt of each, in SQLite.

All methods block; the ledger calls them from its one thread. Each is one durable transaction.

``floor`` is the latest expiry among the commands that were forgotten: one that expires no later
may be a replay of those and can be turned away without being known, whatever the clock says.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from contract import Stamp
from contract.command import Command
from contract.receipt import TERMINAL, Receipt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS command (
    number   INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL,
    signers  TEXT NOT NULL,
    received TEXT NOT NULL,
    exp      INTEGER NOT NULL,
    state    TEXT NOT NULL,
    ended_s  INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS command_open ON command(state) WHERE state IN ('accepted', 'running');
CREATE INDEX IF NOT EXISTS command_exp ON command(exp);
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
CREATE TABLE IF NOT EXISTS forgotten (floor INTEGER NOT NULL) STRICT;
INSERT INTO forgotten SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM forgotten);
"""
_FORGET_SHARE = 16

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


class LedgerStore:
    """Commands and receipts.

    Raises:
        sqlite3.Error: from every method; nothing was changed.
    """

    def __init__(self, path: Path, *, max_rows: int, max_bytes: int, retention_s: int) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._retention_s = retention_s
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.execute(f"PRAGMA journal_size_limit={2**20}")
            self._page_size: int = self._db.execute("PRAGMA page_size").fetchone()[0]
            self._check()
            self._db.executescript(_SCHEMA)
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

    # -- writing ---------------------------------------------------------------------------

    def add(self, record: Record, receipt: Receipt, stamp: Stamp) -> None:
        """Record a command with its first receipt, and forget old ones."""
        with self._transaction():
            self._forget(stamp)
            self._db.execute(
                "INSERT INTO command (id, document, signers, received, exp, state)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    record.command.id,
                    record.command.model_dump_json(),
                    json.dumps(record.signers),
                    _STAMP.dump_json(record.received).decode(),
                    record.command.exp,
                    receipt.status,
                ),
            )
            self._append(receipt, stamp)

    def append(self, receipt: Receipt, stamp: Stamp) -> None:
        """Record the next receipt of a command that has not ended."""
        with self._transaction():
            self._append(receipt, stamp)

    def mark_published(self, number: int) -> None:
        """Remember that a receipt was handed on."""
        self._db.execute("UPDATE receipt SET published = 1 WHERE number = ?", (number,))

    # -- reading ---------------------------------------------------------------------------

    def last_step(self, command_id: str) -> Step | None:
        """Return the newest receipt of a command, or ``None`` where it is not known."""
        row = self._db.execute(
            "SELECT number, document, stamp FROM receipt WHERE command_id = ?"
            " ORDER BY number DESC LIMIT 1",
            (command_id,),
        ).fetchone()
        return None if row is None else _step(row)

    def next_unpublished(self) -> Step | None:
        """Return the oldest receipt that was not handed on yet."""
        row = self._db.execute(
            "SELECT number, document, stamp FROM receipt WHERE NOT published"
            " ORDER BY number LIMIT 1"
        ).fetchone()
        return None if row is None else _step(row)

    def next_in(self, state: Literal["accepted", "running"]) -> Record | None:
        """Return the oldest command in a state."""
        row = self._db.execute(
            "SELECT document, signers, received FROM command WHERE state = ?"
            " ORDER BY number LIMIT 1",
            (state,),
        ).fetchone()
        if row is None:
            return None
        document, signers, received = row
        return Record(
            command=Command.model_validate_json(document),
            signers=tuple(json.loads(signers)),
            received=_STAMP.validate_json(received),
        )

    def waiting(self) -> int:
        """Count the accepted commands that have not begun."""
        count: int = self._db.execute(
            "SELECT count(*) FROM command WHERE state = 'accepted'"
        ).fetchone()[0]
        return count

    def floor(self) -> int:
        """Return the latest expiry among forgotten commands, in seconds since 1970."""
        floor: int = self._db.execute("SELECT floor FROM forgotten").fetchone()[0]
        return floor

    # -- a transaction ---------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _append(self, receipt: Receipt, stamp: Stamp) -> None:
        terminal = receipt.status in TERMINAL
        ended_s = (
            int(stamp.time.timestamp()) if terminal and stamp.time_quality == "synced" else None
        )
        self._db.execute(
            "INSERT INTO receipt (command_id, document, stamp, terminal) VALUES (?, ?, ?, ?)",
            (
                receipt.command_id,
                receipt.model_dump_json(exclude_none=True),
                _STAMP.dump_json(stamp).decode(),
                terminal,
            ),
        )
        self._db.execute(
            "UPDATE command SET state = ?, ended_s = ? WHERE id = ?",
            (receipt.status, ended_s, receipt.command_id),
        )

    def _forget(self, now: Stamp) -> None:
        """Make room: what is older than the retention, then whatever expires first."""
        if now.time_quality == "synced":
            now_s = int(now.time.timestamp())
            self._delete(
                "SELECT number FROM command WHERE exp < ? AND ended_s < ?",
                now_s,
                now_s - self._retention_s,
            )
        rows = self._db.execute("SELECT count(*) FROM command").fetchone()[0]
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        excess = rows + 1 - self._max_rows
        if (pages - free) * self._page_size > self._max_bytes:
            excess = max(excess, rows // _FORGET_SHARE)
        if excess > 0:
            self._delete(
                "SELECT number FROM command WHERE state NOT IN ('accepted', 'running')"
                " ORDER BY exp LIMIT ?",
                excess,
            )

    def _delete(self, which: str, *values: int) -> None:
        gone = self._db.execute(
            f"DELETE FROM command WHERE number IN ({which}) RETURNING exp",  # noqa: S608 - ours
            values,
        ).fetchall()
        if gone:
            self._db.execute(
                "UPDATE forgotten SET floor = max(floor, ?)", (max(exp for (exp,) in gone),)
            )


def _step(row: tuple[int, str, str]) -> Step:
    number, document, stamp = row
    return Step(number, Receipt.model_validate_json(document), _STAMP.validate_json(stamp))
