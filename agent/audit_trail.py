"""The audit trail as a person on the kiosk reads it, also while the agent runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import quote

from agent.errors import TrailError
from agent.settings import Settings
from commands.audit_store import AuditTable
from commands.kiosk_key import FILE_NAME, read_kiosk_key
from contract.audit import ChainHead, Head, read_entry, seal_line
from contract.audit_proof import Proof, verify
from contract.device import DeviceKey, DevicePrivateKey
from contract.errors import ContractError
from contract.wire import format_time


class Trail:
    """The trail in a kiosk's state folder, never written to.

    Raises:
        TrailError: from every method: it cannot be read, or is not as it was written.
    """

    def __init__(self, settings: Settings) -> None:
        self._kiosk = settings.kiosk.id
        self._ledger = settings.kiosk.state_folder / "ledger.db"
        self._key = settings.kiosk.state_folder / FILE_NAME

    def newest(self, count: int) -> list[bytes]:
        """Return the lines of the newest entries, the newest last."""
        with self._table() as table:
            return list(table.lines(after=max(0, table.head().number - count)))

    def verify(self) -> Proof:
        """Prove that the entries stand as they were written, up to the noted head."""
        with self._table() as table:
            head = table.head()
            try:
                proof = verify(table.lines())
            except ContractError as error:
                msg = f"{self._ledger}: {error}"
                raise TrailError(msg) from None
        if (proof.last, proof.hash) != (head.number, head.hash):
            msg = (
                f"{self._ledger}: the entries end with {proof.last}, but the newest that was "
                f"written is {head.number}, or another {proof.last}"
            )
            raise TrailError(msg)
        return proof

    def export(self, out: BinaryIO) -> tuple[ChainHead, str | None]:
        """Write the trail and its signed head into an open file.

        Returns:
            How far the trail goes, and why there is no signed head, where there is none.

        Raises:
            OSError: the file cannot be written.
        """
        try:
            key, problem = read_kiosk_key(self._key), None
        except OSError as error:
            key, problem = None, f"{self._key}: {error.strerror}"
        except ContractError as error:
            key, problem = None, f"{self._key}: {error}"
        with self._table() as table:
            head = table.head()
            out.writelines(b"%b\n" % line for line in self._exported(table, head, key))
        return head, problem

    def public_key(self) -> DeviceKey:
        """Return the kiosk's public key."""
        try:
            return read_kiosk_key(self._key).public()
        except FileNotFoundError:
            msg = f"{self._key} is not there yet; the agent makes it when it first runs"
        except OSError as error:
            msg = f"{self._key}: {error.strerror}"
        except ContractError as error:
            msg = f"{self._key}: {error}"
        raise TrailError(msg)

    def _exported(
        self, table: AuditTable, head: ChainHead, key: DevicePrivateKey | None
    ) -> Iterator[bytes]:
        yield from table.lines()
        if key is not None:
            claim = Head(
                kiosk=self._kiosk,
                chain=head.chain,
                first=head.first,
                number=head.number,
                hash=head.hash,
                time=datetime.now(UTC),
            )
            yield seal_line(claim, key)

    @contextmanager
    def _table(self) -> Iterator[AuditTable]:
        """One moment of the trail, whatever the agent writes meanwhile."""
        try:
            there = self._ledger.is_file()
        except OSError as error:
            msg = f"{self._ledger}: {error.strerror}"
            raise TrailError(msg) from None
        if not there:
            msg = f"{self._ledger} is not there: the agent has not run yet, or may not be seen"
            raise TrailError(msg)
        address = f"file:{quote(str(self._ledger.absolute()))}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as db:
                db.execute("BEGIN")
                yield AuditTable(db)
        except sqlite3.Error as error:
            msg = f"{self._ledger}: the audit trail cannot be read: {error}"
            raise TrailError(msg) from None


def describe(line: bytes) -> str:
    """Say an entry in one line of plain text, whatever is in it."""
    try:
        entry = read_entry(line)
    except ContractError as error:
        return f"an entry that cannot be read: {error}"
    unsure = "?" if entry.timequality == "unsynced" else " "
    facts = "  ".join(f"{name}={value}" for name, value in entry.data.items())
    text = f"{entry.number:>6}  {format_time(entry.time)}{unsure} {entry.kind:<18}  {facts}"
    return "".join(sign if sign.isprintable() else " " for sign in text)
