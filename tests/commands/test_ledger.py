"""What the ledger keeps, what it forgets, and what it does when its file is damaged."""

import asyncio
import errno
import os
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from commands.errors import LedgerError, RefusedError
from commands.ledger import Ledger
from commands.ledger_store import Record
from commands.settings import CommandSettings
from contract.command import Command
from contract.receipt import Receipt
from tests.support.clock import ManualClock
from tests.support.operators import NOW_S, make_command

DAY_S = 86_400


class Book:
    """A ledger and the shortest ways to write into it."""

    def __init__(self, path, **settings):
        self.path = path
        self.clock = ManualClock()
        self.faults: list = []
        self.ledger = Ledger(
            path,
            settings=CommandSettings(**settings),
            clock=self.clock,
            on_fault=lambda *told: self.faults.append(told),
        )

    async def add(self, status="succeeded", **fields) -> Command:
        command = make_command(**fields)
        stamp = self.clock.stamp()
        record = Record(command=command, signers=("li",), received=stamp)
        receipt = Receipt(command_id=command.id, action="ping", status=status)
        await self.ledger.take_in(record, [receipt], stamp)
        return command

    async def knows(self, command: Command) -> bool:
        return await self.ledger.last_step(command.id) is not None

    async def refuses(self, **fields) -> bool:
        """Whether a new command with these fields may be a replay."""
        try:
            return await self.ledger.recall(make_command(**fields)) is not None
        except RefusedError as refusal:
            return refusal.code == "expired"


@pytest.fixture
async def book(tmp_path) -> AsyncIterator[Book]:
    book = Book(tmp_path / "ledger.db", ledger_max_rows=100)
    yield book
    await book.ledger.close()


async def test_a_command_is_remembered_for_ninety_days(book):
    """What ended is kept for the retention and forgotten after it, and may then not come back."""
    old = await book.add()
    await book.clock.advance(90 * DAY_S)
    await book.add()
    assert await book.knows(old)
    assert not await book.refuses(exp=old.exp)
    await book.clock.advance(1)
    await book.add()
    assert not await book.knows(old)
    assert await book.refuses(exp=old.exp)
    assert not await book.refuses(exp=old.exp + 1)


async def test_with_a_wrong_clock_nothing_is_old(book):
    """A clock that jumps ahead unsynced does not make the ledger forget."""
    old = await book.add()
    book.clock.quality = "unsynced"
    await book.clock.advance(900 * DAY_S)
    await book.add()
    assert await book.knows(old)


async def test_rows_are_bounded_and_what_waits_stays(book):
    """Beyond the bound, what expires first is forgotten; a command that waits never is."""
    waiting = await book.add("accepted", exp=NOW_S + 1)
    commands = [await book.add(exp=NOW_S + 100 + number) for number in range(110)]
    known = [await book.knows(command) for command in commands]
    assert known == [False] * 11 + [True] * 99
    assert await book.knows(waiting)
    assert await book.refuses(exp=commands[10].exp)
    assert not await book.refuses(exp=commands[10].exp + 1)


async def test_bytes_are_bounded(tmp_path):
    """Large arguments do not make the file grow beyond its bound."""
    book = Book(tmp_path / "ledger.db", ledger_max_mib=1)
    for number in range(60):
        await book.add(args={"text": "x" * 60_000}, exp=NOW_S + 100 + number)
    await book.ledger.close()
    assert book.path.stat().st_size < 1.3 * 2**20


async def test_the_file_is_private(book):
    """Nobody but the agent reads who ordered what."""
    await book.add()
    assert book.path.stat().st_mode & 0o777 == 0o600


async def test_a_command_ends_once(book):
    """A second terminal receipt is impossible, whatever asks for it."""
    command = await book.add("succeeded")
    with pytest.raises(LedgerError, match="UNIQUE"):
        await book.ledger.append(
            Record(command, ("li",), book.clock.stamp()),
            Receipt(command_id=command.id, status="failed"),
            book.clock.stamp(),
        )
    step = await book.ledger.last_step(command.id)
    assert step.receipt.status == "succeeded"


@pytest.mark.parametrize("damage", ["head", "middle"])
async def test_a_damaged_file_is_set_aside(tmp_path, damage):
    """The damaged file is kept beside a new one, and the fault names both."""
    first = Book(tmp_path / "ledger.db")
    for _ in range(50):
        await first.add(args={"text": "x" * 500})
    await first.ledger.close()
    content = bytearray(first.path.read_bytes())
    start = 0 if damage == "head" else 8192
    content[start : start + 8192] = b"\xa5" * 8192
    first.path.write_bytes(content)

    book = Book(tmp_path / "ledger.db")
    command = await book.add(nbf=NOW_S + 30)
    assert await book.knows(command)
    await book.ledger.close()
    assert (tmp_path / "ledger.db.corrupt-1").read_bytes() == content
    [(fault, text)] = book.faults
    assert fault == "ledger.corrupted"
    assert "ledger.db.corrupt-1" in text


async def test_damage_while_running_is_survived(book):
    """Damage found in the middle of the work fails that one call; the next has a new ledger."""
    for _ in range(50):
        await book.add(args={"text": "x" * 500})
    with sqlite3.connect(book.path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    content = book.path.read_bytes()
    book.path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    with sqlite3.connect(book.path) as db:
        db.execute("PRAGMA user_version = 1")  # another writer: the page cache is read anew
    db.close()
    with pytest.raises(LedgerError, match="malformed"):
        await book.add()
    command = await book.add(nbf=NOW_S + 30)
    assert await book.knows(command)
    assert len(book.faults) == 1


async def test_what_was_signed_before_the_record_began_is_refused(tmp_path):
    """A ledger that is lost and begun anew does not do again what the lost one may have done."""
    book = Book(tmp_path / "ledger.db")
    await book.clock.advance(3600)
    assert await book.ledger.knows_since()
    assert await book.refuses(nbf=NOW_S + 3600 - 31, exp=NOW_S + 7200)
    assert not await book.refuses(nbf=NOW_S + 3600 - 30, exp=NOW_S + 7200)
    await book.ledger.close()


async def test_a_record_that_began_without_a_clock_learns_when(tmp_path):
    """Begun on an unsynced clock, the record counts from the first moment that can be believed."""
    book = Book(tmp_path / "ledger.db")
    book.clock.quality = "unsynced"
    assert not await book.ledger.knows_since()
    await book.clock.advance(100)
    book.clock.quality = "synced"
    assert await book.ledger.knows_since()
    assert await book.refuses(nbf=NOW_S + 60, exp=NOW_S + 7200)
    await book.ledger.close()


async def test_calls_made_together_share_a_transaction(book):
    """A call that fails does not take the others of its batch with it."""
    command = await book.add()
    stamp = book.clock.stamp()
    record = Record(command, ("li",), stamp)
    again = Receipt(command_id=command.id, action="ping", status="failed")
    one, two, _ = await asyncio.gather(
        book.add(), book.ledger.append(record, again, stamp), book.add(), return_exceptions=True
    )
    assert isinstance(two, LedgerError)
    assert await book.knows(one)


async def test_after_a_damaged_record_its_last_commands_are_refused(tmp_path):
    """What was done just before by an operator's clock that is ahead is not done again."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no ledger" * 1000)
    book = Book(path)
    assert await book.ledger.knows_since()
    assert await book.refuses(nbf=NOW_S + 29)
    assert not await book.refuses(nbf=NOW_S + 30)
    await book.ledger.close()


async def test_a_date_that_was_wrong_does_not_last(book):
    """A clock that was once synchronised with a wrong one shuts out nothing when it is right."""
    book.clock.wall_offset = timedelta(days=80 * 365)
    assert await book.ledger.knows_since()
    assert await book.refuses()
    book.clock.wall_offset = timedelta()
    await book.ledger.knows_since()
    assert not await book.refuses()


@pytest.mark.parametrize("quality", ["synced", "unsynced"])
async def test_made_up_dates_do_not_shut_others_out(book, quality):
    """Whoever fills the record with commands of the next century does not end its use."""
    book.clock.quality = quality
    for number in range(102):
        await book.add("rejected", nbf=NOW_S + 10**9, exp=NOW_S + 10**9 + 1 + number)
    book.clock.quality = "synced"
    await book.ledger.knows_since()
    await book.clock.advance(60)
    assert not await book.refuses(nbf=NOW_S + 60, exp=NOW_S + 60 + 7 * DAY_S)


async def test_a_call_that_crashes_harms_no_other(book):
    """What is asked for in the same transaction happens all the same."""

    def crash(_store):
        raise OverflowError

    crashed, known = await asyncio.gather(
        book.ledger._call(crash), book.ledger.knows_since(), return_exceptions=True
    )
    assert isinstance(crashed, LedgerError)
    assert known is True


async def test_damage_on_a_disk_that_takes_nothing_is_an_error_like_others(book, monkeypatch):
    """Where the damaged file cannot be set aside the call fails, and the next one tries again."""

    def no_rename(_path, _target):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def damage(_store):
        text = "database disk image is malformed"
        raise sqlite3.DatabaseError(text)

    command = await book.add()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", no_rename)
        with pytest.raises(LedgerError, match="malformed"):
            await book.ledger._call(damage)
    assert await book.knows(command)
