"""The ledger: what was ordered and what became of it, durable before anything follows from it."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from commands.errors import CommandError, LedgerError
from commands.faults import OnFault, ignore_faults
from commands.ledger_store import LedgerStore, Limits, OpenCommand, Record, Step, Taken
from commands.settings import CommandSettings
from contract import Clock, ContractError, Stamp
from contract.audit import ChainHead, Facts
from contract.command import Command
from contract.receipt import Receipt

_log = structlog.get_logger()

_MAX_ERROR = 500
_MARK_S = 0.05
"""How long it may wait for company that a receipt was handed on."""

T = TypeVar("T")


@dataclass(slots=True)
class _Call:
    work: Callable[[LedgerStore], Any]
    answer: asyncio.Future[Any]
    outcome: Any = None
    error: Exception | None = None


class Ledger:
    """Commands by id with their receipts, in one SQLite file; its blocking calls have a thread.

    What is asked of it while a transaction is being written shares the next one (group commit).

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
        clock: Clock,
        on_fault: OnFault = ignore_faults,
    ) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._on_fault = on_fault
        self._store: LedgerStore | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._calls: list[_Call] = []
        self._published: list[int] = []
        self._idle = asyncio.Event()
        self._idle.set()

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        self._mark()
        while not self._idle.is_set():
            await self._idle.wait()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def recall(self, command: Command) -> Step | None:
        """Return the newest receipt of a command, or ``None`` where it is a new one.

        Raises:
            ReplayError: it is not known, but old enough to have been forgotten.
        """
        return await self._call(lambda store: store.recall(command))

    async def take_in(
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
            UndatedError: it may be that old, and nobody can tell; likewise.
            RefusedError: too many wait, or too many were disruptive lately; likewise.
        """
        return await self._call(lambda store: store.take_in(record, receipts, stamp, limits=limits))

    async def append(self, record: Record, receipt: Receipt, stamp: Stamp) -> Step:
        """Record the next receipt of a command; a second terminal one is an error."""
        return await self._call(lambda store: store.append(record, receipt, stamp))

    def mark_published(self, steps: Sequence[Step]) -> None:
        """Remember soon that receipts were handed on; a restart before that hands them on again."""
        if not self._published:
            asyncio.get_running_loop().call_later(_MARK_S, self._mark)
        self._published += [step.number for step in steps]

    async def last_step(self, command_id: str) -> Step | None:
        """Return the newest receipt of a command, or ``None`` where it is not known."""
        return await self._call(lambda store: store.last_step(command_id))

    async def unpublished(self) -> list[Step]:
        """Return some receipts that were not handed on yet, the oldest first."""
        return await self._call(lambda store: store.unpublished())

    async def open_commands(self) -> list[OpenCommand]:
        """Return the commands that have not ended, the oldest first."""
        return await self._call(lambda store: store.open_commands())

    async def knows_since(self) -> bool:
        """Whether it is known when this record began; a clock that is synced tells."""
        return await self._call(lambda store: store.knows_since)

    async def audit(self, kind: str, facts: Facts, stamp: Stamp) -> None:
        """Append an entry to the audit trail.

        Raises:
            ContractError: the facts cannot be an entry's.
        """
        await self._call(lambda store: store.audit.append(kind, facts, stamp))

    async def audit_head(self) -> ChainHead:
        """Return how far the audit trail has come."""
        return await self._call(lambda store: store.audit.head())

    # -- on the loop -----------------------------------------------------------------------

    async def _call(self, work: Callable[[LedgerStore], T]) -> T:
        answer: T = await self._submit(work)
        return answer

    def _mark(self) -> None:
        """Write down what was handed on, if no other call has taken it along."""
        if self._published:
            self._submit(lambda _: None).add_done_callback(_forget)

    def _submit(self, work: Callable[[LedgerStore], Any]) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(work, answer))
        self._next_batch()
        return answer

    def _next_batch(self) -> None:
        """Let the thread work, if it does not and there is something to do."""
        if not self._idle.is_set() or not self._calls:
            return
        self._idle.clear()
        batch, self._calls = self._calls, []
        published, self._published = self._published, []
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._thread, self._do, batch, published, loop).add_done_callback(
            lambda done: self._answer(batch, done.exception())
        )

    def _answer(self, batch: list[_Call], crash: BaseException | None) -> None:
        self._idle.set()
        for call in batch:
            error = crash or call.error
            if call.answer.done():
                continue
            if error is not None:
                call.answer.set_exception(error)
            else:
                call.answer.set_result(call.outcome)
        self._next_batch()

    # -- in the thread ---------------------------------------------------------------------

    def _do(
        self, batch: list[_Call], published: list[int], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Do what was asked in one transaction; each call happens whole or not at all."""
        failed: Exception | None = None
        try:
            if self._store is None:
                self._store = self._open_or_replace(loop)
            with self._store.transaction():
                self._store.note_time(self._clock.stamp())
                self._store.mark_published(published)
                for call in batch:
                    self._do_one(self._store, call)
        except sqlite3.Error as error:
            failed = LedgerError(f"command ledger {self._path}: {error}")
            if _is_damaged(error):
                self._set_aside_or_wait(error, loop)
        except OSError as error:
            failed = LedgerError(f"command ledger {self._path}: {error.strerror}")
        if failed is not None:
            for call in batch:
                call.error = failed

    def _do_one(self, store: LedgerStore, call: _Call) -> None:
        try:
            with store.savepoint():
                call.outcome = call.work(store)
        except (CommandError, ContractError) as error:
            call.error = error
        except sqlite3.IntegrityError as error:
            call.error = LedgerError(f"command ledger {self._path}: {error}")
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - logged, and no harm to its neighbours
            _log.exception("ledger_call_crashed")
            call.error = LedgerError(f"command ledger {self._path}: {error!r}"[:_MAX_ERROR])

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
            settings=self._settings,
            stamp=self._clock.stamp(),
            former=self._last_set_aside(),
        )

    def _last_set_aside(self) -> Path | None:
        """Look on the disk: the power may have failed before a new file was begun."""
        aside = self._path.parent.glob(f"{self._path.name}.corrupt-*")
        return max(aside, key=lambda one: one.stat().st_mtime_ns, default=None)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _set_aside_or_wait(self, error: sqlite3.Error, loop: asyncio.AbstractEventLoop) -> None:
        """Set the file aside; where the disk does not let us, the next call tries again."""
        try:
            self._set_aside(error, loop)
        except OSError as problem:
            _log.error("ledger_not_set_aside", error=str(error), problem=str(problem))

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


def _forget(answer: asyncio.Future[Any]) -> None:
    """Take no notice of the outcome."""
    if not answer.cancelled():
        answer.exception()


def _is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged; a disk that is full or read-only is a subclass."""
    return type(error) is sqlite3.DatabaseError
