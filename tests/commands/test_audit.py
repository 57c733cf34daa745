"""The audit trail on the kiosk: what is kept, what is told, and what survives a bad day."""

import asyncio
import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from commands.audit import STRANGERS_PER_HOUR, Audit
from commands.audit_store import AuditTable
from commands.errors import LedgerError
from commands.kiosk_key import FILE_NAME, KioskKeyError, open_kiosk_key, read_kiosk_key
from contract import Stamp
from contract.audit import NOTHING, AuditEntry, AuditHead, ChainHead, Facts, open_head, read_entry
from contract.audit_proof import verify
from contract.device import DeviceKey
from contract.errors import MalformedError
from telemetry.files import write_atomically
from tests.support.clock import ManualClock

T = TypeVar("T")


class Book:
    """A ledger's database with an audit trail, and a disk that can be full."""

    def __init__(self, path: Path, **bounds: int):
        self.clock = ManualClock()
        self.full = False
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.table = AuditTable(self.db, **bounds)
        self._thread = ThreadPoolExecutor(1)

    def close(self) -> None:
        self._thread.shutdown()
        self.db.close()

    def _do(self, work: Callable[[], T]) -> T:
        """As the ledger does it: in a thread of its own."""
        return self._thread.submit(work).result()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def begin(self, reason: str = "new") -> bool:
        with self.transaction():
            return self.table.begin(self.clock.stamp(), reason)

    def append(self, kind: str, **data) -> AuditEntry:
        return self.put(kind, data, self.clock.stamp())

    def put(self, kind: str, data: Facts, stamp: Stamp) -> AuditEntry:
        def work() -> AuditEntry:
            with self.transaction():
                return self.table.append(kind, data, stamp)

        return self._do(work)

    @property
    def head(self) -> ChainHead:
        return self._do(self.table.head)

    @property
    def entries(self) -> list[AuditEntry]:
        return [read_entry(line) for line in self._do(lambda: list(self.table.lines()))]

    @property
    def told(self) -> list[tuple[str, dict]]:
        return [(entry.kind, entry.data) for entry in self.entries]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "ledger.db")
    book.begin()
    yield book
    book.close()


# -- the table -------------------------------------------------------------------------------


def test_a_new_trail_says_why_it_was_begun(book: Book):
    """A new database begins a chain with a reason; an old one goes on with its own."""
    assert book.told == [("chain.begin", {"reason": "new"})]
    assert book.entries[0].prev == NOTHING
    chain = book.head.chain
    assert book.begin("again") is False
    assert book.head.chain == chain


def test_what_is_appended_is_a_chain(book: Book):
    """Entries are numbered without gaps and proved to be as they were written."""
    for number in range(20):
        book.append("config.changed", version=number, text="版本")
    proof = verify(book.table.lines())
    assert (proof.first, proof.last) == (1, 21)
    assert proof.hash == book.head.hash


def test_what_did_not_happen_leaves_no_entry(book: Book):
    """An entry is rolled back with the step that it belongs to, and its number is used again."""
    before = book.head
    book.db.execute("BEGIN")
    book.table.append("command.accepted", {}, book.clock.stamp())
    book.db.execute("ROLLBACK")
    assert book.head == before
    assert book.append("command.accepted").number == 2


def test_unfit_data_change_nothing(book: Book):
    """Data that cannot be an entry's are refused before anything is written."""
    with book.transaction(), pytest.raises(MalformedError):
        book.table.append("config.changed", {"tables": ["a"]}, book.clock.stamp())  # type: ignore[dict-item]
    assert book.head.number == 1


@pytest.mark.parametrize("bounds", [{"max_rows": 50}, {"max_bytes": 20_000}])
def test_the_oldest_go_and_the_rest_stays_a_chain(tmp_path: Path, bounds):
    """Rows and bytes are bounded; what is kept is proved from its first entry on."""
    book = Book(tmp_path / "ledger.db", **bounds)
    book.begin()
    for number in range(200):
        entry = book.append("command.accepted", number=number, text="x" * 100)
        size = sum(map(len, book.table.lines()))
        assert book.table.size() == size
        assert size < bounds.get("max_bytes", size) + len(entry.line())
        assert len(list(book.table.lines())) <= bounds.get("max_rows", 200)
    proof = verify(book.table.lines())
    head = book.head
    assert (proof.last, proof.hash) == (201, head.hash)
    assert proof.first == head.first > 100
    assert list(book.table.lines(after=199)) == list(book.table.lines())[-2:]
    book.close()


def test_one_entry_is_always_kept(tmp_path: Path):
    """A bound smaller than an entry does not empty the trail."""
    book = Book(tmp_path / "ledger.db", max_bytes=10)
    book.begin()
    book.append("command.accepted", text="x" * 1000)
    assert [entry.number for entry in book.entries] == [2]
    book.close()


# -- the key ---------------------------------------------------------------------------------


def test_the_key_is_made_once(tmp_path: Path):
    """The first use makes the key, private; every later one reads it."""
    path = tmp_path / FILE_NAME
    made = open_kiosk_key(path, write_atomically)
    assert made.made == "the kiosk had no key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = open_kiosk_key(path, write_atomically)
    assert (again.key, again.made) == (made.key, None)
    assert made.key.d in path.read_text()


def test_a_key_that_others_can_read_is_closed(tmp_path: Path):
    """A file that was left open to others is readable by its owner alone again."""
    path = tmp_path / FILE_NAME
    open_kiosk_key(path, write_atomically)
    path.chmod(0o644)
    open_kiosk_key(path, write_atomically)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * 10_000])
def test_a_broken_key_is_kept_beside_a_new_one(tmp_path: Path, content: bytes):
    """What cannot be read as a key is set aside, never overwritten, and said."""
    path = tmp_path / FILE_NAME
    for number in (1, 2):
        path.write_bytes(content)
        opened = open_kiosk_key(path, write_atomically)
        assert opened.replaces_broken
        assert f"{FILE_NAME}.broken-{number}" in opened.made
        assert (tmp_path / f"{FILE_NAME}.broken-{number}").read_bytes() == content
        assert read_kiosk_key(path) == opened.key


def test_a_key_that_cannot_be_stored_is_no_key(tmp_path: Path):
    """Where the file cannot be written or read the error says so; nothing is replaced."""

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(KioskKeyError, match="No space left"):
        open_kiosk_key(tmp_path / FILE_NAME, full)
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(KioskKeyError, match="Is a directory"):
        open_kiosk_key(tmp_path / FILE_NAME, write_atomically)


# -- recording and telling -------------------------------------------------------------------


class Trailing:
    """An agent's audit trail with all that it is wired to."""

    def __init__(self, folder: Path, book: Book):
        self.folder = folder
        self.book = book
        self.faults: list[tuple[str, str | None]] = []
        self.heads: list[AuditHead] = []
        self.audit = Audit(
            kiosk="k-1",
            append=self.append,
            head=self.head,
            open_key=lambda: open_kiosk_key(folder / FILE_NAME, write_atomically),
            publish=self.publish,
            clock=book.clock,
            on_fault=lambda *told: self.faults.append(told),
        )

    async def append(self, kind: str, data: Facts, stamp: Stamp) -> None:
        if self.book.full:
            msg = "database or disk is full"
            raise LedgerError(msg)
        await asyncio.to_thread(self.book.put, kind, data, stamp)

    async def head(self) -> ChainHead:
        return await asyncio.to_thread(lambda: self.book.head)

    async def publish(self, data, stamp: Stamp) -> None:
        self.heads.append(data)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.audit.run())
        await self.told(len(self.heads) + 1)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def told(self, count: int) -> None:
        """Wait for so many heads; signing has a thread of its own."""
        async with asyncio.timeout(10):
            while len(self.heads) < count:
                await asyncio.sleep(0.002)
        await self.book.clock.settle()


@pytest.fixture
def trailing(tmp_path: Path, book: Book) -> Trailing:
    return Trailing(tmp_path, book)


async def test_the_head_is_told_at_start_and_signed(trailing: Trailing):
    """At start the head goes out, signed by the kiosk's key; a new key is on record before it."""
    async with trailing.running():
        [event] = trailing.heads
    key = DeviceKey.of(event.x)
    assert key == (await asyncio.to_thread(read_kiosk_key, trailing.folder / FILE_NAME)).public()
    head = open_head(event.document.encode(), {event.kid: key.verifier()})
    at = trailing.book.head
    assert (head.kiosk, head.chain, head.number, head.hash) == ("k-1", at.chain, 2, at.hash)
    kind, data = trailing.book.told[-1]
    assert kind == "kiosk_key.made"
    assert data == {"kid": key.kid, "x": key.x, "reason": "the kiosk had no key"}
    async with trailing.running():
        assert trailing.heads[-1].number == 2


async def test_changes_within_a_second_share_a_head(trailing: Trailing):
    """Entries of one second are told by one head, one second after the first."""
    clock = trailing.book.clock
    async with trailing.running():
        for number in range(5):
            await trailing.audit.record("config.changed", {"version": number})
        trailing.book.append("command.accepted")
        trailing.audit.changed()
        await clock.advance(0.9)
        assert len(trailing.heads) == 1
        await clock.advance(0.2)
        await trailing.told(2)
        assert trailing.heads[-1].number == 8
        await clock.advance(3600)
        assert len(trailing.heads) == 2


async def test_a_quiet_day_has_a_head(trailing: Trailing):
    """Without any change the head is told once a day."""
    async with trailing.running():
        await trailing.book.clock.advance(86_400 - 1)
        assert len(trailing.heads) == 1
        await trailing.book.clock.advance(3)
        await trailing.told(2)
        assert trailing.heads[0].hash == trailing.heads[1].hash


async def test_what_a_full_disk_swallowed_is_counted(trailing: Trailing):
    """Entries that cannot be stored are counted, and the count comes before the next entry."""
    book = trailing.book
    assert await trailing.audit.record("local.maintenance.on", {"by": "zhang"})
    book.full = True
    for number in range(3):
        assert not await trailing.audit.record("config.changed", {"version": number})
        await book.clock.advance(60)
    assert trailing.faults[-1][0] == "audit.incomplete"
    assert "disk is full" in trailing.faults[-1][1]
    book.full = False
    assert await trailing.audit.record("config.changed", {"version": 4})
    assert book.told[-3:] == [
        ("local.maintenance.on", {"by": "zhang"}),
        ("entries.missed", {"count": 3, "since": "2026-11-01T08:00:00.000Z"}),
        ("config.changed", {"version": 4}),
    ]
    assert trailing.faults[-1] == ("audit.incomplete", None)


async def test_data_that_are_no_entry_are_missed_not_fatal(trailing: Trailing):
    """A mistake in the data costs that entry, not the agent, and shows in the trail."""
    assert not await trailing.audit.record("config.changed", {"tables": ["a"]})  # type: ignore[dict-item]
    assert await trailing.audit.record("config.changed", {"version": 1})
    assert [kind for kind, _ in trailing.book.told[1:]] == ["entries.missed", "config.changed"]


async def test_an_entry_has_the_time_of_what_happened(trailing: Trailing):
    """The time of an entry is that of what it tells, where the caller knows it."""
    earlier = trailing.book.clock.stamp()
    await trailing.book.clock.advance(60)
    await trailing.audit.record("local.maintenance.on", {}, earlier)
    assert trailing.book.entries[-1].time == earlier.time


async def test_strangers_cannot_push_the_past_out(trailing: Trailing):
    """A flood of messages that nobody trusted signed is counted, not recorded one by one."""
    book = trailing.book
    for _ in range(500):
        await trailing.audit.turned_away("bad_signature", {"text": "not made by key li"})
    assert len(book.entries) == 1 + STRANGERS_PER_HOUR
    await book.clock.advance(3600 / STRANGERS_PER_HOUR)
    await trailing.audit.turned_away("unknown_key", {"text": "no key"})
    assert book.told[-2:] == [
        ("refusals.counted", {"bad_signature": 500 - STRANGERS_PER_HOUR}),
        ("command.refused", {"code": "unknown_key", "text": "no key"}),
    ]


async def test_counted_refusals_are_told_within_a_day(trailing: Trailing):
    """When the flood is over its count is recorded with the next head, a day later at most."""
    async with trailing.running():
        for _ in range(STRANGERS_PER_HOUR + 7):
            await trailing.audit.turned_away("bad_signature", {})
        await trailing.book.clock.advance(1)
        await trailing.told(2)
        await trailing.book.clock.advance(86_402)
        await trailing.told(3)
        assert trailing.book.told[-1] == ("refusals.counted", {"bad_signature": 7})
        assert trailing.heads[-1].number == trailing.book.head.number


async def test_a_replaced_key_is_a_fault(trailing: Trailing):
    """A key that was broken is replaced, told as a fault, and on record with its reason."""
    (trailing.folder / FILE_NAME).write_text(json.dumps({"kty": "OKP"}))
    async with trailing.running():
        [(fault, text)] = trailing.faults
    assert fault == "kiosk_key.replaced"
    assert f"{FILE_NAME}.broken-1" in text
    assert trailing.book.told[-1][1]["reason"] == text


async def test_without_a_key_there_is_a_record_all_the_same(trailing: Trailing):
    """While the key cannot be read nothing is signed, and entries are stored as ever."""
    (trailing.folder / FILE_NAME).mkdir()
    with pytest.raises(KioskKeyError):
        await trailing.audit.run()
    assert await trailing.audit.record("local.maintenance.on", {})
    assert trailing.heads == []
