"""The audit trail's tables, in the ledger's own database: a step and its entry are one transaction.

All methods block and run inside the transaction of the caller.
"""

import sqlite3
from collections.abc import Iterator

from contract import Stamp
from contract.audit import NOTHING, AuditEntry, ChainHead, Facts, next_entry
from contract.ids import uuid7_at

MAX_ROWS = 100_000
MAX_BYTES = 64 * 2**20
_PRUNE_SHARE = 16

_ENTRIES = (
    "CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT"
)
_HEAD = """
CREATE TABLE IF NOT EXISTS audit_head (
    chain  TEXT NOT NULL,
    number INTEGER NOT NULL,
    hash   TEXT NOT NULL,
    bytes  INTEGER NOT NULL
) STRICT
"""


class AuditTable:
    """The chain of entries, each a line as :meth:`contract.audit.AuditEntry.line` writes it.

    Beyond ``max_rows`` entries or about ``max_bytes`` the oldest go. The rest stays a chain: its
    first entry has the hash of the last that went.

    Raises:
        sqlite3.Error: from every method; roll the transaction back.
    """

    def __init__(
        self, db: sqlite3.Connection, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._db = db
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    def begin(self, stamp: Stamp, reason: str) -> bool:
        """Make the tables and begin a chain where there is none; returns whether it did."""
        self._db.execute(_ENTRIES)
        self._db.execute(_HEAD)
        if self._db.execute("SELECT 1 FROM audit_head").fetchone() is not None:
            return False
        chain = uuid7_at(stamp.time)
        self._db.execute("INSERT INTO audit_head VALUES (?, 0, ?, 0)", (chain, NOTHING))
        self.append("chain.begin", {"reason": reason}, stamp)
        return True

    def append(self, kind: str, data: Facts, stamp: Stamp) -> AuditEntry:
        """Append an entry, and drop the oldest beyond the bounds.

        Raises:
            ContractError: the data cannot be an entry's; nothing was changed.
        """
        head = self.head()
        entry = next_entry(head, kind, data, stamp)
        line = entry.line()
        self._db.execute("INSERT INTO audit VALUES (?, ?)", (entry.number, line.decode()))
        (size,) = self._db.execute(
            "UPDATE audit_head SET number = ?, hash = ?, bytes = bytes + ? RETURNING bytes",
            (entry.number, entry.hash, len(line)),
        ).fetchone()
        rows = entry.number - head.first + 1
        excess = rows - self._max_rows
        if size > self._max_bytes:
            excess = max(excess, rows // _PRUNE_SHARE, 1)
        if excess > 0:
            self._prune(min(head.first + excess, entry.number))
        return entry

    def head(self) -> ChainHead:
        """Return the newest entry's number and hash, and the number of the oldest."""
        row = self._db.execute(
            "SELECT chain, number, hash, coalesce((SELECT min(number) FROM audit), number + 1)"
            " FROM audit_head"
        ).fetchone()
        if row is None:
            msg = "the audit trail has lost its head"
            raise sqlite3.DatabaseError(msg)
        return ChainHead(*row)

    def size(self) -> int:
        """Return the bytes of all entries."""
        size: int = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM audit_head").fetchone()[0]
        return size

    def lines(self, *, after: int = 0) -> Iterator[bytes]:
        """Yield the entries after a number as their lines, the oldest first."""
        rows = self._db.execute(
            "SELECT entry FROM audit WHERE number > ? ORDER BY number", (after,)
        )
        return (entry.encode() for (entry,) in rows)

    def _prune(self, first: int) -> None:
        """Drop what comes before ``first``."""
        gone = self._db.execute(
            "DELETE FROM audit WHERE number < ? RETURNING length(CAST(entry AS BLOB))", (first,)
        ).fetchall()
        size = sum(size for (size,) in gone)
        self._db.execute("UPDATE audit_head SET bytes = bytes - ?", (size,))
