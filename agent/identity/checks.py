"""Identity checks as the business application asks for them: each ends in one decision."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, Protocol

import structlog

from agent.identity.decisions import Decisions
from agent.identity.requests import CheckAnswer, IdentifyRequest, VerifyRequest, prompt
from agent.pseudonym import Pseudonyms
from commands.desk.view import IdentityView
from commands.errors import DeskError
from contract import Clock
from contract.actions import ConsentCode, StaffPurpose
from contract.identity import IdentityDecision, Liveness
from contract.ids import uuid7_at
from vision.identity.gallery_key import GalleryError
from vision.identity.reasons import Reason
from vision.identity.report import Answered, Enrol, Hint, Identify, Verify, refer
from vision.identity.settings import IdentitySettings

NO_CONSENT = "unknown"
"""In the place of a consent code, where nobody was recognised who could have given it."""

_NO_CHECK = ""
"""Where no process was asked."""

log = structlog.get_logger()

OnHint = Callable[[Hint], None]


class Watch(Protocol):
    """The identity process of a camera."""

    @property
    def detector(self) -> str | None:
        """Name and version of what finds faces."""
        ...

    @property
    def recogniser(self) -> str | None:
        """Name and version of what compares them."""
        ...

    @property
    def calibration(self) -> str | None:
        """Version of the thresholds."""
        ...

    async def ask(self, check: Verify | Identify | Enrol, on_hint: OnHint) -> Answered:
        """Have a check done; it is answered whatever becomes of the process."""
        ...


class Person(Protocol):
    """An enrolled member of staff."""

    @property
    def purposes(self) -> tuple[StaffPurpose, ...]:
        """What they are enrolled for."""
        ...

    @property
    def consent_code(self) -> ConsentCode:
        """Where their consent is on record."""
        ...


class PortraitError(Exception):
    """There is no portrait to compare with."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Document:
    """What a person is compared with."""

    portrait: bytes = field(repr=False)
    number: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a decision says of its request."""

    check: Literal["verify", "identify"]
    purpose: str
    consent_code: str
    session_id: str | None
    camera: str | None = None
    liveness: Liveness | None = None
    watch: Watch | None = None


class Checks:
    """Answers every request with a decision, also where nothing works.

    Args:
        settings: those in force now.
        watches: the identity process of each camera.
        is_open: whether a session is open.
        document: what the person of a request is compared with; raises :class:`PortraitError`.
        person: an enrolled member of staff, by enrolment; raises ``GalleryError``.
        decisions: records and publishes each decision.
        pseudonyms: what stands for a document's number.
        show: takes what the screen is to show.
        clock: the time of checks.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], IdentitySettings],
        watches: Callable[[], Mapping[str, Watch]],
        is_open: Callable[[str], bool],
        document: Callable[[VerifyRequest], Awaitable[Document]],
        person: Callable[[str], Awaitable[Person | None]],
        decisions: Decisions,
        pseudonyms: Pseudonyms,
        show: Callable[[IdentityView], None],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._watches = watches
        self._is_open = is_open
        self._document = document
        self._person = person
        self._decisions = decisions
        self._pseudonyms = pseudonyms
        self._show = show
        self._clock = clock
        self._running: asyncio.Task[Answered] | None = None

    async def verify(self, request: VerifyRequest) -> CheckAnswer:
        """Compare the person before the camera with a document's portrait.

        Raises:
            DeskError: the session is not open.
        """
        if not self._is_open(request.session_id):
            msg = "no such session is open: a check belongs to one"
            raise DeskError(msg, code="no_such_session")
        begun = self._clock.monotonic()
        number = request.document_number
        try:
            document = await self._document(request) if request.face else None
        except PortraitError as error:
            answer, asked = refer(_NO_CHECK, error.reason), self._asked(request)
        else:
            if document is None:
                answer, asked = refer(_NO_CHECK, "declined"), self._asked(request)
            else:
                number = document.number or number
                answer, asked = await self._compare(request, document)
        return await self._decide(asked, answer, begun, number=number)

    async def identify(self, request: IdentifyRequest) -> CheckAnswer:
        """Look for the person before the camera among enrolled staff."""
        begun = self._clock.monotonic()
        answer, asked = await self._run(
            _Asked("identify", request.purpose, NO_CONSENT, request.session_id),
            request.camera,
            lambda id_, limit_s, liveness: Identify(id=id_, limit_s=limit_s, liveness=liveness),
            request.time_limit_s,
        )
        person = None
        try:
            person = await self._person(answer.enrolment) if answer.enrolment else None
        except GalleryError as error:
            log.warning("gallery_unusable", error=str(error))
            answer = refer(_NO_CHECK, "gallery_unusable")
        if answer.outcome == "match" and person is None:  # removed meanwhile
            answer = refer(_NO_CHECK, "unknown_person")
        elif answer.outcome == "match" and person and request.purpose not in person.purposes:
            changed = {"outcome": "no_match", "reasons": ("purpose_not_allowed",)}
            answer = answer.model_copy(update=changed)
        consent = person.consent_code if person else NO_CONSENT
        return await self._decide(asked, answer, begun, consent_code=consent)

    async def enroll(
        self, camera: str | None, limit_s: float, on_hint: OnHint
    ) -> tuple[Answered, str | None]:
        """Have a template made of the person before the camera.

        Returns:
            The answer, and the name of the recogniser.
        """
        answer, asked = await self._run(
            _Asked("identify", "enroll", NO_CONSENT, None),
            camera,
            lambda id_, limit_s, liveness: Enrol(id=id_, limit_s=limit_s, liveness=liveness),
            limit_s,
            on_hint,
            view="enroll",
        )
        self._show(IdentityView(outcome=answer.outcome, prompts=tuple(map(prompt, answer.reasons))))
        return answer, asked.watch.recogniser if asked.watch else None

    def cancel(self) -> bool:
        """End the check that is under way; returns whether there was one."""
        running = self._running
        return running is not None and running.cancel()

    def _asked(self, request: VerifyRequest) -> _Asked:
        return _Asked("verify", request.purpose, request.consent_code, request.session_id)

    async def _compare(self, request: VerifyRequest, document: Document) -> tuple[Answered, _Asked]:
        return await self._run(
            self._asked(request),
            request.camera,
            lambda id_, limit_s, liveness: Verify(
                id=id_,
                limit_s=limit_s,
                liveness=liveness,
                portrait=document.portrait,
                session=request.session_id,
            ),
            request.time_limit_s,
        )

    async def _run(
        self,
        asked: _Asked,
        camera: str | None,
        make: Callable[[str, float, Liveness], Verify | Identify | Enrol],
        limit_s: float | None,
        on_hint: OnHint = lambda _: None,
        *,
        view: Literal["verify", "identify", "enroll"] | None = None,
    ) -> tuple[Answered, _Asked]:
        settings, watches = self._settings(), self._watches()
        name = camera or (next(iter(watches)) if len(watches) == 1 else None)
        watch = watches.get(name) if name else None
        if watch is None:
            return refer(_NO_CHECK, "camera_unavailable" if watches else "not_enabled"), asked
        asked = replace(asked, camera=name, liveness=settings.liveness, watch=watch)
        if self._running is not None:
            return refer(_NO_CHECK, "busy"), asked
        now, limit = self._clock.stamp(), limit_s or settings.time_limit_s
        id_ = uuid7_at(now.time)
        shown = IdentityView(
            check=view or asked.check,
            camera=name,
            session_id=asked.session_id,
            until=now.time + timedelta(seconds=limit),
        )
        self._show(shown)
        check = make(id_, limit, settings.liveness)
        running = asyncio.create_task(watch.ask(check, self._hinted(shown, on_hint)))
        self._running = running
        try:
            await asyncio.wait({running})
        finally:
            self._running = None
            running.cancel()  # where whoever asked has left
        return refer(_NO_CHECK, "cancelled") if running.cancelled() else running.result(), asked

    def _hinted(self, view: IdentityView, on_hint: OnHint) -> OnHint:
        """Return what shows each hint of a check."""

        def hinted(hint: Hint) -> None:
            codes = (*((hint.step,) if hint.step else ()), *hint.reasons)
            prompts = tuple(prompt(code) for code in codes)
            self._show(view.model_copy(update={"prompts": prompts, "steps_left": hint.steps_left}))
            on_hint(hint)

        return hinted

    async def _decide(
        self,
        asked: _Asked,
        answer: Answered,
        begun: float,
        *,
        number: str | None = None,
        consent_code: str | None = None,
    ) -> CheckAnswer:
        stamp, watch = self._clock.stamp(), asked.watch
        pseudonym = await self._pseudonyms.of(number, asked.purpose) if number else None
        took_ms = max(0, round((self._clock.monotonic() - begun) * 1000))
        decision = IdentityDecision(
            decision_id=uuid7_at(stamp.time),
            check=asked.check,
            camera=asked.camera,
            session_id=asked.session_id,
            purpose=asked.purpose,
            consent_code=consent_code or asked.consent_code,
            outcome=answer.outcome,
            reasons=answer.reasons,
            pseudonym=pseudonym.value if pseudonym else None,
            pseudonym_key_id=pseudonym.key_id if pseudonym else None,
            enrolment=answer.enrolment,
            liveness=asked.liveness,
            detector=watch.detector if watch else None,
            recogniser=watch.recogniser if watch else None,
            calibration=watch.calibration if watch else None,
            frames=answer.frames,
            took_ms=took_ms,
        )
        await self._decisions.made(decision, stamp)
        prompts = tuple(prompt(code) for code in answer.reasons)
        self._show(
            IdentityView(
                camera=asked.camera,
                session_id=asked.session_id,
                decision_id=decision.decision_id,
                outcome=decision.outcome,
                prompts=prompts,
            )
        )
        log.info("identity decision", outcome=decision.outcome, reasons=decision.reasons)
        return CheckAnswer(
            decision_id=decision.decision_id,
            outcome=decision.outcome,
            reasons=prompts,
            enrolment=decision.enrolment,
            recogniser=decision.recogniser,
            calibration=decision.calibration,
            took_ms=took_ms,
        )
