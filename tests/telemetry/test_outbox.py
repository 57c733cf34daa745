"""The outbox through its public doors: nothing put is lost without being admitted."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import OversizeError, Priority, open_message
from contract.receipt import Receipt
from telemetry.outbox import STALLED_S, Outbox
from telemetry.row import Row
from telemetry.store import CorruptedError, Store
from tests.support.clock import ManualClock
from tests.support.messages import backlog, covered, gaps, message, put, put_all
from tests.telemetry.conftest import StartOutbox, running

P = Priority


async def test_survives_restart_with_time_and_sequence(start_outbox: StartOutbox, clock):
    """A stored message keeps its original time, id and sequence over a restart."""
    outbox = await start_outbox()
    await put(outbox, clock, P.EVENT)
    before = [open_message(row.payload) for row in await backlog(outbox)]
    await clock.advance(86_400)
    outbox = await start_outbox()
    after = [open_message(row.payload) for row in await backlog(outbox)]
    assert before == after
    assert after[0].sequence == 1


async def test_numbers_go_on_after_restart(start_outbox: StartOutbox, clock):
    """The sequence continues over restarts, also when everything was delivered."""
    outbox = await start_outbox()
    await put(outbox, clock, P.EVENT, P.EVENT)
    for row in await backlog(outbox):
        outbox.delivered(row)
    outbox = await start_outbox()
    assert outbox.rows == 0
    await put(outbox, clock, P.EVENT)
    assert [row.sequence for row in await backlog(outbox)] == [3]


async def test_classes_in_order(start_outbox: StartOutbox, clock):
    """The backlog comes as alarms, receipts, events, telemetry; each oldest first."""
    outbox = await start_outbox()
    await put(outbox, clock, P.TELEMETRY, P.EVENT, P.RECEIPT, P.ALARM, P.TELEMETRY, P.ALARM)
    assert [row.sequence for row in await backlog(outbox)] == [4, 6, 3, 2, 1, 5]


async def test_removed_only_when_delivered(start_outbox: StartOutbox, clock):
    """A message that was taken but not acknowledged comes again after the line broke."""
    outbox = await start_outbox()
    outbox.attach(lambda: None)
    await put(outbox, clock, P.EVENT, P.EVENT)
    first, second = outbox.take_live(), outbox.take_live()
    assert first is not None
    assert second is not None
    outbox.delivered(first)
    outbox.detach()
    await clock.advance(1)
    assert [row.key for row in await backlog(outbox)] == [second.key]


async def test_live_goes_first(start_outbox: StartOutbox, clock):
    """What is stored while the line is up is offered apart from the backlog, and just once."""
    outbox = await start_outbox()
    await put(outbox, clock, P.EVENT)
    woken: list[int] = []
    outbox.attach(lambda: woken.append(1))
    await put(outbox, clock, P.TELEMETRY, P.ALARM)
    live = [outbox.take_live(), outbox.take_live(), outbox.take_live()]
    assert [row and row.sequence for row in live] == [3, 2, None]
    assert woken
    old = await outbox.fetch_backlog()
    assert [row.sequence for row in old] == [1]


async def test_overflow_of_live_queue_keeps_order(start_outbox: StartOutbox, clock):
    """More live messages than memory holds come from the disk, in order, none twice."""
    outbox = await start_outbox()
    outbox.attach(lambda: None)
    while outbox.has_backlog:
        await outbox.fetch_backlog()
    await put_all(outbox, clock, [message(P.EVENT) for _ in range(2_500)])
    got = []
    while (row := outbox.take_live()) is not None:
        got.append(row.sequence)
    await put_all(outbox, clock, [message(P.EVENT)])
    assert outbox.take_live() is None, "must not overtake what is still on the disk"
    while rows := await outbox.fetch_backlog():
        got += [row.sequence for row in rows]
    assert got == list(range(1, 2_502))


async def test_full_by_rows_drops_oldest_of_lowest_class(start_outbox: StartOutbox, clock):
    """When full, the oldest telemetry goes first and one growing gap message admits it."""
    outbox = await start_outbox(max_rows=100)
    await put_all(outbox, clock, [message(P.EVENT) for _ in range(40)])
    await put_all(outbox, clock, [message(P.TELEMETRY) for _ in range(60)])
    for _ in range(5):
        await put_all(outbox, clock, [message(P.ALARM) for _ in range(5)])
    rows = await backlog(outbox)
    assert outbox.rows == len(rows) == 100
    (gap,) = gaps(rows)
    assert (gap.message_class, gap.reason, gap.count) == ("telemetry", "full", 26)
    assert gap.first_sequence == 41
    assert gap.last_sequence == 66
    assert outbox.lost == 26
    arrive, admitted = covered(rows)
    assert arrive | admitted == set(range(1, outbox.last_sequence + 1))


async def test_full_of_alarms_drops_new_telemetry(start_outbox: StartOutbox, clock):
    """Telemetry never pushes an alarm out."""
    outbox = await start_outbox(max_rows=100)
    await put_all(outbox, clock, [message(P.ALARM) for _ in range(99)])
    await put(outbox, clock, *[P.TELEMETRY] * 5)
    rows = await backlog(outbox)
    assert sum(row.topic.endswith("alarm.raised") for row in rows) == 99
    assert sum(gap.count or 0 for gap in gaps(rows)) == 5


async def test_full_by_bytes_counts_the_log(start_outbox: StartOutbox, clock, tmp_path: Path):
    """Database, log and index together stay within the bound on disk."""
    outbox = await start_outbox(max_mib=4)
    for _ in range(40):
        await put_all(outbox, clock, [message(P.RECEIPT, 1000) for _ in range(200)])
    used = sum(path.stat().st_size for path in tmp_path.glob("outbox.db*"))
    assert used <= 4 * 2**20
    assert outbox.rows > 1_000
    arrive, admitted = covered(await backlog(outbox))
    assert arrive | admitted == set(range(1, outbox.last_sequence + 1))


async def test_disk_floor(tmp_path: Path, clock, faults):
    """With less space than the floor, what is stored does not grow and the loss says why."""
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize // 2**20
    async with running(tmp_path, clock, faults, disk_floor_mib=0) as outbox:
        for _ in range(12):
            await put_all(outbox, clock, [message(P.TELEMETRY, 1_000) for _ in range(400)])
    async with running(tmp_path, clock, faults, disk_floor_mib=free * 2) as outbox:
        await put_all(outbox, clock, [message(P.ALARM, 1_000) for _ in range(400)])
        await put_all(outbox, clock, [message(P.ALARM) for _ in range(5)])
        rows = await backlog(outbox)
    assert sum(row.topic.endswith("alarm.raised") for row in rows) == 405
    assert {gap.reason for gap in gaps(rows)} == {"disk_full"}


async def test_oversize_is_refused_alone(start_outbox: StartOutbox, clock):
    """A message too large for the wire fails its own put and leaves no hole in the numbers."""
    outbox = await start_outbox()
    large = Receipt(status="succeeded", result={"log": "x" * 70_000})
    results = await asyncio.gather(
        outbox.put(message(P.ALARM), clock.stamp()),
        outbox.put(large, clock.stamp()),
        outbox.put(message(P.ALARM), clock.stamp()),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), OversizeError, type(None)]
    assert [row.sequence for row in await backlog(outbox)] == [1, 2]


async def test_watermark_frees_rows(start_outbox: StartOutbox, clock):
    """With watermarks a PUBACK frees nothing; the centre's word does, for all classes."""
    outbox = await start_outbox(release="watermark")
    await put(outbox, clock, P.ALARM, P.EVENT, P.TELEMETRY, P.EVENT)
    for row in await backlog(outbox):
        outbox.delivered(row)
    await clock.advance(1)
    assert outbox.rows == 4
    await outbox.release(3)
    assert [row.sequence for row in await backlog(outbox)] == [4]
    await outbox.release(4)
    assert outbox.rows == 0


async def test_watermark_of_another_box_frees_nothing(start_outbox: StartOutbox, clock):
    """A box that was replaced counts from one again, and the centre has not noticed yet."""
    outbox = await start_outbox(release="watermark")
    await put(outbox, clock, P.ALARM, P.EVENT)
    await outbox.release(50_000)
    assert [row.sequence for row in await backlog(outbox)] == [1, 2]


async def test_put_back_while_the_backlog_is_read(start_outbox: StartOutbox, clock):
    """A message that the broker denied is offered again, whatever is under way."""
    outbox = await start_outbox()
    await put_all(outbox, clock, [message(P.EVENT) for _ in range(500)])
    outbox.attach(lambda: None)
    first: list[Row] = []
    while not first:
        first = await outbox.fetch_backlog()
    reading = asyncio.create_task(outbox.fetch_backlog())
    await asyncio.sleep(0)
    outbox.put_back(first[4].key)
    got = await reading
    while outbox.has_backlog:
        got += await outbox.fetch_backlog()
    keys = [row.key for row in got]
    assert first[4].key in keys
    assert len(keys) == len(set(keys)) == 301


async def test_what_the_broker_lost_is_offered_again(start_outbox: StartOutbox, clock):
    """A watermark that stands still lacks something: its oldest go out again, on the same line."""
    outbox = await start_outbox(release="watermark")
    await put(outbox, clock, P.EVENT, P.ALARM, P.EVENT)
    outbox.attach(lambda: None)
    while outbox.has_backlog:
        for row in await outbox.fetch_backlog():
            outbox.delivered(row)
    await outbox.release(1)
    await clock.advance(STALLED_S - 10)
    assert await outbox.fetch_backlog() == []
    await clock.advance(20)
    while not outbox.has_backlog:
        await asyncio.sleep(0.001)
    again = []
    while outbox.has_backlog:
        again += await outbox.fetch_backlog()
    assert sorted(row.sequence for row in again) == [2, 3]
    await clock.advance(STALLED_S + 10)
    await asyncio.sleep(0.05)
    assert await outbox.fetch_backlog() == [], "what is on its way is not offered twice"


async def test_watermark_is_ignored_where_puback_frees(start_outbox: StartOutbox, clock):
    """Without the setting nobody on the broker can make the kiosk forget."""
    outbox = await start_outbox()
    await put(outbox, clock, P.ALARM)
    await outbox.release(1)
    assert outbox.rows == 1


def damage(path: Path) -> None:
    """Overwrite the middle of a database."""
    with path.open("r+b") as file:
        file.seek(0)
        file.write(os.urandom(path.stat().st_size))


async def test_damaged_at_start(tmp_path: Path, clock, faults):
    """A damaged file is set aside, numbers are not given out twice, the loss is admitted."""
    async with running(tmp_path, clock, faults) as outbox:
        await put(outbox, clock, P.ALARM, P.EVENT)
    damage(tmp_path / "outbox.db")
    async with running(tmp_path, clock, faults) as outbox:
        assert (tmp_path / "outbox.db.damaged").exists()
        await clock.settle()
        assert faults[-1][0] == "outbox.corrupted"
        (gap,) = gaps(await backlog(outbox))
        assert gap.reason == "corrupted"
        assert gap.last_sequence >= 2
        assert outbox.last_sequence > gap.last_sequence


async def test_removed_database(tmp_path: Path, clock, faults):
    """A database that somebody deleted does not start the numbers again."""
    async with running(tmp_path, clock, faults) as outbox:
        await put(outbox, clock, P.ALARM, P.EVENT)
    for path in tmp_path.glob("outbox.db*"):
        path.unlink()
    async with running(tmp_path, clock, faults) as outbox:
        assert gaps(await backlog(outbox))[0].last_sequence >= 2


async def test_damaged_while_running(start_outbox: StartOutbox, clock, faults, tmp_path: Path):
    """Damage found by a write does not lose that write."""
    outbox = await start_outbox()
    await put_all(outbox, clock, [message(P.ALARM, 500) for _ in range(400)])
    other = sqlite3.connect(tmp_path / "outbox.db")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    size = (tmp_path / "outbox.db").stat().st_size
    with (tmp_path / "outbox.db").open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(size - 100))
    outbox._disk._store._db.execute("PRAGMA cache_size=0")  # or it would never read the file again
    await put_all(outbox, clock, [message(P.ALARM, 500) for _ in range(400)])
    assert ("outbox.corrupted") in [fault for fault, _ in faults]
    rows = await backlog(outbox)
    assert sum(row.topic.endswith("alarm.raised") for row in rows) == 400
    arrive, admitted = covered(rows)
    assert arrive | admitted == set(range(1, outbox.last_sequence + 1))


def fill(path: Path) -> None:
    """Write until the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, b"x" * 4096):
            pass
    except OSError:
        pass
    finally:
        os.close(descriptor)


def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own; skips where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting a file system is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "small", "size=2m")


@pytest.fixture
def fixed_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "fixed", "ro,size=1m")


async def fill_until_it_fails(disk: Path, outbox: Outbox, clock, faults) -> None:
    """Store some, then leave no room until memory stands in."""
    await put_all(outbox, clock, [message(P.ALARM) for _ in range(10)])
    fill(disk / "filler")
    while not faults:
        await put_all(outbox, clock, [message(P.ALARM, 900) for _ in range(50)])
        await asyncio.sleep(0.01)


def left_of(folder: Path) -> dict[str, bytes]:
    """What a kill at this moment would leave there."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def laid_out(folder: Path, left: dict[str, bytes]) -> Path:
    """Make the folder as it was left."""
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
    return folder


async def test_full_disk_and_recovery(small_disk: Path, clock, faults):
    """On a full disk messages are kept in memory; when there is room they move to the disk."""
    async with running(small_disk, clock, faults, disk_floor_mib=0) as outbox:
        await put_all(outbox, clock, [message(P.ALARM) for _ in range(10)])
        filler = small_disk / "filler"
        fill(filler)
        for _ in range(10):
            await put_all(outbox, clock, [message(P.ALARM, 900) for _ in range(50)])
        assert faults[-1][0] == "outbox.storage"
        assert outbox.rows == 510
        filler.unlink()
        while faults[-1] != ("outbox.storage", None):
            await clock.advance(5)
            await asyncio.sleep(0.01)
        assert outbox.rows == 510
    async with running(small_disk, clock, faults, disk_floor_mib=0) as outbox:
        assert [row.sequence for row in await backlog(outbox)] == list(range(1, 511))


async def test_killed_while_the_disk_is_full(small_disk: Path, clock, faults):
    """What memory numbered is not numbered again, though nothing new could be written."""
    async with running(small_disk / "state", clock, faults, disk_floor_mib=0) as outbox:
        await fill_until_it_fails(small_disk, outbox, clock, faults)
        used, left = outbox.last_sequence, left_of(small_disk / "state")
    (small_disk / "filler").unlink()
    after = laid_out(small_disk / "after", left)  # with room again
    async with running(after, clock, faults, disk_floor_mib=0) as outbox:
        await put(outbox, clock, P.ALARM)
        rows = await backlog(outbox)
        assert outbox.last_sequence > used + 1
        assert "storage_failed" in {gap.reason for gap in gaps(rows)}


async def test_read_only_file_system(fixed_disk: Path, clock, faults):
    """On a read-only file system the agent goes on in memory and says so."""
    async with running(fixed_disk, clock, faults) as outbox:
        await put(outbox, clock, P.ALARM, P.TELEMETRY)
        assert len(await backlog(outbox)) == 2
        assert faults[0][0] == "outbox.storage"


async def test_memory_is_bounded_and_admits(tmp_path: Path, clock, faults):
    """In memory, too, what does not fit is admitted."""
    (tmp_path / "state").write_text("a file where a folder should be")
    async with running(tmp_path / "state", clock, faults) as outbox:
        for _ in range(5):
            await put_all(outbox, clock, [message(P.TELEMETRY) for _ in range(500)])
        rows = await backlog(outbox)
    assert len(rows) == 2_000
    assert {gap.reason for gap in gaps(rows)} == {"storage_failed"}
    arrive, admitted = covered(rows)
    assert arrive | admitted == set(range(1, outbox.last_sequence + 1))


STEP = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(list(Priority)), st.integers(1, 60)),
    st.tuples(st.just("restart"), st.just(None), st.just(0)),
    st.tuples(st.just("deliver"), st.just(None), st.integers(1, 100)),
    st.tuples(st.just("break"), st.just(None), st.integers(0, 30)),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, max_size=25))
def test_every_number_arrives_or_is_admitted(tmp_path_factory, steps):
    """Whatever is put, delivered, cut and restarted: each number arrives or is in a gap."""

    async def scenario() -> None:
        folder = tmp_path_factory.mktemp("outbox")
        clock = ManualClock()
        received = {}
        stack = running(folder, clock, [], max_rows=100)
        outbox = await stack.__aenter__()

        async def take(limit: int, *, acknowledge: bool) -> None:
            outbox.attach(lambda: None)
            left = limit
            while left and outbox.has_backlog:
                for row in (await outbox.fetch_backlog())[:left]:
                    received[row.sequence] = row
                    left -= 1
                    if acknowledge:
                        outbox.delivered(row)
            outbox.detach()

        for what, priority, number in steps:
            if what == "put":
                await put_all(
                    outbox,
                    clock,
                    [message(priority) for _ in range(number)] + [message(P.ALARM)],
                )
            elif what == "restart":
                await stack.__aexit__(None, None, None)
                stack = running(folder, clock, [], max_rows=100)
                outbox = await stack.__aenter__()
            else:
                await take(number, acknowledge=what == "deliver")
            await clock.advance(0.2)
        await take(10**6, acknowledge=True)
        last = outbox.last_sequence
        await stack.__aexit__(None, None, None)
        arrive, admitted = covered(list(received.values()))
        assert arrive | admitted >= set(range(1, last + 1))

    asyncio.run(scenario())


async def test_watermark_makes_room_for_alarms(start_outbox: StartOutbox, clock):
    """Telemetry that waits for the centre's word gives way to a new alarm."""
    outbox = await start_outbox(release="watermark", max_rows=100)
    outbox.attach(lambda: None)
    await put_all(outbox, clock, [message(P.TELEMETRY) for _ in range(100)])
    while (row := outbox.take_live()) is not None:
        outbox.delivered(row)
    await put_all(outbox, clock, [message(P.ALARM) for _ in range(10)])
    outbox.detach()
    rows = await backlog(outbox)
    assert sum(row.topic.endswith("alarm.raised") for row in rows) == 10
    assert {gap.message_class for gap in gaps(rows)} == {"telemetry"}


async def test_numbers_of_a_failing_disk_are_not_reused(tmp_path: Path, clock, faults):
    """What was numbered in memory until the end is not numbered again; the loss is admitted."""
    async with running(tmp_path, clock, faults) as outbox:
        await put(outbox, clock, P.EVENT)
        locker = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
        outbox._disk._store._db.execute("PRAGMA busy_timeout=0")
        locker.execute("BEGIN IMMEDIATE")
        await put(outbox, clock, P.ALARM, P.ALARM)
        used = outbox.last_sequence
        assert used == 3
    locker.close()
    async with running(tmp_path, clock, faults) as outbox:
        rows = await backlog(outbox)
        assert outbox.last_sequence > used
        assert "storage_failed" in {gap.reason for gap in gaps(rows)}


async def test_what_waits_too_long_is_given_up_and_admitted(start_outbox: StartOutbox, clock):
    """Messages of the types that are named, older than that; all others stay."""
    outbox = await start_outbox()
    await put(outbox, clock, P.EVENT, P.EVENT, P.TELEMETRY)
    await clock.advance(100)
    await put(outbox, clock, P.EVENT)
    woken: list[int] = []
    outbox.attach(lambda: woken.append(1))
    await outbox.expire([type(message(P.EVENT))], 50)
    rows = await backlog(outbox)
    assert woken == [1]
    assert [row.sequence for row in rows] == [5, 4, 3]
    [gap] = gaps(rows)
    assert (gap.reason, gap.message_class, gap.count) == ("expired", "event", 2)
    assert (gap.first_sequence, gap.last_sequence) == (1, 2)
    await outbox.expire([type(message(P.EVENT))], 50)
    assert woken == [1]


async def test_what_is_on_its_way_is_not_given_up(start_outbox: StartOutbox, clock):
    """It arrives: a loss that is none must not be admitted."""
    outbox = await start_outbox()
    outbox.attach(lambda: None)
    await put(outbox, clock, P.EVENT)
    await clock.advance(100)
    await outbox.expire([type(message(P.EVENT))], 50)
    assert outbox.rows == 1


@pytest.mark.parametrize(
    ("qualities", "uptime_s", "gone"),
    [
        (("synced", "synced"), 0, True),
        (("unsynced", "synced"), 0, False),
        (("synced", "unsynced"), 0, False),
        (("unsynced", "unsynced"), 60, True),
    ],
)
async def test_age_is_what_clocks_agree_on(
    start_outbox: StartOutbox, clock, qualities, uptime_s, gone
):
    """Over a reboot only synchronised clocks count, or that this boot alone has lasted longer."""
    outbox = await start_outbox()
    clock.quality, after = qualities
    await put(outbox, clock, P.EVENT)
    clock.quality, clock.boot_id = after, "boot-2"
    clock.wall_offset = timedelta(seconds=100)
    await clock.advance(uptime_s)
    await outbox.expire([type(message(P.EVENT))], 50)
    assert bool(gaps(await backlog(outbox))) == gone


async def test_what_is_older_than_something_old_is_old(start_outbox: StartOutbox, clock):
    """A message stamped by a wrong clock goes with the later one whose age is known."""
    outbox = await start_outbox()
    clock.quality = "unsynced"
    await put(outbox, clock, P.EVENT)
    clock.quality, clock.boot_id = "synced", "boot-2"
    await put(outbox, clock, P.EVENT)
    clock.boot_id = "boot-3"
    clock.wall_offset = timedelta(seconds=100)
    await outbox.expire([type(message(P.EVENT))], 50)
    [gap] = gaps(await backlog(outbox))
    assert gap.count == 2


@asynccontextmanager
async def locked(folder: Path, outbox) -> AsyncIterator[None]:
    """Another process holds the database: nothing can be written meanwhile."""
    locker = sqlite3.connect(folder / "outbox.db", isolation_level=None)
    outbox._disk._store._db.execute("PRAGMA busy_timeout=0")
    locker.execute("BEGIN IMMEDIATE")
    yield
    locker.close()


async def until_recovered(clock, faults) -> None:
    while faults[-1] != ("outbox.storage", None):
        await clock.advance(5)
        await asyncio.sleep(0.01)


async def test_a_gap_of_a_failing_disk_has_a_number_of_its_own(tmp_path: Path, clock, faults):
    """What is given up while memory stands in is told once, and no number is given out twice."""
    async with running(tmp_path, clock, faults) as outbox:
        await put(outbox, clock, P.EVENT)
        (too_large,) = await backlog(outbox)
        async with locked(tmp_path, outbox):
            await put(outbox, clock, P.ALARM)
        await outbox.drop_oversize(too_large)  # the disk could be written again by now
        await put(outbox, clock, P.ALARM)
        await until_recovered(clock, faults)
        assert sorted(row.sequence for row in await backlog(outbox)) == [1, 2, 3]
    async with running(tmp_path, clock, faults) as outbox:
        assert {row.sequence for row in await backlog(outbox)} == {1, 2, 3}


async def test_a_disk_that_comes_back_damaged(tmp_path: Path, clock, faults):
    """It is set aside, what memory holds is stored, and the loss is admitted."""
    async with running(tmp_path, clock, faults) as outbox:
        await put_all(outbox, clock, [message(P.EVENT, 500) for _ in range(200)])
        async with locked(tmp_path, outbox):
            await put(outbox, clock, P.ALARM, P.ALARM)
        with closing(sqlite3.connect(tmp_path / "outbox.db")) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(tmp_path / "outbox.db")
        outbox._disk._store._db.execute("PRAGMA cache_size=0")
        await until_recovered(clock, faults)
        assert (tmp_path / "outbox.db.damaged").exists()
        assert "outbox.corrupted" in [fault for fault, _ in faults]
        await put(outbox, clock, P.ALARM)
    async with running(tmp_path, clock, faults) as outbox:
        rows = await backlog(outbox)
        assert len([row for row in rows if not row.topic.endswith("gap")]) == 3
        numbers = [row.sequence for row in rows]
        assert len(numbers) == len(set(numbers))
        assert gaps(rows)[0].last_sequence >= 200


async def test_a_row_of_no_class(tmp_path: Path, clock, faults):
    """A database that nobody of us wrote is damaged, and no reason not to start."""
    async with running(tmp_path, clock, faults) as outbox:
        await put(outbox, clock, P.ALARM)
    with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as other:
        other.execute("INSERT INTO message VALUES (?, 't', 0, x'7b7d')", (2**62,))
    async with running(tmp_path, clock, faults) as outbox:
        await clock.settle()
        assert faults[-1][0] == "outbox.corrupted"
        await put(outbox, clock, P.ALARM)
        assert outbox.last_sequence > 1


async def test_counters_and_database_both_lost(tmp_path: Path, clock, faults):
    """The numbers do not start again, wherever they were."""
    async with running(tmp_path, clock, faults) as outbox:
        await put_all(outbox, clock, [message(P.EVENT) for _ in range(50)])
    for path in tmp_path.glob("outbox.db*"):
        path.unlink()
    (tmp_path / "counters.json").write_bytes(b"\0" * 64)
    async with running(tmp_path, clock, faults) as outbox:
        assert outbox.last_sequence > 50
        assert gaps(await backlog(outbox))[0].last_sequence >= 50


async def test_loss_is_admitted_when_there_is_room_again(small_disk: Path, clock, faults):
    """Killed while the disk was full, and started with a disk that is full still."""
    async with running(small_disk / "state", clock, faults, disk_floor_mib=0) as outbox:
        await fill_until_it_fails(small_disk, outbox, clock, faults)
        used, left = outbox.last_sequence, left_of(small_disk / "state")
    (small_disk / "filler").unlink()
    after = laid_out(small_disk / "after", left)
    fill(small_disk / "filler")
    faults.clear()
    async with running(after, clock, faults, disk_floor_mib=0) as outbox:
        await clock.settle()
        assert faults[-1][0] == "outbox.storage"
        await put(outbox, clock, P.ALARM)
        (small_disk / "filler").unlink()
        await until_recovered(clock, faults)
    async with running(after, clock, faults, disk_floor_mib=0) as outbox:
        rows = await backlog(outbox)
        assert outbox.last_sequence > used + 1
        arrive, admitted = covered(rows)
        assert arrive | admitted == set(range(1, outbox.last_sequence + 1))


class _PowerCutError(BaseException):
    pass


async def test_power_cut_before_the_loss_is_admitted(tmp_path: Path, clock, faults, monkeypatch):
    """A new database without the admission is not taken for one that knows the numbers."""

    def power_cut(*_: object) -> None:
        raise _PowerCutError

    async with running(tmp_path, clock, faults) as outbox:
        await put_all(outbox, clock, [message(P.EVENT) for _ in range(50)])
    damage(tmp_path / "outbox.db")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "admit_unknown_loss", power_cut)
        with pytest.raises(_PowerCutError):
            await running(tmp_path, clock, faults).__aenter__()
    async with running(tmp_path, clock, faults) as outbox:
        await put(outbox, clock, P.ALARM)
        rows = await backlog(outbox)
        assert gaps(rows)[0].last_sequence >= 50
        arrive, admitted = covered(rows)
        assert arrive | admitted == set(range(1, outbox.last_sequence + 1))


async def test_damage_that_cannot_be_set_aside_at_once(tmp_path: Path, clock, faults, monkeypatch):
    """The file system became read-only; when it can be written again, the loss is admitted."""
    async with running(tmp_path, clock, faults) as outbox:
        await put_all(outbox, clock, [message(P.EVENT) for _ in range(50)])
        async with locked(tmp_path, outbox):
            await put(outbox, clock, P.ALARM)

            def read_only(*_: object) -> None:
                raise OSError(30, "Read-only file system")

            def damaged(*_: object) -> None:
                msg = "database disk image is malformed"
                raise CorruptedError(msg)

            tries: list[int] = []
            with monkeypatch.context() as patch:
                patch.setattr(Store, "adopt", damaged)
                patch.setattr(Path, "replace", lambda *_: tries.append(1) or read_only())
                while not tries:
                    await clock.advance(5)
                    await asyncio.sleep(0.01)
        damage(tmp_path / "outbox.db")
        await until_recovered(clock, faults)
        rows = await backlog(outbox)
        assert len([row for row in rows if row.topic.endswith("alarm.raised")]) == 1
        arrive, admitted = covered(rows)
        assert arrive | admitted == set(range(1, outbox.last_sequence + 1))


async def test_what_memory_holds_goes_out_while_the_disk_cannot_be_read(
    tmp_path: Path, clock, faults, monkeypatch
):
    """That the disk fails is not to wait for the disk; what lies there comes afterwards."""
    async with running(tmp_path, clock, faults) as outbox:
        await put(outbox, clock, P.EVENT)
        on_disk = outbox._disk._store
        fetch = Store.fetch

        def unreadable(store: Store, *arguments) -> list[Row]:
            if store is on_disk:
                msg = "disk I/O error"
                raise sqlite3.OperationalError(msg)
            return fetch(store, *arguments)

        outbox.attach(lambda: None)
        async with locked(tmp_path, outbox):
            await put(outbox, clock, P.ALARM)
            outbox.detach()
            with monkeypatch.context() as patch:
                patch.setattr(Store, "fetch", unreadable)
                assert [row.sequence for row in await backlog(outbox)] == [2]
        await until_recovered(clock, faults)
        assert [row.sequence for row in await backlog(outbox)] == [2, 1]


async def test_session_numbers_of_a_full_disk_are_not_reused(small_disk: Path, clock, faults):
    """Consumers take a lower one for something that came late."""
    async with running(small_disk / "state", clock, faults, disk_floor_mib=0) as outbox:
        await put(outbox, clock, P.ALARM)
        fill(small_disk / "filler")
        sessions = [await outbox.next_session() for _ in range(5)]
        left = left_of(small_disk / "state")
    (small_disk / "filler").unlink()
    after = laid_out(small_disk / "after", left)
    async with running(after, clock, faults, disk_floor_mib=0) as outbox:
        assert await outbox.next_session() > max(sessions)
