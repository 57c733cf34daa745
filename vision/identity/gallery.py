"""The gallery: who is enrolled, in one SQLite file whose records are sealed.

In the clear are random numbers and when a record ends. Without the key the file names nobody and
holds no face; what is too old can be deleted all the same.

What is deleted is gone from the file, too: SQLite overwrites it (``secure_delete``), but leaves
copies of rows that it moved about before, so the file is written anew after each deletion. The
journal is a file of its own that goes with each change, not a write-ahead log, whose content a
reader can hold back.

Light on purpose: the agent imports it.
"""

import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vision.identity.gallery_key import GalleryError, GalleryKeyError
from vision.identity.gallery_record import (
    FORMAT,
    Enrolled,
    Keys,
    Moment,
    NewPerson,
    Person,
    Record,
    Removed,
    Stored,
    Unsealed,
    enrolled,
)

_AT_ONCE = 500
_TIMEOUT_S = 5.0
_SCHEMA = (
    """CREATE TABLE gallery (
    key_check BLOB,
    lived_s   REAL NOT NULL,
    changes   INTEGER NOT NULL,
    unclean   INTEGER NOT NULL
) STRICT""",
    "CREATE TABLE note (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
    """CREATE TABLE person (
    number      INTEGER PRIMARY KEY,
    enrolment   TEXT NOT NULL UNIQUE,
    subject     BLOB NOT NULL UNIQUE,
    enrolled_ms INTEGER NOT NULL,
    synced      INTEGER NOT NULL,
    lived_s     REAL NOT NULL,
    days        INTEGER NOT NULL,
    sealed      BLOB NOT NULL
) STRICT""",
)
_IS_BEGUN = "SELECT count(*) = 1 FROM gallery"


class GalleryDamagedError(GalleryError):
    """The file is no gallery, or no longer: it is to be set aside."""


NoteRemoval = Callable[[Removed], Iterable[str]]


class Gallery:
    """The file, open. Every method blocks, and changes everything or nothing.

    What is to be told of a change (``note`` says it) is kept with it until :meth:`told`: each
    change is told of at least once, whatever happens in between.

    Args:
        path: the file; made where there is none.
        key: 32 bytes; None: there is none. Without it persons can be counted and deleted.

    Raises:
        GalleryError: here and from every method: the disk or another process does not let us; here
            also: it is of a newer agent.
        GalleryDamagedError: here and from every method: it is no gallery.
        GalleryKeyError: from methods that look into records: the key is lost, or another one.
    """

    def __init__(self, path: Path, key: bytes | None) -> None:
        self._path = path
        self._keys = None if key is None else Keys(key)
        with self._clear_errors():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=_TIMEOUT_S
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=DELETE")
        # A journal that came back after a power cut would bring back what it was to delete.
        self._db.execute("PRAGMA synchronous=EXTRA")
        self._db.execute("PRAGMA secure_delete=ON")
        self._db.execute("PRAGMA temp_store=MEMORY")
        verdict = self._one("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise GalleryDamagedError(verdict)
        with self._transaction():
            version = self._one("PRAGMA user_version")
            if version > FORMAT:
                msg = (
                    f"the list of enrolled staff {self._path} is of a newer agent: update this one"
                )
                raise GalleryError(msg)
            query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
            tables = tuple(sql for (sql,) in self._db.execute(query))
            if version == 0 and not tables:
                for statement in _SCHEMA:
                    self._db.execute(statement)
                self._db.execute("INSERT INTO gallery VALUES (NULL, 0, 0, 0)")
                self._db.execute(f"PRAGMA user_version={FORMAT}")
            elif (version, tables) != (FORMAT, _SCHEMA) or not self._one(_IS_BEGUN):
                msg = "it is not a gallery"
                raise GalleryDamagedError(msg)
        self._clean()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- looking ---------------------------------------------------------------------------

    def count(self) -> int:
        """Say how many persons are enrolled."""
        with self._clear_errors():
            return self._count()

    def changes(self) -> int:
        """Count how often this file's persons have changed."""
        with self._clear_errors():
            return int(self._one("SELECT changes FROM gallery"))

    def lived_s(self) -> float:
        """Say for how long this file has been in use, at least."""
        with self._clear_errors():
            return self._lived_s()

    def key_problem(self) -> str | None:
        """Say why records cannot be looked into, in a sentence; None: they can be."""
        with self._clear_errors():
            check = self._one("SELECT key_check FROM gallery") if self._count() else None
        if check is None or (self._keys is not None and check == self._keys.check):
            return None
        what = "is missing" if self._keys is None else "is not the one they were enrolled with"
        return (
            f"the key of enrolled staff {what}: nobody is recognised. Put the old gallery-key "
            "back, or remove everybody (identity.remove without a subject) and enrol them anew"
        )

    def templates(self, recogniser: str) -> Iterator[Stored]:
        """Go through the templates that a recogniser made; damaged records are left out."""
        for record, opened in self._opened():
            if opened is not None and opened.person.recogniser == recogniser:
                yield Stored(record.enrolment, opened.template)

    def persons(self) -> Iterator[Person]:
        """Go through everybody enrolled; damaged records are left out."""
        for _, opened in self._opened():
            if opened is not None:
                yield opened.person

    def damaged(self) -> tuple[str, ...]:
        """Name the records that are not what was written."""
        return tuple(record.enrolment for record, opened in self._opened() if opened is None)

    def find(self, enrolment: str, now: Moment, max_days: int) -> Person | None:
        """Return a person; None: there is none, or their time is over."""
        keys = self._unlocked()
        with self._clear_errors():
            lived_s = self._lived_s()
            for record in self._records("WHERE enrolment = ?", enrolment):
                opened = keys.unseal(record) if keys else None
                if opened is not None and not record.is_over(now, lived_s, max_days):
                    return opened.person
        return None

    def enrolment_of(self, subject: str) -> str | None:
        """Return under which number a subject is enrolled; None: they are not."""
        keys = self._unlocked()
        with self._clear_errors():
            for record in self._records("WHERE subject = ?", keys and keys.subject(subject)):
                return record.enrolment
        return None

    def notes(self) -> list[tuple[int, str]]:
        """Return what is still to be told, the oldest first, with its number."""
        with self._clear_errors():
            return self._db.execute("SELECT number, text FROM note ORDER BY number").fetchall()

    # -- changing --------------------------------------------------------------------------

    def enrol(
        self,
        new: NewPerson,
        template: bytes,
        now: Moment,
        note: Callable[[Enrolled], Iterable[str]],
    ) -> Enrolled:
        """Enrol somebody, in place of their former record where there is one."""
        keys = self._unlocked()
        if keys is None:
            msg = "the key of enrolled staff is missing"
            raise GalleryKeyError(msg)
        subject = keys.subject(new.subject)
        with self._change():
            if not self._count():
                self._db.execute("UPDATE gallery SET key_check = ?", (keys.check,))
            replaced = self._delete(self._records("WHERE subject = ?", subject))
            record = Record(
                number=0,  # SQLite's to say
                enrolment=secrets.token_hex(8),
                subject=subject,
                enrolled_ms=now.ms,
                synced=int(now.synced),
                lived_s=self._lived_s(),
                days=new.days,
            )
            self._db.execute(
                "INSERT INTO person VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                (
                    record.enrolment,
                    record.subject,
                    record.enrolled_ms,
                    record.synced,
                    record.lived_s,
                    record.days,
                    keys.seal(record, new, template),
                ),
            )
            done = Enrolled(
                person=enrolled(record, new),
                replaced=replaced if replaced.enrolments else None,
                persons=self._count(),
            )
            self._db.execute("UPDATE gallery SET changes = changes + 1")
            self._note(note(done))
        return done

    def remove(self, subject: str, note: NoteRemoval) -> Removed:
        """Delete what is stored of a subject, where they are enrolled."""
        keys = self._unlocked()
        digest = keys and keys.subject(subject)
        return self._remove(lambda: self._records("WHERE subject = ?", digest), note)

    def remove_enrolments(self, enrolments: Sequence[str], note: NoteRemoval) -> Removed:
        """Delete these records; works without the key."""
        which = "WHERE enrolment IN (SELECT value FROM json_each(?))"
        return self._remove(lambda: self._records(which, json.dumps(enrolments)), note)

    def remove_all(self, note: NoteRemoval) -> Removed:
        """Delete everybody; works without the key."""
        return self._remove(self._records, note)

    def expire(self, now: Moment, max_days: int, note: NoteRemoval, *, limit: int) -> Removed:
        """Delete those whose time is over; works without the key.

        Args:
            now: this moment.
            max_days: nobody is kept for longer, whatever was said when they were enrolled.
            note: says what is to be told.
            limit: no more at once.
        """

        def over() -> list[Record]:
            lived_s = self._lived_s()
            return [one for one in self._records() if one.is_over(now, lived_s, max_days)][:limit]

        return self._remove(over, note)

    def live(self, seconds: float) -> None:
        """Note that so much time has passed, whatever clocks say."""
        with self._change():
            self._db.execute("UPDATE gallery SET lived_s = lived_s + ?", (seconds,))

    def told(self, number: int) -> None:
        """Forget a note."""
        with self._change():
            self._db.execute("DELETE FROM note WHERE number = ?", (number,))

    def _remove(self, find: Callable[[], Iterable[Record]], note: NoteRemoval) -> Removed:
        with self._change():
            removed = self._delete(find())
            if removed.enrolments:
                self._note(note(removed))
        return removed

    def _delete(self, records: Iterable[Record]) -> Removed:
        gone = sorted(records, key=lambda record: record.enrolment)
        digest = hashlib.sha256()
        for record in gone:
            digest.update(record.enrolment.encode())
            digest.update(len(record.sealed).to_bytes(4, "big") + record.sealed)
        if gone:
            numbers = [(record.number,) for record in gone]
            self._db.executemany("DELETE FROM person WHERE number = ?", numbers)
            self._db.execute("UPDATE gallery SET changes = changes + 1, unclean = 1")
        return Removed(
            tuple(record.enrolment for record in gone), digest.hexdigest(), self._count()
        )

    def _note(self, texts: Iterable[str]) -> None:
        self._db.executemany("INSERT INTO note (text) VALUES (?)", [(text,) for text in texts])

    # -- the file --------------------------------------------------------------------------

    def _unlocked(self) -> Keys | None:
        """Return the keys; None where there are none, and nothing to open."""
        if problem := self.key_problem():
            raise GalleryKeyError(problem)
        return self._keys

    def _opened(self) -> Iterator[tuple[Record, Unsealed | None]]:
        """Go through all records, without holding up who wants to write."""
        keys, after = self._unlocked(), -1
        while keys is not None:
            which = f"WHERE number > ? ORDER BY number LIMIT {_AT_ONCE}"
            with self._clear_errors():
                records = list(self._records(which, after))
            if not records:
                return
            after = records[-1].number
            yield from ((record, keys.unseal(record)) for record in records)

    def _records(self, which: str = "", *values: object) -> Iterator[Record]:
        query = f"SELECT * FROM person {which}"  # noqa: S608 - ours
        return (Record(*row) for row in self._db.execute(query, values))

    def _one(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]

    def _count(self) -> int:
        return int(self._one("SELECT count(*) FROM person"))

    def _lived_s(self) -> float:
        return float(self._one("SELECT lived_s FROM gallery"))

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Say what is wrong with the file in our words."""
        try:
            yield
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:  # of a disk that fails it is a subclass
                raise GalleryDamagedError(str(error)) from None
            msg = f"the list of enrolled staff {self._path}: {error}; nothing was changed"
            raise GalleryError(msg) from None
        except OSError as error:
            msg = f"the list of enrolled staff {self._path}: {error.strerror}"
            raise GalleryError(msg) from None

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._clear_errors(), self._transaction():
            yield
        self._clean()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has rolled everything back already
                self._db.execute("ROLLBACK")
            raise

    def _clean(self) -> None:
        """Write the file anew where it may hold what was deleted; the next change tries again."""
        with suppress(sqlite3.Error):
            if self._one("SELECT unclean FROM gallery"):
                self._db.execute("VACUUM")
                self._db.execute("UPDATE gallery SET unclean = 0")


def set_aside(path: Path) -> Path:
    """Move a damaged gallery out of the way; returns where to. Raises ``OSError``."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    return aside


def delete_set_aside(path: Path) -> int:
    """Delete what was ever set aside of a gallery; returns how many files. Raises ``OSError``."""
    asides = list(path.parent.glob(f"{path.name}.damaged-*"))
    for aside in asides:
        aside.unlink(missing_ok=True)
    return len(asides)
