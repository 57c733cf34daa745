"""The ledger: what was ordered and what became of it, durable before anything follows from it."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import structlog

from commands.errors import LedgerError
from commands.faults import OnFault, ignore_faults
from commands.ledger_store import LedgerStore, Record, Step
from commands.settings import CommandSettings
from contract import Stamp
from contract.receipt import Receipt

_log = structlog.get_logger()

T = TypeVar("T")


class Ledger:
    """Commands by id with their receipts, in one SQLite file; its blocking calls have a thread.

    The file is opened when it is first needed. A damaged one is set aside as
    ``NAME.corrupt-N``, a new one begun, and the fault ``ledger.corrupted`` told. A disk that is
    full or read-only makes every call fail until it is not.

    Every method raises :class:`~commands.errors.LedgerError` where it did not happen.
    """

    def __init__(
        self,
        path: Path,
        *,
        settings: CommandSettings,
        on_fault: OnFault = ignore_faults,
    ) -> None:
        self._path = path
        self._settings = settings
        self._on_fault = on_fault
        self._store: LedgerStore | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def add(self, record: Record, receipt: Receipt, stamp: Stamp) -> None:
        """Record a new command together with its first receipt."""
        await self._call(lambda store: store.add(record, receipt, stamp))

    async def append(self, receipt: Receipt, stamp: Stamp) -> None:
        """Record the next receipt of a command; a second terminal one is an error."""
        await self._call(lambda store: store.append(receipt, stamp))

    async def mark_published(self, step: Step) -> None:
        """Remember that a receipt was handed on."""
        await self._call(lambda store: store.mark_published(step.number))

    async def last_step(self, command_id: str) -> Step | None:
        """Return the newest receipt of a command, or ``None`` where it is not known."""
        return await self._call(lambda store: store.last_step(command_id))

    async def next_unpublished(self) -> Step | None:
        """Return the oldest receipt that was not handed on yet."""
        return await self._call(lambda store: store.next_unpublished())

    async def next_in(self, state: Literal["accepted", "running"]) -> Record | None:
        """Return the oldest command in a state."""
        return await self._call(lambda store: store.next_in(state))

    async def waiting(self) -> int:
        """Count the accepted commands that have not begun."""
        return await self._call(lambda store: store.waiting())

    async def floor(self) -> int:
        """Return the latest expiry among forgotten commands, in seconds since 1970."""
        return await self._call(lambda store: store.floor())

    async def _call(self, work: Callable[[LedgerStore], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._do, work, loop)

    # -- in the thread ---------------------------------------------------------------------

    def _do(self, work: Callable[[LedgerStore], T], loop: asyncio.AbstractEventLoop) -> T:
        try:
            if self._store is None:
                self._store = self._open_or_replace(loop)
            return work(self._store)
        except sqlite3.Error as error:
            if _is_damaged(error):
                self._set_aside(error, loop)
            msg = f"command ledger {self._path}: {error}"
            raise LedgerError(msg) from error
        except OSError as error:
            msg = f"command ledger {self._path}: {error.strerror}"
            raise LedgerError(msg) from error

    def _open_or_replace(self, loop: asyncio.AbstractEventLoop) -> LedgerStore:
        try:
            return self._open()
        except sqlite3.Error as error:
            if not _is_damaged(error):
                raise
            self._set_aside(error, loop)
            return self._open()

    def _open(self) -> LedgerStore:
        return LedgerStore(
            self._path,
            max_rows=self._settings.ledger_max_rows,
            max_bytes=self._settings.ledger_max_mib * 2**20,
            retention_s=self._settings.ledger_retention_days * 86_400,
        )

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _set_aside(self, error: sqlite3.Error, loop: asyncio.AbstractEventLoop) -> None:
        self._close()
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.corrupt-{number}")).exists():
            number += 1
        self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        text = f"the command ledger was damaged ({error}) and begun anew; the old is {aside}"
        _log.error("ledger_corrupted", error=str(error), set_aside=str(aside))
        loop.call_soon_threadsafe(self._on_fault, "ledger.corrupted", text)


def _is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged; a disk that is full or read-only is a subclass."""
    return type(error) is sqlite3.DatabaseError
