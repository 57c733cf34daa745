"""What a CA has issued: one SQLite file, so that each entry is there whole or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from console.errors import AuthorityError

Role = Literal[
    "kiosk", "viewer", "operator", "supervisor", "maintainer", "service", "bridge", "server"
]
"""What the owner of a certificate is to the broker."""
ROLES: frozenset[Role] = frozenset(get_args(Role))

FILE = "index.db"
_SCHEMA = """
CREATE TABLE issued (
    serial TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    revoked INTEGER,
    pem BLOB NOT NULL
) STRICT;
CREATE INDEX issued_by_name ON issued (name);
CREATE TABLE lists (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate; times are seconds since 1970."""

    serial: str
    """In hexadecimal, upper case, some forty random digits: no name is one by chance."""
    name: str
    role: Role
    not_before: int
    not_after: int
    revoked: int | None
    """Since when."""
    pem: bytes

    def valid_at(self, now: float) -> bool:
        """Whether it still opens a door."""
        return self.revoked is None and now < self.not_after


class IssuedIndex:
    """The index in a CA's folder. Several programs may use it at the same time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def create(self) -> None:
        """Make an empty one; raises :class:`AuthorityError`."""
        self._path.touch(mode=0o600)
        with self._open() as database:
            database.executescript(_SCHEMA)

    def add(self, entry: Issued) -> None:
        """Record a certificate before it is handed out; raises :class:`AuthorityError`."""
        with self._open() as database:
            database.execute(
                "INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.serial,
                    entry.name,
                    entry.role,
                    entry.not_before,
                    entry.not_after,
                    entry.revoked,
                    entry.pem,
                ),
            )

    def all(self) -> list[Issued]:
        """Return every certificate, oldest first; raises :class:`AuthorityError`."""
        with self._open() as database:
            rows = database.execute("SELECT * FROM issued ORDER BY rowid").fetchall()
        return [Issued(*row) for row in rows]

    def revoke(self, who: str, now: int) -> list[Issued]:
        """Revoke one certificate by its serial, or all valid ones of a name; returns them.

        A serial may be written as other tools do. A server's certificate is revoked by its serial
        alone: a broker may have the name of a kiosk.

        Raises:
            AuthorityError: there is none.
        """
        serial = who.replace(":", "").upper().lstrip("0")
        with self._open() as database:
            rows = database.execute(
                "UPDATE issued SET revoked = :now WHERE revoked IS NULL AND (serial = :serial "
                "OR name = :who AND role <> 'server' AND not_after > :now) RETURNING *",
                {"serial": serial, "who": who, "now": now},
            ).fetchall()
        if not rows:
            msg = (
                f"no certificate in force has the name or the serial {who!r}; that of a server is "
                "revoked by its serial"
            )
            raise AuthorityError(msg)
        return [Issued(*row) for row in rows]

    def next_list(self, now: int) -> int:
        """Return the number of a new revocation list: each is higher than those before."""
        with self._open() as database:
            row = database.execute(
                "INSERT INTO lists (at) VALUES (?) RETURNING number", (now,)
            ).fetchone()
        return int(row[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self._path.is_file():
            msg = f"{self._path.parent} is no CA: it has no {FILE}; kioskctl ca init makes one"
            raise AuthorityError(msg)
        try:
            with closing(sqlite3.connect(self._path, timeout=10)) as database:
                # With less, a power cut can bring back the journal, and take back what was told.
                database.execute("PRAGMA synchronous = EXTRA")
                with database:
                    yield database
        except sqlite3.Error as error:
            msg = f"{self._path}: {error}"
            raise AuthorityError(msg) from None
