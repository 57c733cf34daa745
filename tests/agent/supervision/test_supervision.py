"""What a supervisor is told: of real sessions, and of what the identity processes report."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from agent.supervision.scene import MAX_CAMERAS
from agent.supervision.settings import OpeningHours, SupervisionSettings
from agent.supervision.supervision import MAX_WAITING, Supervision
from contract import seal
from contract.audit import ChainHead, next_entry
from contract.identity import IdentityDecision, IdentityOverridden
from contract.ids import uuid7
from tests.support.clock import START, ManualClock
from tests.support.desks import DeskOnFile
from vision.identity.report import Present

WANG, LI = "a" * 16, "b" * 16
CAMERA, BACK = "counter", "back"
NOON = OpeningHours(opens="11:00", closes="13:00")
"""The tests begin at 08:00 UTC."""


def seen(*staff, faces=None, session=None, person=None, others=0):
    return Present(
        faces=len(staff) + others if faces is None else faces,
        staff=staff,
        others=others,
        session=session,
        session_person=person,
    )


NOBODY = seen()


class Kiosk:
    """A desk, and a supervision that follows it."""

    def __init__(self, folder, clock=None, life=None):
        self.clock = clock or ManualClock()
        self.life = life or DeskOnFile(folder, self.clock, idle_timeout_s=100_000)
        self.settings = SupervisionSettings(time_zone="UTC")
        self.enrolled = {WANG, LI}
        self.events = []
        self.stamps = []
        self.recorded = []
        self.order = []
        self.broken = False
        self.supervision = Supervision(
            settings=lambda: self.settings,
            clock=self.clock,
            publish=self._publish,
            record=self._record,
            desk=self.life.desk,
            staff=lambda: self.enrolled,
        )

    async def _publish(self, data, stamp):
        await asyncio.sleep(0)
        if self.broken:
            msg = "no room"
            raise OSError(msg)
        self.order.append("published")
        self.events.append(data)
        self.stamps.append(stamp)

    async def _record(self, kind, facts, stamp):
        await asyncio.sleep(0)
        self.order.append("recorded")
        self.recorded.append((kind, facts, stamp))
        return True

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.supervision.run())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def set(self, **changes):
        self.settings = SupervisionSettings(time_zone="UTC", **changes)

    async def begin(self, mode="staff", business="licence.renew"):
        session = await self.life.desk.sessions.begin(business, mode)
        await self.clock.settle()
        return session.id

    async def end(self, session):
        await self.life.desk.sessions.end(session)
        await self.clock.settle()

    async def see(self, report, camera=CAMERA):
        self.supervision.present(camera, report)
        await self.clock.settle()

    def decide(self, session=None, outcome="no_match"):
        decision = IdentityDecision(
            decision_id=uuid7(int(START.timestamp() * 1000)),
            check="verify",
            session_id=session,
            purpose="licence.renew",
            consent_code="c1",
            outcome=outcome,
            took_ms=100,
        )
        self.supervision.decided(decision)
        return decision.decision_id

    async def override(self, session=None):
        decision = self.decide(session)
        self.supervision.overridden(
            IdentityOverridden(
                decision_id=decision,
                session_id=session,
                outcome="no_match",
                reason="seen by eye",
                by="wang",
            )
        )
        await self.clock.settle()
        return decision

    @property
    def findings(self):
        return [event for event in self.events if event.KIND == "supervision.finding"]

    @property
    def phases(self):
        return [(finding.rule, finding.phase) for finding in self.findings]

    @property
    def staff_events(self):
        return [event for event in self.events if event.KIND.startswith("staff.")]


@pytest.fixture
async def kiosk(tmp_path):
    kiosk = Kiosk(tmp_path)
    async with kiosk.running():
        yield kiosk


UNATTENDED_BEGIN = ("counter_unattended", "begin")
UNATTENDED_END = ("counter_unattended", "end")
OTHER_BEGIN = ("other_person", "begin")
OTHER_END = ("other_person", "end")
UNWATCHED_BEGIN = ("person_unwatched", "begin")
UNWATCHED_END = ("person_unwatched", "end")
OUT_OF_HOURS = ("out_of_hours", "once")
OVERRIDES = ("repeated_overrides", "once")


# -- the counter -----------------------------------------------------------------------------


async def test_a_counter_without_staff(kiosk):
    """A session with staff, and none seen for a minute; over when they are back for a while."""
    await kiosk.see(seen(WANG))
    session = await kiosk.begin()
    await kiosk.clock.advance(30)
    left = kiosk.clock.stamp()
    await kiosk.see(seen(others=1))
    await kiosk.clock.advance(59)
    assert kiosk.findings == []
    await kiosk.clock.advance(1)
    (begin,) = kiosk.findings
    assert (begin.rule, begin.phase, begin.session_id) == (*UNATTENDED_BEGIN, session)
    assert (begin.business, begin.begun, begin.duration_s) == ("licence.renew", left.time, None)
    await kiosk.clock.advance(10)
    await kiosk.see(seen(LI, others=1))
    await kiosk.clock.advance(4)
    assert len(kiosk.findings) == 1
    await kiosk.clock.advance(1)
    end = kiosk.findings[1]
    assert (end.finding_id, end.phase, end.begun) == (begin.finding_id, "end", begin.begun)
    assert (end.duration_s, end.ended) == (70, "over")
    assert "70 s" in end.text


async def test_staff_glimpsed(kiosk):
    """Staff who look in for a moment neither end what was told nor make it two."""
    await kiosk.see(NOBODY)
    session = await kiosk.begin()
    await kiosk.clock.advance(60)
    for _ in range(5):
        await kiosk.see(seen(WANG))
        await kiosk.clock.advance(3)
        await kiosk.see(NOBODY)
        await kiosk.clock.advance(20)
    await kiosk.end(session)
    assert kiosk.phases == [UNATTENDED_BEGIN, UNATTENDED_END]
    assert (kiosk.findings[1].duration_s, kiosk.findings[1].ended) == (175, "session_ended")


async def test_the_counter_counts_from_the_session(kiosk):
    """An empty counter is nobody's business before a session begins."""
    await kiosk.see(NOBODY)
    await kiosk.clock.advance(500)
    await kiosk.begin()
    await kiosk.clock.advance(59)
    assert kiosk.findings == []
    await kiosk.clock.advance(1)
    assert kiosk.phases == [UNATTENDED_BEGIN]


async def test_self_service_needs_no_staff(kiosk):
    """In a session of mode self_service nobody is missed."""
    await kiosk.see(NOBODY)
    await kiosk.begin("self_service")
    await kiosk.clock.advance(200)
    assert kiosk.findings == []


@pytest.mark.parametrize("why", ["no camera", "camera lost", "nobody enrolled"])
async def test_the_counter_is_not_judged(kiosk, why):
    """Without a camera that works, or anyone enrolled, nobody knows whether staff is there."""
    if why != "no camera":
        await kiosk.see(NOBODY)
    if why == "camera lost":
        await kiosk.see(None)
    if why == "nobody enrolled":
        kiosk.enrolled.clear()
    await kiosk.begin()
    await kiosk.clock.advance(200)
    assert kiosk.findings == []


async def test_a_lost_camera_is_not_an_empty_counter(kiosk):
    """Who was there when their camera was lost may be there still, whatever another one sees."""
    await kiosk.see(NOBODY, BACK)
    await kiosk.see(seen(WANG))
    await kiosk.begin()
    await kiosk.see(None)
    await kiosk.clock.advance(200)
    assert kiosk.findings == []
    await kiosk.see(NOBODY)
    await kiosk.clock.advance(60)
    assert kiosk.phases == [UNATTENDED_BEGIN]


async def test_another_camera_sees_them(kiosk):
    """Staff is there wherever one camera sees them; the one that is lost counts no more."""
    await kiosk.see(NOBODY)
    await kiosk.see(seen(WANG), BACK)
    await kiosk.see(None)
    await kiosk.begin()
    await kiosk.clock.advance(100)
    assert kiosk.findings == []
    await kiosk.see(NOBODY, BACK)
    await kiosk.clock.advance(60)
    assert kiosk.phases == [UNATTENDED_BEGIN]


async def test_a_camera_lost_while_unattended(kiosk):
    """What was told goes on while nobody can look, and ends with the session at the latest."""
    await kiosk.see(NOBODY)
    session = await kiosk.begin()
    await kiosk.clock.advance(60)
    await kiosk.see(None)
    await kiosk.clock.advance(100)
    assert kiosk.phases == [UNATTENDED_BEGIN]
    await kiosk.end(session)
    assert kiosk.phases == [UNATTENDED_BEGIN, UNATTENDED_END]
    assert kiosk.findings[1].ended == "session_ended"


async def test_staff_who_did_not_agree(kiosk):
    """Who is enrolled for other things than presence is not told of, and not counted."""
    kiosk.enrolled = {LI}
    await kiosk.see(seen(WANG))
    await kiosk.begin()
    await kiosk.clock.advance(60)
    assert kiosk.phases == [UNATTENDED_BEGIN]
    assert kiosk.staff_events == []


# -- another person --------------------------------------------------------------------------


async def test_another_person_than_the_verified_one(kiosk):
    """Somebody else for ten seconds; over when the verified person is back; with the decisions."""
    session = await kiosk.begin("self_service")
    first = kiosk.decide(session, "refer")
    second = kiosk.decide(session, "match")
    kiosk.decide("01920000-0000-7000-8000-000000000000", "match")
    await kiosk.see(seen(others=1, session=session, person="here"))
    await kiosk.clock.advance(20)
    await kiosk.see(seen(others=1, session=session, person="other"))
    await kiosk.clock.advance(9)
    assert kiosk.findings == []
    await kiosk.clock.advance(1)
    (begin,) = kiosk.findings
    assert (begin.rule, begin.phase, begin.camera) == (*OTHER_BEGIN, CAMERA)
    assert begin.decision_ids == (first, second)
    assert begin.enrolment is None
    await kiosk.see(seen(others=1, session=session, person="here"))
    await kiosk.clock.advance(5)
    assert kiosk.phases == [OTHER_BEGIN, OTHER_END]
    assert kiosk.findings[1].duration_s == 10


async def test_the_other_person_is_staff(kiosk):
    """Where staff goes on in place of the citizen, the finding says who."""
    session = await kiosk.begin("self_service")
    await kiosk.see(seen(WANG, session=session, person="other"))
    await kiosk.clock.advance(10)
    assert kiosk.findings[0].enrolment == WANG


async def test_staff_who_are_removed(kiosk):
    """Who is not enrolled any more is gone, and named no more, from that moment on."""
    session = await kiosk.begin("self_service")
    await kiosk.see(seen(WANG, session=session, person="other"))
    await kiosk.clock.advance(3)
    kiosk.enrolled.discard(WANG)
    await kiosk.clock.advance(10)
    assert [e.KIND for e in kiosk.staff_events] == ["staff.begin", "staff.end"]
    assert [finding.enrolment for finding in kiosk.findings] == [None]


async def test_somebody_beside_them(kiosk):
    """The person may step away, or be seen by one camera and not by the other."""
    session = await kiosk.begin("self_service")
    await kiosk.see(seen(session=session, person="away"))
    await kiosk.clock.advance(30)
    await kiosk.see(seen(others=1, session=session, person="here"), BACK)
    await kiosk.see(seen(others=1, session=session, person="other"))
    await kiosk.clock.advance(30)
    assert kiosk.findings == []


async def test_the_session_ends_first(kiosk):
    """Another person's end comes with the session's, and what had not lasted is never told."""
    one = await kiosk.begin("self_service")
    await kiosk.see(seen(others=1, session=one, person="other"))
    await kiosk.clock.advance(12)
    await kiosk.end(one)
    assert [(f.phase, f.duration_s, f.ended) for f in kiosk.findings] == [
        ("begin", None, None),
        ("end", 12, "session_ended"),
    ]
    two = await kiosk.begin("self_service")
    await kiosk.see(seen(others=1, session=two, person="other"))
    await kiosk.clock.advance(5)
    await kiosk.end(two)
    await kiosk.clock.advance(20)
    assert len(kiosk.findings) == 2


# -- the verified person is not known any more -------------------------------------------------


async def test_a_camera_that_has_forgotten_the_verified_person(kiosk):
    """Its process was started anew: said after ten seconds, over when they are verified again."""
    session = await kiosk.begin("self_service")
    first = kiosk.decide(session, "match")
    await kiosk.see(seen(others=1, session=session, person="here"))
    await kiosk.clock.advance(30)
    await kiosk.see(None)
    await kiosk.clock.advance(4)
    await kiosk.see(seen(others=1))
    await kiosk.clock.advance(5)
    assert kiosk.findings == []
    await kiosk.clock.advance(1)
    (begin,) = kiosk.findings
    assert (begin.rule, begin.phase, begin.session_id) == (*UNWATCHED_BEGIN, session)
    assert begin.decision_ids == (first,)
    again = kiosk.decide(session, "match")
    await kiosk.see(seen(others=1, session=session, person="here"))
    await kiosk.clock.advance(5)
    assert kiosk.phases == [UNWATCHED_BEGIN, UNWATCHED_END]
    assert (kiosk.findings[1].duration_s, kiosk.findings[1].ended) == (10, "over")
    assert kiosk.findings[1].decision_ids == (first, again)


async def test_a_camera_that_is_blind_for_a_moment_forgets_nobody(kiosk):
    """Nothing is said of what is not odd for long."""
    session = await kiosk.begin("self_service")
    kiosk.decide(session, "match")
    await kiosk.see(seen(others=1, session=session, person="here"))
    await kiosk.see(None)
    await kiosk.clock.advance(9)
    await kiosk.see(seen(others=1, session=session, person="away"))
    await kiosk.clock.advance(60)
    assert kiosk.findings == []


async def test_a_camera_that_watches_another_sessions_person(kiosk):
    """It knows one at a time: of the former one nobody can tell any more."""
    one = await kiosk.begin("self_service")
    kiosk.decide(one, "match")
    await kiosk.see(seen(others=1, session=one, person="here"))
    two = await kiosk.begin("self_service")
    kiosk.decide(two, "match")
    await kiosk.see(seen(others=1, session=two, person="here"))
    await kiosk.clock.advance(10)
    assert [(f.rule, f.session_id) for f in kiosk.findings] == [("person_unwatched", one)]
    await kiosk.end(one)
    assert kiosk.findings[1].ended == "session_ended"


@pytest.mark.parametrize("outcome", ["no_match", "refer"])
async def test_who_was_never_verified_is_not_missed(kiosk, outcome):
    """A session without a match has nobody to be watched."""
    session = await kiosk.begin("self_service")
    kiosk.decide(session, outcome)
    await kiosk.see(seen(others=1))
    await kiosk.clock.advance(60)
    assert kiosk.findings == []


# -- hours -----------------------------------------------------------------------------------


async def test_a_session_out_of_hours(kiosk):
    """Told once, at its begin; one that began in time may go on."""
    kiosk.set(hours=(OpeningHours(opens="07:00", closes="08:01"),))
    kept = await kiosk.begin("self_service")
    await kiosk.clock.advance(60)
    late = await kiosk.begin("self_service", "violation.pay")
    await kiosk.clock.advance(60)
    (finding,) = kiosk.findings
    assert (finding.rule, finding.phase, finding.session_id) == (*OUT_OF_HOURS, late)
    assert (finding.business, finding.begun) == ("violation.pay", kiosk.stamps[-1].time)
    assert kept != late


async def test_staff_out_of_hours(kiosk):
    """Told once a presence: whoever was away for long enough is told of again."""
    kiosk.set(hours=(NOON,))
    await kiosk.see(seen(WANG))
    await kiosk.clock.advance(30)
    await kiosk.see(NOBODY)
    await kiosk.clock.advance(500)
    await kiosk.see(seen(WANG))
    await kiosk.see(seen(WANG), BACK)
    await kiosk.clock.advance(30)
    assert [(f.enrolment, f.camera) for f in kiosk.findings] == [(WANG, CAMERA)]
    await kiosk.see(NOBODY)
    await kiosk.see(NOBODY, BACK)
    await kiosk.clock.advance(600)
    await kiosk.see(seen(WANG, LI))
    assert [f.enrolment for f in kiosk.findings] == [WANG, WANG, LI]


async def test_staff_who_stay(kiosk):
    """Who came in time is told of when business is over."""
    kiosk.set(hours=(OpeningHours(opens="07:00", closes="08:02"),))
    await kiosk.see(seen(WANG))
    await kiosk.clock.advance(119)
    assert kiosk.findings == []
    await kiosk.clock.advance(1)
    assert kiosk.phases == [OUT_OF_HOURS]


async def test_a_clock_that_is_wrong(kiosk):
    """Hours are judged by a clock that is right: as soon as it is, for what is still so."""
    kiosk.set(hours=(OpeningHours(opens="08:00", closes="08:01"),))
    kiosk.clock.quality = "unsynced"
    kiosk.clock.wall_offset = START - START.replace(year=2027)
    over = await kiosk.begin("self_service")
    in_time = await kiosk.begin("self_service")
    await kiosk.clock.advance(70)
    late = await kiosk.begin("self_service")
    await kiosk.end(over)
    await kiosk.clock.advance(70)
    assert kiosk.findings == []
    kiosk.clock.quality = "synced"
    kiosk.clock.wall_offset = timedelta()
    await kiosk.clock.advance(1)
    assert [finding.session_id for finding in kiosk.findings] == [late]
    assert in_time != late


async def test_no_hours(kiosk):
    """Without opening hours nothing is out of them."""
    await kiosk.see(seen(WANG))
    await kiosk.begin("self_service")
    await kiosk.clock.advance(5)
    assert kiosk.findings == []


# -- overrides -------------------------------------------------------------------------------


async def test_repeated_overrides(kiosk):
    """The third within the hour is told with all three; then only after there were fewer."""
    first = await kiosk.override()
    await kiosk.clock.advance(100)
    second = await kiosk.override()
    kiosk.decide(outcome="refer")
    kiosk.decide(outcome="no_match")
    assert kiosk.findings == []
    third = await kiosk.override()
    (finding,) = kiosk.findings
    assert (finding.rule, finding.phase, finding.count) == (*OVERRIDES, 3)
    assert finding.decision_ids == (first, second, third)
    assert finding.begun == START
    await kiosk.override()
    assert len(kiosk.findings) == 1


async def test_overrides_again(kiosk):
    """Once there were fewer than the number, reaching it is told anew."""
    kiosk.set(overrides=2, overrides_s=60)
    for _ in range(4):
        await kiosk.override()
    await kiosk.clock.advance(60)
    last = [await kiosk.override(), await kiosk.override()]
    assert [finding.count for finding in kiosk.findings] == [2, 2]
    assert kiosk.findings[1].decision_ids == tuple(last)


async def test_a_flood_of_overrides(kiosk):
    """However many there are, a finding fits into a message and an entry of the trail."""
    kiosk.set(overrides=32)
    for _ in range(31):
        kiosk.decide()
        await kiosk.override()
    await kiosk.override()
    (finding,) = kiosk.findings
    assert len(finding.decision_ids) == 32
    seal(finding, kiosk="k" * 63, stamp=kiosk.clock.stamp(), sequence=1)
    kind, facts, stamp = kiosk.recorded[0]
    entry = next_entry(ChainHead(uuid7(1)), kind, facts, stamp)
    assert entry.data["decision_ids"].split(", ") == list(finding.decision_ids)


# -- staff -----------------------------------------------------------------------------------


async def test_staff_comes_and_leaves(kiosk):
    """One begin and one end a presence, though a face is missed for a moment."""
    await kiosk.see(seen(WANG))
    await kiosk.clock.advance(10)
    await kiosk.see(seen(LI))
    await kiosk.clock.advance(3)
    await kiosk.see(seen(WANG, LI))
    await kiosk.clock.advance(10)
    await kiosk.see(seen(LI))
    await kiosk.clock.advance(5)
    first, second, end = kiosk.staff_events
    assert (first.KIND, first.camera, first.enrolment) == ("staff.begin", CAMERA, WANG)
    assert (second.KIND, second.enrolment) == ("staff.begin", LI)
    assert (end.KIND, end.enrolment, end.begun, end.duration_s, end.reason) == (
        "staff.end",
        WANG,
        START,
        23,
        "left",
    )


async def test_a_lost_camera_ends_presences(kiosk):
    """When nobody looks any more, that is said: they may be there still."""
    await kiosk.see(seen(WANG))
    await kiosk.clock.advance(10)
    await kiosk.see(None)
    assert [(e.KIND, getattr(e, "reason", None)) for e in kiosk.staff_events] == [
        ("staff.begin", None),
        ("staff.end", "unwatched"),
    ]


async def test_more_cameras_than_a_kiosk_has(kiosk):
    """No more cameras are followed than can be set up."""
    for number in range(MAX_CAMERAS + 5):
        await kiosk.see(seen(WANG), f"camera-{number}")
    assert len(kiosk.staff_events) == MAX_CAMERAS


# -- the whole -------------------------------------------------------------------------------


async def test_recorded_before_it_is_published(kiosk):
    """Each finding is in the audit trail, with its evidence, before anyone is told."""
    await kiosk.see(NOBODY)
    session = await kiosk.begin()
    decision = kiosk.decide(session)
    await kiosk.clock.advance(60)
    await kiosk.end(session)
    assert kiosk.order == ["recorded", "published"] * 2
    (kind, begin, stamp), (_, end, _) = kiosk.recorded
    assert kind == "supervision.counter_unattended"
    assert begin == {
        "finding_id": kiosk.findings[0].finding_id,
        "phase": "begin",
        "text": kiosk.findings[0].text,
        "begun": "2026-11-01T08:00:00.000Z",
        "session_id": session,
        "business": "licence.renew",
        "decision_ids": decision,
    }
    assert (end["phase"], end["duration_s"], end["ended"]) == ("end", 60, "session_ended")
    assert stamp == kiosk.stamps[0]
    next_entry(ChainHead(uuid7(1)), kind, begin, stamp)


async def test_switched_off(kiosk):
    """Settings count at once: off ends what is not over, and then nothing is told."""
    await kiosk.see(NOBODY, BACK)
    session = await kiosk.begin()
    await kiosk.clock.advance(60)
    await kiosk.see(seen(WANG, session=session, person="other"))
    await kiosk.clock.advance(3)
    kiosk.set(enabled=False, hours=(NOON,))
    await kiosk.clock.advance(1)
    assert [finding.ended for finding in kiosk.findings] == [None, "switched_off"]
    assert [e.KIND for e in kiosk.staff_events] == ["staff.begin", "staff.end"]
    told = len(kiosk.events)
    await kiosk.see(NOBODY)
    await kiosk.begin()
    for _ in range(3):
        await kiosk.override()
    await kiosk.clock.advance(100)
    assert len(kiosk.events) == told


async def test_shorter_times_count_at_once(kiosk):
    """A changed number counts for what is going on."""
    await kiosk.see(NOBODY)
    await kiosk.begin()
    await kiosk.clock.advance(20)
    kiosk.set(unattended_s=10)
    await kiosk.clock.advance(1)
    assert kiosk.phases == [UNATTENDED_BEGIN]


async def test_what_could_not_be_published(tmp_path):
    """A finding that could not be handed on is, when the task runs again; recorded once."""
    kiosk = Kiosk(tmp_path)
    await kiosk.begin()
    kiosk.supervision.present(CAMERA, NOBODY)
    kiosk.broken = True
    task = asyncio.create_task(kiosk.supervision.run())
    await kiosk.clock.advance(60)
    await asyncio.wait({task}, timeout=5)
    assert isinstance(task.exception(), ExceptionGroup)
    kiosk.broken = False
    async with kiosk.running():
        assert kiosk.phases == [UNATTENDED_BEGIN]
    assert len(kiosk.recorded) == 1


async def test_what_waits_is_bounded(tmp_path):
    """While nothing can be told, only so much waits for it."""
    kiosk = Kiosk(tmp_path)
    kiosk.set(overrides=1, overrides_s=1)
    for _ in range(MAX_WAITING + 10):
        kiosk.supervision.present(CAMERA, seen(WANG))
        kiosk.supervision.present(CAMERA, None)
    async with kiosk.running():
        while len(kiosk.events) < MAX_WAITING:
            await asyncio.sleep(0)
        await kiosk.clock.settle()
    assert len(kiosk.events) == MAX_WAITING


async def test_a_restart_of_the_agent(tmp_path):
    """The next life ends the session; with it is over what began in the session."""
    kiosk = Kiosk(tmp_path)
    async with kiosk.running():
        await kiosk.see(NOBODY)
        session = await kiosk.begin()
        await kiosk.clock.advance(60)
        assert kiosk.phases == [UNATTENDED_BEGIN]
    after = Kiosk(tmp_path, kiosk.clock, await kiosk.life.again())
    (end,) = after.life.events
    assert (end.KIND, end.session_id, end.reason) == ("session.end", session, "agent_restarted")
    async with after.running():
        await after.see(NOBODY)
        await after.clock.advance(100)
    assert after.events == []
