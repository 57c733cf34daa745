"""The desk: what citizens, the command centre and the person on site do to each other."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from commands.desk.closing import LOOK_AGAIN_S
from commands.desk.follower import MAX_WAITING
from commands.desk.notices import MAX_ANNOUNCEMENTS, POWER_STALE_S
from commands.desk.sessions import MAX_SESSIONS
from commands.desk.state import Lease
from commands.errors import ActionError, DeskError
from contract import Stamp
from tests.support.clock import START, ManualClock
from tests.support.desks import DeskOnFile


@pytest.fixture
def life(tmp_path: Path) -> DeskOnFile:
    return DeskOnFile(tmp_path, idle_timeout_s=60)


@asynccontextmanager
async def running(life: DeskOnFile) -> AsyncIterator[None]:
    """What ends by itself ends inside this block."""
    task = asyncio.create_task(life.desk.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def advance(life: DeskOnFile, seconds: float) -> None:
    """Let time pass, and the state file be written, which takes a thread and so real time."""
    await life.clock.advance(seconds)
    while life.desk._record._running:
        await asyncio.sleep(0.001)
    await life.clock.settle()


# -- sessions --------------------------------------------------------------------------------


async def test_a_session_from_begin_to_end(life: DeskOnFile):
    """While a session is open a citizen is being served; both ends are events of their moment."""
    session = await life.desk.sessions.begin("violation.pay", "self_service")
    assert life.desk.is_serving
    await life.clock.advance(12)
    await life.desk.sessions.end(session.id)
    assert not life.desk.is_serving
    begin, end = life.events
    assert (begin.KIND, begin.session_id, begin.business) == (
        "session.begin",
        session.id,
        "violation.pay",
    )
    assert (end.KIND, end.reason, end.duration_s, end.begun) == (
        "session.end",
        "ended",
        12,
        session.begun,
    )
    assert [stamp.monotonic_ms for stamp in life.stamps] == [0, 12_000]


async def test_wait_until_free(life: DeskOnFile):
    """Who waits for the citizen goes on when the last session has ended, not before."""
    one = await life.desk.sessions.begin("licence.renew", "staff")
    two = await life.desk.sessions.begin("violation.pay", "self_service")
    waiting = asyncio.create_task(life.desk.wait_until_free())
    await life.desk.sessions.end(one.id)
    await life.clock.settle()
    assert not waiting.done()
    await life.desk.sessions.end(two.id)
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(life.desk.wait_until_free(), 1)


async def test_forgotten_session_ends_by_itself(life: DeskOnFile):
    """A session that nobody keeps alive ends at its time, one that is kept alive does not."""
    forgotten = await life.desk.sessions.begin("a", "staff")
    kept = await life.desk.sessions.begin("b", "staff")
    async with running(life):
        await advance(life, 40)
        life.desk.sessions.keep_alive(kept.id)
        await advance(life, 19)
        assert len(life.desk.sessions.stored) == 2
        await advance(life, 1)
        assert [session.id for session in life.desk.sessions.stored] == [kept.id]
        await advance(life, 40)
        assert not life.desk.is_serving
    assert [(end.session_id, end.reason, end.duration_s) for end in life.events[2:]] == [
        (forgotten.id, "timeout", 60),
        (kept.id, "timeout", 100),
    ]


async def test_unknown_session(life: DeskOnFile):
    """A session that has ended can neither be kept alive nor ended again."""
    session = await life.desk.sessions.begin("a", "staff")
    await life.desk.sessions.end(session.id)
    with pytest.raises(DeskError, match="no such session") as caught:
        life.desk.sessions.keep_alive(session.id)
    assert caught.value.code == "no_such_session"
    with pytest.raises(DeskError, match="no such session"):
        await life.desk.sessions.end(session.id)
    assert life.kinds == ["session.begin", "session.end"]


async def test_sessions_are_bounded(life: DeskOnFile):
    """An application that only ever begins sessions is refused at some point."""
    for _ in range(MAX_SESSIONS):
        await life.desk.sessions.begin("a", "staff")
    assert not life.desk.service.may_begin
    with pytest.raises(DeskError) as caught:
        await life.desk.sessions.begin("a", "staff")
    assert caught.value.code == "too_many_sessions"


# -- lock and maintenance --------------------------------------------------------------------


async def test_lock_while_a_session_is_open(life: DeskOnFile):
    """A lock lets the open session end in peace and no other begin, until it is lifted."""
    session = await life.desk.sessions.begin("a", "staff")
    await life.desk.closing.lock(text="Back soon", for_s=600)
    service = life.desk.service
    assert (service.state, service.text) == ("locked", "Back soon")
    assert service.until == START + timedelta(seconds=600)
    assert not service.may_begin
    assert "locked" in service.reason
    assert life.desk.sessions.keep_alive(session.id).id == session.id
    with pytest.raises(DeskError) as caught:
        await life.desk.sessions.begin("b", "staff")
    assert caught.value.code == "locked"
    await life.desk.sessions.end(session.id)
    await life.desk.closing.unlock()
    assert life.desk.service.may_begin
    await life.desk.sessions.begin("b", "staff")
    assert life.kinds == [
        "session.begin",
        "service.locked",
        "session.end",
        "service.unlocked",
        "session.begin",
    ]


async def test_lease_ends_by_itself(life: DeskOnFile):
    """A lock for so long is lifted then, a later lock begins anew, the screen is opened, too."""
    opened: list[float] = []

    async def unlock_screen() -> None:
        opened.append(life.clock.monotonic())

    life = DeskOnFile(life.folder, unlock_screen=unlock_screen)
    async with running(life):
        await life.desk.closing.lock(for_s=100)
        await advance(life, 50)
        await life.desk.closing.lock(for_s=100)
        await advance(life, 99)
        assert life.desk.service.state == "locked"
        await advance(life, 1)
        assert life.desk.service.state == "open"
    assert life.events[-1].reason == "lease"
    assert opened == [150]


async def test_lock_without_end(life: DeskOnFile):
    """A lock without a time holds until somebody lifts it."""
    async with running(life):
        await life.desk.closing.lock()
        await advance(life, 365 * 86_400)
        assert life.desk.service.state == "locked"
        assert life.desk.service.until is None


async def test_maintenance(life: DeskOnFile):
    """Maintenance rests business, may be prolonged, and ends by itself at the latest."""
    async with running(life):
        await life.desk.closing.begin_maintenance(text="Cleaning", for_s=100, by="li")
        await advance(life, 60)
        await life.desk.closing.begin_maintenance(text="Repair", for_s=100, by="li")
        service = life.desk.service
        assert (service.state, service.text, service.may_begin) == ("maintenance", "Repair", False)
        with pytest.raises(DeskError) as caught:
            await life.desk.sessions.begin("a", "staff")
        assert caught.value.code == "maintenance"
        await advance(life, 100)
    assert life.desk.service.state == "open"
    begin, _, end = life.events
    assert (begin.KIND, begin.by) == ("maintenance.begin", "li")
    assert (end.reason, end.duration_s, end.begun) == ("lease", 160, START)
    assert not await life.desk.closing.end_maintenance()


async def test_lock_comes_before_maintenance(life: DeskOnFile):
    """Where both hold the lock is shown; when it is lifted maintenance still holds."""
    await life.desk.closing.begin_maintenance(text="Repair", for_s=100, by="li")
    await life.desk.closing.lock(text="Closed")
    assert (life.desk.service.state, life.desk.service.text) == ("locked", "Closed")
    await life.desk.closing.unlock()
    assert (life.desk.service.state, life.desk.service.text) == ("maintenance", "Repair")


@pytest.mark.parametrize("error", [ActionError("no screen here"), RuntimeError("boom")])
async def test_screen_that_fails(tmp_path: Path, error: Exception):
    """Business is closed and opened whatever the machine's screen does; the caller is told."""

    async def fail() -> None:
        raise error

    life = DeskOnFile(tmp_path, lock_screen=fail, unlock_screen=fail)
    with capture_logs():
        assert await life.desk.closing.lock()
        assert life.desk.service.state == "locked"
        assert await life.desk.closing.unlock()
    assert life.desk.service.state == "open"


# -- over restarts ---------------------------------------------------------------------------


async def test_restart_of_the_agent(life: DeskOnFile):
    """Lock and maintenance go on with what is left of their time; open sessions have ended."""
    session = await life.desk.sessions.begin("a", "staff")
    await life.desk.closing.begin_maintenance(text="Repair", for_s=50, by="li")
    await life.desk.closing.lock(text="Closed", for_s=100)
    await life.clock.advance(30)
    life = await life.again()
    assert [(event.session_id, event.reason) for event in life.events] == [
        (session.id, "agent_restarted")
    ]
    assert life.events[0].duration_s == 30
    assert not life.desk.is_serving
    assert life.desk.service.until == START + timedelta(seconds=100)
    async with running(life):
        await advance(life, 20)
        assert life.kinds[1:] == ["maintenance.end"]
        await advance(life, 50)
    assert life.kinds[1:] == ["maintenance.end", "service.unlocked"]
    life = await life.again()
    assert life.events == []
    assert life.desk.service.may_begin


async def test_reboot_with_a_clock_that_is_right(life: DeskOnFile):
    """Over a reboot the wall clock tells how much of a lease is left."""
    await life.desk.closing.lock(for_s=1000)
    clock = ManualClock(boot_id="boot-2")
    clock.wall_offset = timedelta(seconds=900)
    life = await life.again(clock)
    async with running(life):
        await advance(life, 99)
        assert life.desk.service.state == "locked"
        await advance(life, 1)
        assert life.desk.service.state == "open"


async def test_reboot_with_a_clock_that_is_right_later(life: DeskOnFile):
    """A lease begins in full while the clock is not known to be right, and is judged when it is."""
    await life.desk.closing.lock(for_s=1000)
    clock = ManualClock("unsynced", boot_id="boot-2")
    clock.wall_offset = timedelta(seconds=900)
    life = await life.again(clock)
    assert life.desk.service.until == clock.stamp().time + timedelta(seconds=1000)
    async with running(life):
        await advance(life, 200)
        assert life.desk.service.state == "locked"
        clock.quality = "synced"
        await advance(life, LOOK_AGAIN_S)
        assert life.desk.service.state == "open"


async def test_reboot_with_a_clock_that_is_wrong(life: DeskOnFile):
    """A lock fails safe: where no clock can tell, it holds for its whole time again, but once."""
    await life.desk.closing.lock(for_s=1000)
    await life.clock.advance(900)
    clock = ManualClock("unsynced", boot_id="boot-2")
    clock.wall_offset = timedelta(days=3000)
    life = await life.again(clock)
    async with running(life):
        await advance(life, 900)
        assert life.desk.service.state == "locked"
    life = await life.again()
    async with running(life):
        await advance(life, 99)
        assert life.desk.service.state == "locked"
        await advance(life, 1)
        assert life.desk.service.state == "open"


async def test_lease_that_ended_while_nobody_ran(life: DeskOnFile):
    """A lease that was over before the agent came up ends at once, with its event."""
    await life.desk.closing.lock(for_s=10)
    await life.clock.advance(50)
    life = await life.again()
    async with running(life):
        await advance(life, 0)
    assert life.kinds == ["service.unlocked"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"lock": 1}', b'{"sessions": {}}', b"\xff\xfe", b"x" * 100_000],
)
async def test_broken_state_file(life: DeskOnFile, content: bytes):
    """A state file that cannot be read means an open kiosk and a log line, never a crash."""
    life.file.write_bytes(content)
    with capture_logs() as logs:
        await life.desk.start()
    assert life.desk.service.may_begin
    assert [line["event"] for line in logs] == ["desk_state_unreadable"]
    await life.desk.closing.lock()
    assert (await life.again()).desk.service.state == "locked"


async def test_state_of_a_later_release(life: DeskOnFile):
    """Fields that this release does not know open no kiosk that is locked."""
    await life.desk.closing.lock(for_s=10)
    state = json.loads(life.file.read_bytes())
    for part in (state, state["lock"], state["lock"]["lease"], state["lock"]["lease"]["granted"]):
        part["more"] = {"x": [1]}
    life.file.write_text(json.dumps(state))
    assert (await life.again()).desk.service.state == "locked"


@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
async def test_any_state_file(tmp_path_factory, content: bytes):
    """Whatever is in the file, the desk opens."""
    life = DeskOnFile(tmp_path_factory.mktemp("desk"))
    life.file.write_bytes(content)
    with capture_logs():
        await life.desk.start()
    assert life.desk.service.may_begin


async def test_disk_that_fails(life: DeskOnFile):
    """What cannot be saved holds all the same, and the desk says that it would not last."""
    life.file.mkdir()
    with capture_logs() as logs:
        await life.desk.closing.lock()
    assert life.desk.service.state == "locked"
    assert life.kinds == ["service.locked"]
    assert not life.desk.is_saved
    assert logs[0]["event"] == "desk_state_not_saved"
    life.file.rmdir()
    await life.desk.closing.unlock()
    assert life.desk.is_saved


async def test_cancelled_caller(life: DeskOnFile):
    """Who is cancelled in the middle leaves nothing half done: it is saved, and it is told."""
    task = asyncio.create_task(life.desk.closing.lock())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await advance(life, 0)
    assert life.kinds == ["service.locked"]
    assert (await life.again()).desk.service.state == "locked"


async def test_events_keep_their_order(life: DeskOnFile):
    """Many at once are saved one after the other, and told in the order in which they came."""
    await asyncio.gather(
        *(life.desk.closing.lock(text=str(number), for_s=60) for number in range(20))
    )
    assert [event.text for event in life.events] == [str(number) for number in range(20)]
    assert (await life.again()).desk.service.text == "19"


@given(
    for_s=st.floats(1, 86_400),
    reboots=st.lists(st.tuples(st.booleans(), st.integers(-(10**6), 10**6)), max_size=4),
)
def test_a_lease_is_never_longer_than_it_was_given(for_s: float, reboots: list[tuple[bool, int]]):
    """Whatever clocks and boots do, between nothing and the whole is left; one boot counts down."""
    lease = Lease(granted=_stamp(0, boot=0, synced=True), for_s=for_s)
    for boot, (synced, jump_s) in enumerate(reboots, start=1):
        now = _stamp(jump_s, boot=boot, synced=synced)
        lease = lease.taken_up(now)
        left = lease.left_s(now)
        assert left is not None
        assert 0 <= left <= for_s
        later = Stamp(now.time, now.monotonic_ms + 1000, now.boot_id, now.time_quality)
        assert (lease.left_s(later) or 0) <= left
        assert lease.taken_up(later) == lease


def _stamp(second: int, *, boot: int, synced: bool) -> Stamp:
    return Stamp(
        START + timedelta(seconds=second), 1000, f"boot-{boot}", "synced" if synced else "unsynced"
    )


# -- announcements and power -----------------------------------------------------------------


async def test_announcements_end_by_themselves(life: DeskOnFile):
    """Each is in force for its own time; one too many pushes out the oldest."""
    async with running(life):
        short = life.desk.notices.announce("short", 10)
        life.desk.notices.announce("long", 20)
        assert short.until == START + timedelta(seconds=10)
        await advance(life, 10)
        assert [one.text for one in life.desk.notices.announcements.announcements] == ["long"]
        await advance(life, 10)
        assert life.desk.notices.announcements.announcements == ()
    for number in range(MAX_ANNOUNCEMENTS + 1):
        life.desk.notices.announce(str(number), 10)
    assert life.desk.notices.announcements.announcements[0].text == "1"


async def test_power_notice(life: DeskOnFile):
    """No session begins while the machine is about to go down; an old notice is forgotten."""
    life.desk.announce_power("reboot", 15)
    await life.clock.advance(5)
    power = life.desk.notices.power
    assert (power.kind, power.seconds_left) == ("reboot", 10)
    assert "10 seconds" in power.text
    with pytest.raises(DeskError) as caught:
        await life.desk.sessions.begin("a", "staff")
    assert caught.value.code == "going_down"
    life.desk.withdraw_power()
    assert life.desk.notices.power.kind == "none"
    assert life.desk.service.may_begin
    life.desk.announce_power("poweroff", 15)
    async with running(life):
        await advance(life, 15 + POWER_STALE_S)
    assert life.desk.service.may_begin


# -- followers -------------------------------------------------------------------------------


async def test_followers_see_all_and_then_changes(life: DeskOnFile):
    """A follower gets every subject as it is, then the whole of what changes, in order."""
    await life.desk.closing.lock(text="Closed")
    with life.desk.follow() as follower:
        first = [await follower.next() for _ in range(5)]
        assert [one.subject for one in first if one] == [
            "service",
            "sessions",
            "announcements",
            "power",
            "identity",
        ]
        assert first[0] is not None
        assert first[0].view == life.desk.service
        await life.desk.closing.unlock()
        life.desk.notices.announce("Hello", 10)
        service, announcements = await follower.next(), await follower.next()
        assert service is not None
        assert service.view.state == "open"
        assert announcements is not None
        assert [one.text for one in announcements.view.announcements] == ["Hello"]
    assert life.desk.follower_count == 0


async def test_slow_follower_is_let_go(life: DeskOnFile):
    """Who does not read is let go with a bounded queue; others lose nothing."""
    with life.desk.follow() as slow, life.desk.follow() as quick:
        for number in range(MAX_WAITING):
            life.desk.notices.announce(str(number), 10)
            assert await quick.next() is not None
        assert await slow.next() is None
        assert slow.is_behind
        assert not quick.is_behind
