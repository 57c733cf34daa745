"""Enrolled staff as the agent keeps them: consent, limits, receipts, retention, and faults."""

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from agent.identity.enrolments import LOOK_S, SET_ASIDE_S, CapturedTemplate, Enrolments
from commands.errors import ActionError
from contract.actions import IdentityEnroll
from contract.identity import PersonEnrolled, PersonRemoved
from telemetry.outbox import OutboxError
from tests.support.clock import START, ManualClock
from vision.identity.gallery import Gallery
from vision.identity.gallery_key import GalleryError, GalleryKeyError
from vision.identity.settings import IdentitySettings

DAY_S = 86_400.0
MODEL = "dlib-20"


def face(seed):
    """A template, or what looks like one."""
    return hashlib.shake_128(str(seed).encode()).digest(512)


def order(subject="P-1", **changes):
    args = {"purposes": ("presence",), "consent_code": "HR/17", "days": 30, "for_s": 60}
    return IdentityEnroll(subject=subject, **(args | changes))


class Box:
    """A kiosk's state folder over several lives of its agent."""

    def __init__(self, folder):
        self.folder = folder
        self.credentials = None
        self.clock = ManualClock()
        self.limits = IdentitySettings()
        self.sees = CapturedTemplate(face(0), MODEL, duplicate=None)
        self.captures = []
        self.recorded = []
        self.events = []
        self.alarms = []
        self.reloads = 0
        self.outbox_fails = False
        self.captured = asyncio.Event()
        self.captured.set()

    async def start(self):
        enrolments = Enrolments(
            self.folder,
            credentials=self.credentials,
            settings=lambda: self.limits,
            clock=self.clock,
            capture=self.capture,
            record=self.record,
            publish=self.publish,
            tell=lambda *told: self.alarms.append(told),
            on_change=self.changed,
        )
        await enrolments.start()
        return enrolments

    async def capture(self, camera, limit_s, progress):
        self.captures.append((camera, limit_s))
        await progress("please come nearer")
        await self.captured.wait()
        if isinstance(self.sees, Exception):
            raise self.sees
        return self.sees

    async def record(self, event, stamp):
        self.recorded.append(event)

    async def publish(self, event, stamp):
        assert event in self.recorded
        if self.outbox_fails:
            msg = "disk and memory are full"
            raise OutboxError(msg)
        self.events.append(event)

    def changed(self):
        self.reloads += 1

    def limit(self, **limits):
        self.limits = IdentitySettings(**limits)

    @property
    def file(self):
        return self.folder / "gallery.db"

    @property
    def key(self):
        return self.folder / "gallery-key"


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


async def enrol(box, enrolments, subject="P-1", *, seed=0, duplicate=None, **changes):
    box.sees = CapturedTemplate(face(seed), MODEL, duplicate)
    return await enrolments.enroll(order(subject, **changes), by="li, wang")


async def named(enrolments):
    return [person.subject for person in (await enrolments.list(None, 100)).persons]


async def templates(enrolments):
    """What an identity process would search."""
    access = enrolments.access()

    def read():
        with closing(Gallery(access.file, access.key)) as gallery:
            return {one.enrolment: one.template for one in gallery.templates(MODEL)}

    return await asyncio.to_thread(read)


def broken(box):
    """Damage the file."""
    box.file.write_bytes(b"what a broken disk leaves behind" * 300)


async def looks(box, enrolments, seconds=LOOK_S):
    """Let the hours go by, each with its look."""
    running = asyncio.create_task(enrolments.run())
    try:
        left = seconds
        while left > 0:
            await box.clock.advance(min(LOOK_S, left))
            left -= LOOK_S
            # The look is in a thread, of which the clock knows nothing.
            while not box.clock._sleepers:
                await asyncio.sleep(0.001)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_kiosk_without_staff(box):
    """Nothing is made and nothing told before somebody is enrolled."""
    enrolments = await box.start()
    assert (enrolments.persons, enrolments.access(), enrolments.problem) == (0, None, None)
    assert list(box.folder.iterdir()) == []
    assert (box.alarms, box.reloads) == ([], 0)


async def test_enrolled(box):
    """The event, the audit trail, the list, and what identity processes get tell the same."""
    enrolments = await box.start()
    done = await enrolments.enroll(
        order(purposes=("cabinet", "presence", "cabinet"), camera="face", for_s=30), by="li, wang"
    )
    event = PersonEnrolled(
        enrolment=done.person.enrolment,
        purposes=("cabinet", "presence"),
        consent_code="HR/17",
        expires=START + timedelta(days=30),
        recogniser=MODEL,
        persons=1,
        by="li, wang",
    )
    assert box.recorded == box.events == [event]
    assert box.captures == [("face", 30)]
    assert box.reloads == 1
    assert await named(enrolments) == ["P-1"]
    assert await templates(enrolments) == {done.person.enrolment: face(0)}
    assert box.key.stat().st_mode & 0o077 == 0


async def test_the_next_life(box):
    """Who is enrolled stays so over a restart, and is searched for from its start on."""
    before = await box.start()
    done = await enrol(box, before)
    after = await box.start()
    assert after.access() == before.access()
    assert (after.persons, after.problem) == (1, None)
    assert (await after.person(done.person.enrolment)).purposes == ("presence",)
    assert len(box.events) == 1


async def test_hints_reach_the_operator(box):
    """Who gave the order hears what the person is to do; there is no way back once they did it."""
    said = []
    enrolments = await box.start()

    async def progress(text, percent=None):
        said.append(text)

    await enrolments.enroll(
        order(), by="li", progress=progress, no_return=lambda: said.append("no return")
    )
    assert said == ["please come nearer", "no return"]


async def test_nobody_came(box):
    """What the camera's end says is what the operator reads; nothing is stored."""
    enrolments = await box.start()
    box.sees = ActionError("nobody stood before the camera")
    with pytest.raises(ActionError, match="nobody stood"):
        await enrolments.enroll(order(), by="li")
    assert (enrolments.persons, box.events, box.key.exists()) == (0, [], False)


async def test_given_up_while_it_waits(box):
    """An order that is cancelled before anybody came leaves nothing behind."""
    enrolments = await box.start()
    box.captured.clear()
    enrolling = asyncio.create_task(enrolments.enroll(order(), by="li"))
    while not box.captures:
        await asyncio.sleep(0.001)
    enrolling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await enrolling
    assert await named(enrolments) == []


async def test_too_long(box):
    """Nobody is enrolled for longer than the settings allow; nobody is made to stand there."""
    box.limit(template_days=10)
    enrolments = await box.start()
    with pytest.raises(ActionError, match="longer than 10 days"):
        await enrolments.enroll(order(days=11), by="li")
    assert box.captures == []


async def test_a_full_gallery(box):
    """One more than the limit is refused before they stand there; enrolling anew is not."""
    box.limit(max_persons=2)
    enrolments = await box.start()
    await enrol(box, enrolments, "P-1")
    await enrol(box, enrolments, "P-2")
    box.captures.clear()
    with pytest.raises(ActionError, match="2 persons are enrolled"):
        await enrol(box, enrolments, "P-3")
    assert box.captures == []
    assert (await enrol(box, enrolments, "P-2", seed=2)).persons == 2


async def test_a_gallery_that_is_nearly_full(box):
    """From nine tenths of the limit on there is an alarm, until there are fewer again."""
    box.limit(max_persons=10)
    enrolments = await box.start()
    for number in range(9):
        assert box.alarms == []
        await enrol(box, enrolments, f"P-{number}")
    [(code, text)] = box.alarms
    assert code == "gallery.nearly_full"
    assert text.startswith("9 of 10 persons")
    await enrolments.remove("P-3", by="li")
    assert box.alarms[1:] == [("gallery.nearly_full", None)]


async def test_enrolled_anew(box):
    """The former enrolment is deleted with a receipt of its own, before the new one is told."""
    enrolments = await box.start()
    old = await enrol(box, enrolments, seed=1)
    # Of course the face is known: it is the same person.
    new = await enrol(box, enrolments, seed=2, duplicate=old.person.enrolment)
    removed, enrolled = box.events[1:]
    assert isinstance(removed, PersonRemoved)
    assert (removed.reason, removed.enrolments) == ("replaced", (old.person.enrolment,))
    assert (removed.deleted, removed.persons, removed.by) == (1, 0, "li, wang")
    assert (enrolled.enrolment, enrolled.persons) == (new.person.enrolment, 1)
    assert await templates(enrolments) == {new.person.enrolment: face(2)}


async def test_a_face_that_is_enrolled_already(box):
    """The same face under another name is refused; the number says whose, the name is not told."""
    enrolments = await box.start()
    old = (await enrol(box, enrolments, "Zhang-3")).person.enrolment
    with pytest.raises(ActionError, match=f"enrolled already, as enrolment {old}") as caught:
        await enrol(box, enrolments, "P-2", duplicate=old)
    assert "Zhang" not in str(caught.value)
    assert await named(enrolments) == ["Zhang-3"]


async def test_a_duplicate_that_is_gone(box):
    """A likeness to somebody who was removed meanwhile keeps nobody out."""
    enrolments = await box.start()
    assert (await enrol(box, enrolments, duplicate="0123456789abcdef")).persons == 1


async def test_removed(box):
    """The receipt and the event say what was deleted; of the person nothing is left."""
    enrolments = await box.start()
    gone = (await enrol(box, enrolments, "P-1", seed=1)).person.enrolment
    kept = (await enrol(box, enrolments, "P-2", seed=2)).person.enrolment
    removed = await enrolments.remove("P-1", by="zhao")
    assert (removed.enrolments, removed.persons) == ((gone,), 1)
    event = PersonRemoved(
        enrolments=(gone,), reason="asked", deleted=1, digest=removed.digest, persons=1, by="zhao"
    )
    assert box.recorded[-1] == box.events[-1] == event
    assert box.reloads == 3
    assert await templates(enrolments) == {kept: face(2)}
    assert await enrolments.person(gone) is None


async def test_removed_twice(box):
    """To remove somebody who is not enrolled does nothing, and there is nothing to tell."""
    enrolments = await box.start()
    assert (await enrolments.remove("P-1", by="li")).enrolments == ()
    assert (box.events, box.reloads) == ([], 0)


async def test_everybody_removed(box):
    """Nobody is searched for any more; however many they were, it is told in one word."""
    enrolments = await box.start()
    for number in range(66):
        await enrol(box, enrolments, f"P-{number}")
    removed = await enrolments.remove(None, by="li")
    assert len(removed.enrolments) == 66
    assert enrolments.access() is None
    event = box.events[-1]
    assert (event.deleted, event.enrolments) == (66, removed.enrolments[:64])


async def test_named_page_by_page(box):
    """By subject, from the one after the last, with whether there are more."""
    enrolments = await box.start()
    for subject in ("c", "a", "e", "b", "d"):
        await enrol(box, enrolments, subject)
    first = await enrolments.list(None, 2)
    assert ([one.subject for one in first.persons], first.more, first.count) == (
        ["a", "b"],
        True,
        5,
    )
    last = await enrolments.list("c", 2)
    assert ([one.subject for one in last.persons], last.more) == (["d", "e"], False)


async def test_named_with_the_end_that_holds(box):
    """Where the settings keep nobody for so long any more, the list says so."""
    enrolments = await box.start()
    await enrol(box, enrolments, days=30)
    box.limit(template_days=7)
    [person] = (await enrolments.list(None, 1)).persons
    assert person.expires == START + timedelta(days=7)


# -- retention ---------------------------------------------------------------------------------


async def test_time_is_over(box):
    """From that moment nobody is found, and within the hour the record is deleted, and told."""
    enrolments = await box.start()
    enrolment = (await enrol(box, enrolments, days=1)).person.enrolment
    await box.clock.advance(DAY_S - 1)
    assert await enrolments.person(enrolment) is not None
    await box.clock.advance(1)
    assert await enrolments.person(enrolment) is None
    await looks(box, enrolments)
    event = box.events[-1]
    assert (event.reason, event.enrolments, event.by) == ("expired", (enrolment,), "retention")
    assert (enrolments.persons, enrolments.access()) == (0, None)


async def test_time_is_over_while_the_agent_was_off(box):
    """What expired meanwhile is deleted at the start, before anybody is searched for."""
    await enrol(box, await box.start(), days=1)
    await box.clock.advance(2 * DAY_S)
    assert (await box.start()).persons == 0
    assert box.events[-1].reason == "expired"


@pytest.mark.parametrize(("hours", "kept"), [(23, 1), (24, 0)])
async def test_a_clock_that_never_was_right(box, hours, kept):
    """The hours that the agent ran count, over restarts, whatever the clock says."""
    box.clock.quality = "unsynced"
    first = await box.start()
    await enrol(box, first, days=1)
    await looks(box, first, 12 * LOOK_S)
    box.clock.wall_offset = timedelta(days=-20_000)
    second = await box.start()
    await looks(box, second, (hours - 12) * LOOK_S)
    assert second.persons == kept


# -- power cuts, full disks --------------------------------------------------------------------


async def test_told_after_a_power_cut(box):
    """What could not be told is told in the next life, with its own time, and then never again."""
    box.outbox_fails = True
    done = await enrol(box, await box.start())
    assert (done.persons, box.events) == (1, [])
    box.outbox_fails = False
    await box.clock.advance(60)
    await box.start()
    await box.start()
    assert [event.enrolment for event in box.events] == [done.person.enrolment]


async def test_told_within_the_hour(box):
    """An outbox that fails for a while gets its events at the next look."""
    enrolments = await box.start()
    box.outbox_fails = True
    await enrol(box, enrolments)
    box.outbox_fails = False
    await looks(box, enrolments)
    assert len(box.events) == 1


async def test_a_note_that_is_damaged(box):
    """A note that cannot be read holds nothing up."""
    enrolments = await box.start()
    await enrol(box, enrolments)
    with closing(sqlite3.connect(box.file)) as db, db:
        db.execute("INSERT INTO note (text) VALUES ('{\"secret')")
    await enrolments.remove("P-1", by="li")
    assert [event.KIND for event in box.events] == ["identity.enrolled", "identity.removed"]


async def test_a_note_of_a_later_release(box):
    """What a later release noted more is passed over, and the rest told."""
    enrolments = await box.start()
    box.outbox_fails = True
    await enrol(box, enrolments)
    with closing(sqlite3.connect(box.file)) as db, db:
        db.execute("UPDATE note SET text = json_set(text, '$.more', 1, '$.event.more', 1)")
    box.outbox_fails = False
    await box.start()
    assert [event.KIND for event in box.events] == ["identity.enrolled"]


async def test_an_agent_that_stops_in_the_middle(box):
    """An enrolment that had begun to be written is written, and told by the next life."""
    enrolments = await box.start()

    def agent_stops():
        enrolling.cancel()

    enrolling = asyncio.create_task(enrolments.enroll(order(), by="li", no_return=agent_stops))
    with pytest.raises(asyncio.CancelledError):
        await enrolling
    assert enrolments.persons in {0, 1}
    again = await box.start()
    assert len(box.events) == again.persons == enrolments.persons


async def test_a_disk_that_fails(box):
    """The order fails and says why, nothing has changed; the status says it until it is over."""
    enrolments = await box.start()
    await enrol(box, enrolments)
    with closing(sqlite3.connect(box.file, isolation_level=None)) as other:
        other.execute("PRAGMA user_version=2")
    with pytest.raises(ActionError, match="newer agent"):
        await enrolments.remove("P-1", by="li")
    with pytest.raises(GalleryError, match="newer agent"):
        await enrolments.person("0123456789abcdef")
    again = await box.start()
    assert "newer agent" in again.problem
    with pytest.raises(GalleryError, match="newer agent"):  # which is not nobody enrolled
        await templates(again)
    with closing(sqlite3.connect(box.file, isolation_level=None)) as other:
        other.execute("PRAGMA user_version=1")
    await looks(box, again)
    assert (again.problem, again.persons) == (None, 1)
    assert len(await templates(again)) == 1


# -- damage ------------------------------------------------------------------------------------


async def test_a_damaged_gallery(box):
    """It is set aside with an alarm, nobody is recognised, and enrolling goes on."""
    await enrol(box, await box.start())
    broken(box)
    enrolments = await box.start()
    [(code, text)] = box.alarms
    assert code == "gallery.damaged"
    assert "gallery.db.damaged-1" in text
    assert (enrolments.persons, enrolments.access(), enrolments.problem) == (0, None, None)
    assert (await enrol(box, enrolments)).persons == 1


async def test_a_gallery_that_is_damaged_while_it_is_used(box):
    """The next who opens it notices; identity processes are told to let go of it."""
    enrolments = await box.start()
    enrolment = (await enrol(box, enrolments)).person.enrolment
    broken(box)
    assert await enrolments.person(enrolment) is None
    assert [code for code, _ in box.alarms] == ["gallery.damaged"]
    assert (enrolments.access(), box.reloads) == (None, 2)


async def test_what_was_set_aside_is_deleted_with_who_is_removed(box):
    """A receipt of deletion is true of damaged files as well: they may hold the person."""
    await enrol(box, await box.start())
    broken(box)
    enrolments = await box.start()
    await enrolments.remove("P-1", by="li")
    assert sorted(file.name for file in box.folder.iterdir()) == ["gallery-key", "gallery.db"]


async def test_what_was_set_aside_and_cannot_be_deleted(box):
    """Then the removal has failed: it may be in there."""
    enrolments = await box.start()
    box.file.with_name("gallery.db.damaged-1").mkdir()
    with pytest.raises(ActionError, match="Is a directory"):
        await enrolments.remove("P-1", by="li")


async def test_what_was_set_aside_has_its_time_too(box):
    """Thirty days of the agent's running are enough to mend it."""
    await enrol(box, await box.start())
    broken(box)
    enrolments = await box.start()
    await box.clock.advance(SET_ASIDE_S - 2 * LOOK_S)
    await looks(box, enrolments)
    assert len(list(box.folder.glob("*.damaged-*"))) == 1
    await looks(box, enrolments)
    assert not list(box.folder.glob("*.damaged-*"))


async def test_a_damaged_record(box):
    """It is never matched; it is told, and deleted as useless, with a receipt."""
    enrolments = await box.start()
    gone = (await enrol(box, enrolments, "P-1", seed=1)).person.enrolment
    kept = (await enrol(box, enrolments, "P-2", seed=2)).person.enrolment
    with closing(sqlite3.connect(box.file)) as db, db:
        db.execute("UPDATE person SET days = 1096 WHERE enrolment = ?", (gone,))
    assert await enrolments.person(gone) is None
    assert await named(enrolments) == ["P-2"]
    again = await box.start()
    assert (again.persons, await templates(again)) == (1, {kept: face(2)})
    event = box.events[-1]
    assert (event.reason, event.enrolments) == ("unusable", (gone,))
    [(code, text)] = box.alarms
    assert code == "gallery.damaged"
    assert gone in text


# -- the key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("becomes", [None, b"x" * 32, b"short"])
async def test_a_lost_key(box, becomes):
    """The gallery is unusable and says so; the agent lives; the key put back, all is well."""
    await enrol(box, await box.start())
    key = box.key.read_bytes()
    box.key.unlink() if becomes is None else box.key.write_bytes(becomes)
    enrolments = await box.start()
    [(code, text)] = box.alarms
    assert code == "gallery.key_lost"
    assert text == enrolments.problem
    access = enrolments.access()
    assert access.key is None or becomes == b"x" * 32
    with pytest.raises(GalleryKeyError):
        await templates(enrolments)
    box.captures.clear()
    for act in (
        enrolments.list(None, 1),
        enrolments.remove("P-1", by="li"),
        enrol(box, enrolments, "P-2"),
    ):
        with pytest.raises(ActionError, match="key of enrolled staff"):
            await act
    assert box.captures == []
    assert box.key.read_bytes() == becomes if becomes else not box.key.exists()
    box.key.write_bytes(key)
    await looks(box, enrolments)
    assert (enrolments.problem, enrolments.persons) == (None, 1)
    assert len(await templates(enrolments)) == 1
    assert box.alarms[1:] == [("gallery.key_lost", None)]


async def test_a_new_beginning_without_the_key(box):
    """Everybody can be removed without the key, and then enrolled with another."""
    await enrol(box, await box.start())
    box.key.unlink()
    enrolments = await box.start()
    removed = await enrolments.remove(None, by="li")
    assert len(removed.enrolments) == 1
    assert enrolments.problem is None
    assert (await enrol(box, enrolments)).persons == 1


async def test_a_lost_key_holds_up_no_retention(box):
    """Whose time is over is deleted, though nobody can open the record."""
    await enrol(box, await box.start(), days=1)
    box.key.unlink()
    await box.clock.advance(DAY_S)
    assert (await box.start()).persons == 0


async def test_with_a_credential_no_key_is_made(box, tmp_path):
    """Where systemd gives the key, none lies in the state folder."""
    box.credentials = tmp_path / "credentials"
    box.credentials.mkdir()
    (box.credentials / "gallery-key").write_bytes(b"c" * 32)
    enrolments = await box.start()
    await enrol(box, enrolments)
    assert not box.key.exists()
    assert len(await templates(enrolments)) == 1
