"""Numbers that must never be given out twice, even when the outbox database is lost."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from telemetry.files import write_atomically

_MAX = 2**53
_DIGITS = 20
SEQUENCE_BLOCK = 10_000
"""Sequence numbers are reserved in blocks: one small write for many messages."""


class Counters:
    """The session counter and the reserved end of the sequence, in one small file.

    All methods block. Where the file cannot be written (read-only file system, full disk) the
    numbers go on in memory; message ids stay unique all the same. How far they went ahead of the
    database, and the session, are then written over a spare file that has its room already, as a
    full disk allows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spare = path.with_suffix(".ahead")
        self.session = 0
        self.sequence_limit = 0
        self.clean = True
        """Whether the run before ended in order (true on the first start)."""
        self.ahead = False
        """Whether numbers beyond the database's were given out while the disk failed."""

    def load(self) -> None:
        """Read what the runs before left."""
        try:
            raw = json.loads(self._path.read_bytes())
            session, limit = int(raw["session"]), int(raw["sequence_limit"])
            if not (0 <= session < _MAX and 0 <= limit < _MAX):
                msg = "impossible numbers"
                raise ValueError(msg)  # noqa: TRY301 - handled like any other damage
            self.session, self.sequence_limit = session, limit
            self.clean = bool(raw["clean"])
            self.ahead = bool(raw.get("ahead", False))
        except FileNotFoundError:
            pass
        except OSError:  # no disk at all: message ids stay unique
            self.session = int(time.time())
            self.clean = False
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            # Damaged: the seconds since 1970 are higher than any count of connections, and than
            # that of messages.
            self.session = self.sequence_limit = int(time.time())
            self.clean = False
        limit, session = self._read_spare()
        self.session = max(self.session, session)
        if limit:
            self.sequence_limit = max(self.sequence_limit, limit)
            self.ahead = True

    def begin(self, sequence: int) -> None:
        """Note that a run has begun, which has given out numbers up to ``sequence`` before."""
        self.sequence_limit = max(self.sequence_limit, sequence + SEQUENCE_BLOCK)
        self.ahead = False
        if self._save(clean=False):
            self._write_spare(0, 0, os.O_CREAT)

    def run_ahead(self, sequence: int) -> None:
        """Note that numbers beyond the database's are given out from now on."""
        self.ahead = True
        self.sequence_limit = max(self.sequence_limit, sequence + SEQUENCE_BLOCK)
        self._save(clean=False)

    def next_session(self) -> int:
        """Count a connection; returns its number."""
        self.session += 1
        self._save(clean=False)
        return self.session

    def reserve(self, sequence: int) -> None:
        """Make sure that the file admits numbers beyond ``sequence``."""
        if sequence + SEQUENCE_BLOCK // 10 > self.sequence_limit:
            self.sequence_limit = sequence + SEQUENCE_BLOCK
            self._save(clean=False)

    def close(self) -> None:
        """Remember that this run ended in order."""
        self._save(clean=True)

    def _save(self, *, clean: bool) -> bool:
        """Write the file, or as much as there is room for; returns whether it is the file."""
        document = {
            "session": self.session,
            "sequence_limit": self.sequence_limit,
            "clean": clean,
            "ahead": self.ahead,
        }
        try:
            write_atomically(self._path, json.dumps(document).encode())
        except OSError:
            self._write_spare(self.sequence_limit if self.ahead else 0, self.session)
            return False
        return True

    def _write_spare(self, limit: int, session: int, flags: int = 0) -> None:
        with suppress(OSError):
            descriptor = os.open(self._spare, os.O_WRONLY | os.O_DSYNC | flags, 0o600)
            try:
                os.write(descriptor, f"{limit:0{_DIGITS}}{session:0{_DIGITS}}".encode())
            finally:
                os.close(descriptor)

    def _read_spare(self) -> tuple[int, int]:
        """Return limit and session; an earlier version's holds the limit alone."""
        try:
            digits = self._spare.read_bytes()
            limit, session = int(digits[:_DIGITS]), int(digits[_DIGITS : 2 * _DIGITS] or b"0")
        except (OSError, ValueError):
            return 0, 0
        return min(limit, _MAX), min(session, _MAX)
