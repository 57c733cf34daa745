"""Every request ends in one decision, whatever works or does not, and nothing of a face leaves."""

import asyncio
import base64
from dataclasses import dataclass, field

import pytest

from agent.identity.checks import Checks, Document, PortraitError
from agent.identity.decisions import GOOD_FOR_S, Decisions
from agent.identity.requests import IdentifyRequest, VerifyRequest
from agent.pseudonym import MAX_FILE_BYTES, Pseudonyms
from agent.state_file import StateFile
from commands.errors import DeskError
from contract import seal
from contract.identity import IdentityDecision, IdentityOverridden
from tests.support.clock import ManualClock
from vision.identity.gallery_key import GalleryKeyError
from vision.identity.report import Answered, Enrol, Hint, Identify, Verify
from vision.identity.settings import IdentitySettings

SESSION = "01890a5d-ac96-774b-bcce-b302099a8057"
NUMBER = "11010519491231002X"
PORTRAIT = b"\xff\xd8\xff a portrait"
STAFF = "0123456789abcdef"


@dataclass
class FakeWatch:
    """An identity process that answers what a test says."""

    answer: Answered = field(
        default_factory=lambda: Answered(
            id="x", outcome="match", similarity=0.97, frames=5, took_ms=1500
        )
    )
    hints: tuple[Hint, ...] = ()
    detector: str | None = "finder-1"
    recogniser: str | None = "comparer-1"
    calibration: str | None = "set-1"
    asked: list = field(default_factory=list)
    go: asyncio.Event | None = None

    async def ask(self, check: Verify | Identify | Enrol, on_hint) -> Answered:
        self.asked.append(check)
        for hint in self.hints:
            on_hint(hint)
        if self.go is not None:
            await self.go.wait()
        return self.answer


@dataclass(frozen=True)
class Person:
    purposes: tuple = ("presence", "cabinet")
    consent_code: str = "consent/2026/17"


class Counter:
    """A kiosk with an open session, one camera, and one member of staff."""

    def __init__(self, folder):
        self.clock = ManualClock()
        self.watch = FakeWatch()
        self.watches = {"counter": self.watch}
        self.sessions = {SESSION}
        self.persons = {STAFF: Person()}
        self.document = Document(portrait=PORTRAIT, number=NUMBER)
        self.refusal = None
        self.gallery_fault = None
        self.said = []
        self.heeded = []
        self.views = []
        self.decisions = Decisions(say=self._say, heed=self.heeded.append, clock=self.clock)
        self.checks = Checks(
            settings=IdentitySettings,
            watches=lambda: self.watches,
            is_open=lambda session: session in self.sessions,
            document=self._document,
            person=self._person,
            decisions=self.decisions,
            pseudonyms=Pseudonyms(
                StateFile(folder / "identity-key.json", limit=MAX_FILE_BYTES),
                clock=self.clock,
                rotation_days=lambda: 1.0,
            ),
            show=self.views.append,
            clock=self.clock,
        )

    async def _say(self, data, stamp):
        self.said.append(data)

    async def _document(self, request):
        if self.refusal:
            raise PortraitError(self.refusal)
        if request.portrait is not None:
            return Document(portrait=request.portrait, number=request.document_number)
        return self.document

    async def _person(self, enrolment):
        if self.gallery_fault:
            raise self.gallery_fault
        return self.persons.get(enrolment)

    async def verify(self, **changes):
        wanted = {"session_id": SESSION, "purpose": "licence.renew", "consent_code": "c-1"}
        return await self.checks.verify(VerifyRequest(**(wanted | changes)))

    async def identify(self, purpose="cabinet", **changes):
        return await self.checks.identify(IdentifyRequest(purpose=purpose, **changes))


@pytest.fixture
def counter(tmp_path):
    return Counter(tmp_path)


async def test_a_match_is_told_without_anything_of_the_face(counter):
    """The event carries pseudonym, outcome, models and codes; no similarity, number or picture."""
    answer = await counter.verify()
    [decision] = counter.said
    assert isinstance(decision, IdentityDecision)
    assert (answer.outcome, decision.outcome) == ("match", "match")
    assert decision.decision_id == answer.decision_id
    assert (decision.recogniser, decision.calibration) == ("comparer-1", "set-1")
    assert (decision.purpose, decision.consent_code) == ("licence.renew", "c-1")
    assert decision.session_id == SESSION
    payload = seal(decision, kiosk="k1", stamp=counter.clock.stamp(), sequence=1).payload
    told = payload + answer.model_dump_json().encode()
    for secret in (NUMBER.encode(), b"0.97", b"similarity", PORTRAIT, base64.b64encode(PORTRAIT)):
        assert secret not in told
    assert counter.heeded == [decision]


async def test_one_person_has_one_pseudonym_for_a_purpose(counter):
    """The same number and purpose give the same pseudonym, another purpose another one."""
    await counter.verify()
    await counter.verify()
    await counter.verify(purpose="vehicle.inspect")
    one, again, other = counter.said
    assert one.pseudonym == again.pseudonym != other.pseudonym


async def test_without_a_number_there_is_no_pseudonym(counter):
    """A picture alone says nothing of who it is."""
    counter.document = Document(portrait=PORTRAIT, number=None)
    await counter.verify()
    assert counter.said[0].pseudonym is None


async def test_the_way_without_face_always_answers(counter):
    """It needs no camera, no models and no document, and asks nobody."""
    counter.watches = {}
    counter.refusal = "portrait_unreadable"
    answer = await counter.verify(face=False)
    assert answer.outcome == "refer"
    assert [reason.code for reason in answer.reasons] == ["declined"]
    assert counter.said[0].camera is None
    assert counter.watch.asked == []


async def test_without_an_open_session_there_is_no_check(counter):
    """A check belongs to a session; nothing is decided without one."""
    counter.sessions.clear()
    with pytest.raises(DeskError, match="session"):
        await counter.verify()
    assert counter.said == []


@pytest.mark.parametrize(
    ("watches", "reason"), [({}, "not_enabled"), ({"a": FakeWatch()}, "camera_unavailable")]
)
async def test_where_nothing_works_a_human_decides(counter, watches, reason):
    """Without a camera for faces, or with another one's name, the answer is refer."""
    counter.watches = watches
    answer = await counter.verify(camera="counter")
    assert (answer.outcome, answer.reasons[0].code) == ("refer", reason)


async def test_with_several_cameras_one_has_to_be_named(counter):
    """Nobody guesses before which camera the person stands."""
    counter.watches["door"] = FakeWatch()
    assert (await counter.verify()).reasons[0].code == "camera_unavailable"
    assert (await counter.verify(camera="door")).outcome == "match"


@pytest.mark.parametrize("reason", ["portrait_unreadable", "portrait_no_face"])
async def test_without_a_portrait_a_human_decides(counter, reason):
    """A document whose picture will not do ends in refer, and the process is not bothered."""
    counter.refusal = reason
    answer = await counter.verify()
    assert (answer.outcome, answer.reasons[0].code) == ("refer", reason)
    assert counter.watch.asked == []


async def test_one_check_at_a_time(counter):
    """Who asks while another check is under way is told so at once."""
    counter.watch.go = asyncio.Event()
    first = asyncio.create_task(counter.verify())
    await counter.clock.settle()
    second = await counter.verify()
    assert (second.outcome, second.reasons[0].code) == ("refer", "busy")
    counter.watch.go.set()
    assert (await first).outcome == "match"
    assert (await counter.verify()).outcome == "match"


async def test_a_check_can_be_cancelled(counter):
    """Cancelled means: decided, with refer; and the next one may begin."""
    assert not counter.checks.cancel()
    counter.watch.go = asyncio.Event()
    first = asyncio.create_task(counter.verify())
    await counter.clock.settle()
    assert counter.checks.cancel()
    answer = await first
    assert (answer.outcome, answer.reasons[0].code) == ("refer", "cancelled")
    counter.watch.go.set()
    assert (await counter.verify()).outcome == "match"


async def test_who_leaves_does_not_block_the_next(counter):
    """An application that hangs up in the middle takes its check with it."""
    counter.watch.go = asyncio.Event()
    first = asyncio.create_task(counter.verify())
    await counter.clock.settle()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    counter.watch.go.set()
    assert (await counter.verify()).outcome == "match"


async def test_the_screen_follows_the_check(counter):
    """Begin, hints in both languages with the step first, and the outcome."""
    counter.watch.hints = (
        Hint(id="x", reasons=("too_small",)),
        Hint(id="x", reasons=("turned",), step="turn_left", steps_left=2),
    )
    await counter.verify()
    begin, near, turn, end = counter.views
    assert (begin.check, begin.camera, begin.session_id) == ("verify", "counter", SESSION)
    assert near.prompts[0].code == "too_small"
    assert near.prompts[0].zh
    assert near.prompts[0].en
    assert [one.code for one in turn.prompts] == ["turn_left", "turned"]
    assert turn.steps_left == 2
    assert (end.check, end.outcome) == ("none", "match")


async def test_staff_is_recognised_for_what_they_are_enrolled_for(counter):
    """A match for a purpose, with the consent that is on record; for another purpose none."""
    counter.watch.answer = Answered(id="x", outcome="match", enrolment=STAFF, took_ms=900)
    answer = await counter.identify("cabinet")
    assert (answer.outcome, answer.enrolment) == ("match", STAFF)
    assert counter.said[0].consent_code == "consent/2026/17"
    refused = await counter.identify("maintenance")
    assert (refused.outcome, refused.reasons[0].code) == ("no_match", "purpose_not_allowed")
    counter.persons.clear()
    gone = await counter.identify("cabinet")
    assert (gone.outcome, gone.reasons[0].code) == ("refer", "unknown_person")


async def test_whose_record_cannot_be_read_is_not_unknown(counter):
    """The key went after the faces were loaded: nobody is let in, and the reason is the gallery."""
    counter.watch.answer = Answered(id="x", outcome="match", enrolment=STAFF, took_ms=900)
    counter.gallery_fault = GalleryKeyError("the key of enrolled staff is missing")
    refused = await counter.identify("cabinet")
    assert (refused.outcome, refused.reasons[0].code) == ("refer", "gallery_unusable")
    assert refused.enrolment is None


async def test_a_recognition_is_good_for_one_act_of_two_minutes(counter):
    """For its purpose, once, and not long after."""
    counter.watch.answer = Answered(id="x", outcome="match", enrolment=STAFF, took_ms=900)
    one, two = [(await counter.identify("cabinet")).decision_id for _ in range(2)]
    with pytest.raises(DeskError, match="not for maintenance"):
        counter.decisions.use(one, "maintenance")
    assert counter.decisions.use(one, "cabinet") == STAFF
    with pytest.raises(DeskError, match="used already"):
        counter.decisions.use(one, "cabinet")
    await counter.clock.advance(GOOD_FOR_S + 1)
    with pytest.raises(DeskError, match="two minutes"):
        counter.decisions.use(two, "cabinet")
    with pytest.raises(DeskError, match="no such decision"):
        counter.decisions.use(SESSION, "cabinet")


async def test_a_citizens_match_opens_nothing(counter):
    """Only the recognition of staff is good for an act."""
    answer = await counter.verify()
    with pytest.raises(DeskError, match="no member of staff"):
        counter.decisions.use(answer.decision_id, "cabinet")


async def test_an_override_is_told_once_with_who_and_why(counter):
    """A decision without a match can be overridden once; a match not at all."""
    counter.watch.answer = Answered(id="x", outcome="refer", reasons=("blurred",), took_ms=9)
    decision_id = (await counter.verify()).decision_id
    await counter.decisions.override(decision_id, reason="I know him", by="local:kiosk")
    told = counter.said[-1]
    assert isinstance(told, IdentityOverridden)
    assert (told.outcome, told.by, told.session_id) == ("refer", "local:kiosk", SESSION)
    with pytest.raises(DeskError, match="already"):
        await counter.decisions.override(decision_id, reason="again", by="local:kiosk")
    counter.watch.answer = FakeWatch().answer
    match = (await counter.verify()).decision_id
    with pytest.raises(DeskError, match="match"):
        await counter.decisions.override(match, reason="why", by="local:kiosk")


async def test_an_override_by_staff_names_the_enrolment(counter):
    """Who was recognised stands for it, in place of the local user."""
    counter.watch.answer = Answered(id="x", outcome="no_match", reasons=("different",), took_ms=9)
    decision_id = (await counter.verify()).decision_id
    counter.watch.answer = Answered(id="x", outcome="match", enrolment=STAFF, took_ms=900)
    staff = (await counter.identify("presence")).decision_id
    await counter.decisions.override(
        decision_id, reason="twins", by="local:kiosk", staff_decision_id=staff
    )
    assert counter.said[-1].by == f"staff:{STAFF}"


async def test_nothing_of_a_portrait_is_shown_by_reprs():
    """What lands in a traceback or log names no bytes and no number."""
    document = Document(portrait=PORTRAIT, number=NUMBER)
    request = VerifyRequest.model_validate_json(
        b'{"session_id":"%b","purpose":"p","consent_code":"c","document_number":"%b",'
        b'"portrait":"%b"}' % (SESSION.encode(), NUMBER.encode(), base64.b64encode(PORTRAIT))
    )
    check = Verify(id="x", limit_s=3, liveness="off", portrait=base64.b64encode(PORTRAIT))
    assert request.portrait == PORTRAIT
    for shown in (repr(document), repr(request), repr(check)):
        assert NUMBER not in shown
        assert "portrait\\x" not in shown
        assert "a portrait" not in shown
