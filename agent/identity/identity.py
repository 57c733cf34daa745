"""Everything of the agent that has to do with persons: made once and wired."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.id_card.reader import CardReader
from agent.identity.cabinet import Cabinet, cabinet_latch
from agent.identity.cards import Cards
from agent.identity.checks import Checks
from agent.identity.decisions import Decisions
from agent.identity.enrolments import CapturedTemplate, Enrolments
from agent.identity.requests import (
    CabinetRequest,
    CardRequest,
    CardView,
    CheckAnswer,
    EnrolledView,
    EnrollRequest,
    IdentifyRequest,
    OverrideRequest,
    RemovedView,
    StaffMember,
    StaffView,
    VerifyRequest,
)
from agent.pseudonym import MAX_FILE_BYTES, Pseudonyms
from agent.settings import Settings
from agent.state_file import StateFile
from agent.supervision.supervision import Supervision
from agent.supervisor import Start
from commands.action import Progress
from commands.audit import Audit
from commands.desk.desk import Desk
from commands.errors import ActionError, DeskError
from contract import Clock
from contract.actions import IdentityEnroll, StaffPurpose
from contract.health import PeripheralHealth
from contract.identity import IdentityDecision, IdentityOverridden
from contract.message import Publish
from vision.identity.report import Hint, IdentityOrder, Present
from vision.identity.settings import IdentitySettings
from vision.identity.watcher import IdentityWatch
from vision.settings import CameraSettings

KEY_FILE = "identity-key.json"
_ROTATION_DAYS = 1.0
"""So long a person keeps a pseudonym."""
_ENROLL_S = 60.0


class Identity:
    """Implements :class:`agent.local.identity_calls.Persons`.

    Args:
        settings: those in force now.
        desk: sessions, and what the screen shows.
        audit: the audit trail.
        watches: the identity process of each camera.
        clock: the agent's clock.
        publish: takes the events.
        say: records an event in the audit trail, then publishes it.
        tell: told of faults by the alarm's code, in a sentence; None: it is over.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        desk: Desk,
        audit: Audit,
        watches: Mapping[str, IdentityWatch],
        clock: Clock,
        publish: Publish,
        say: Publish,
        tell: Callable[[str, str | None], None],
    ) -> None:
        now = settings()
        folder = now.kiosk.state_folder
        self._desk = desk
        self._watches = watches
        self._clock = clock
        self._roll: frozenset[str] = frozenset()
        """The enrolments of those who agreed that their presence is told."""
        self._roll_changed = asyncio.Event()
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        self._pseudonyms = Pseudonyms(
            StateFile(folder / KEY_FILE, limit=MAX_FILE_BYTES),
            clock=clock,
            rotation_days=lambda: _ROTATION_DAYS,
        )

        self._supervision = Supervision(
            settings=lambda: settings().supervision,
            clock=clock,
            publish=publish,
            record=audit.record,
            desk=desk,
            staff=lambda: self._roll,
        )
        self._decisions = Decisions(say=say, heed=self._heed, clock=clock)
        self.enrolments = Enrolments(
            folder,
            credentials=Path(credentials) if credentials else None,
            settings=lambda: settings().identity,
            clock=clock,
            capture=self._capture,
            record=audit.record_event,
            publish=publish,
            tell=tell,
            on_change=self._gallery_changed,
        )
        self._reader = (
            CardReader(now.id_card, clock=clock, publish=publish) if now.id_card.device else None
        )
        self._cards = Cards(
            self._reader,
            is_open=self._is_open,
            decoder=lambda: settings().identity.photo_decoder,
            clock=clock,
        )
        self._cabinet = Cabinet(
            cabinet_latch(now.cabinet),
            open_s=lambda: settings().cabinet.open_s,
            say=say,
            clock=clock,
        )
        self._checks = Checks(
            settings=lambda: settings().identity,
            watches=lambda: self._watches,
            is_open=self._is_open,
            document=self._cards.document,
            person=self.enrolments.person,
            decisions=self._decisions,
            pseudonyms=self._pseudonyms,
            show=desk.show_identity,
            clock=clock,
        )

    @property
    def tasks(self) -> dict[str, Start]:
        """What is to be kept alive."""
        return {
            "cabinet": self._cabinet.run,
            "card_reader": self._cards.run,
            "enrolments": self.enrolments.run,
            "identity_key": self._pseudonyms.run,
            "identity_sessions": self._follow_sessions,
            "staff_roll": self._keep_roll,
            "supervision": self._supervision.run,
        }

    async def start(self) -> None:
        """Take up what the life before left; before the tasks and the cameras run."""
        await self.enrolments.start()
        self._roll_changed.set()

    def peripherals(self) -> tuple[PeripheralHealth, ...]:
        """How the card reader is, where there is one."""
        return (self._reader.health(),) if self._reader else ()

    def watch(
        self, camera: CameraSettings, shared: IdentitySettings, frames: Path
    ) -> IdentityWatch:
        """Make the comparing of faces at a camera whose newest frame lies at ``frames``."""
        order = IdentityOrder(
            frames=frames,
            settings=camera.identity,
            identity=shared,
            gallery=self.enrolments.access(),
        )
        return IdentityWatch(camera.name, order, clock=self._clock, present=self._present)

    # -- for the local door ----------------------------------------------------------------

    async def verify(self, request: VerifyRequest) -> CheckAnswer:
        """Compare the person before the camera with a document. Raises ``DeskError``."""
        return await self._checks.verify(request)

    async def identify(self, request: IdentifyRequest) -> CheckAnswer:
        """Look for the person before the camera among staff."""
        return await self._checks.identify(request)

    def cancel(self) -> bool:
        """End the check that is under way; returns whether there was one."""
        return self._checks.cancel()

    async def override(self, decision_id: str, request: OverrideRequest, *, by: str) -> None:
        """Business goes on although the check did not end in a match. Raises ``DeskError``."""
        await self._decisions.override(
            decision_id, reason=request.reason, by=by, staff_decision_id=request.staff_decision_id
        )

    async def read_card(self, session_id: str, request: CardRequest) -> CardView:
        """Read the card on the reader. Raises ``DeskError``."""
        return await self._cards.read(session_id, request.time_limit_s)

    async def open_cabinet(self, request: CabinetRequest) -> None:
        """Let a member of staff open the cabinet. Raises ``DeskError``, ``ActionError``."""
        enrolment = self._decisions.use(request.decision_id, "cabinet")
        await self._cabinet.open(enrolment=enrolment, decision_id=request.decision_id)

    def use(self, decision_id: str, purpose: StaffPurpose) -> str:
        """Let a member of staff do what they were recognised for, once. Raises ``DeskError``."""
        return self._decisions.use(decision_id, purpose)

    async def staff(self) -> StaffView:
        """Who is enrolled. Raises ``ActionError``."""
        page = await self.enrolments.list(None, self.enrolments.max_persons)
        return StaffView(
            persons=tuple(
                StaffMember(
                    subject=one.subject,
                    enrolment=one.enrolment,
                    purposes=one.purposes,
                    consent_code=one.consent_code,
                    enrolled=one.enrolled,
                    expires=one.expires,
                )
                for one in page.persons
            )
        )

    async def enroll(self, request: EnrollRequest, *, by: str) -> EnrolledView:
        """Enrol the person before the camera. Raises ``ActionError``."""
        order = IdentityEnroll(
            subject=request.subject,
            purposes=request.purposes,
            consent_code=request.consent_code,
            days=request.days,
            camera=request.camera,
            for_s=round(request.time_limit_s or _ENROLL_S),
        )
        done = await self.enrolments.enroll(order, by=by)
        return EnrolledView(
            enrolment=done.person.enrolment, expires=done.person.expires, persons=done.persons
        )

    async def remove(self, subject: str, *, by: str) -> RemovedView:
        """Delete what is stored of a person. Raises ``ActionError``, ``DeskError``."""
        removed = await self.enrolments.remove(subject, by=by)
        if not removed.enrolments:
            msg = f"nobody called {subject} is enrolled"
            raise DeskError(msg, code="no_such_person")
        return RemovedView(
            deleted=len(removed.enrolments),
            enrolments=removed.enrolments,
            digest=removed.digest,
            persons=removed.persons,
        )

    # -- between the parts -----------------------------------------------------------------

    def _is_open(self, session_id: str) -> bool:
        return any(session.id == session_id for session in self._desk.sessions.stored)

    def _heed(self, event: IdentityDecision | IdentityOverridden) -> None:
        if isinstance(event, IdentityDecision):
            self._supervision.decided(event)
        else:
            self._supervision.overridden(event)

    def _present(self, camera: str, report: Present | None) -> None:
        self._supervision.present(camera, report)

    def _gallery_changed(self) -> None:
        access = self.enrolments.access()
        for watch in self._watches.values():
            watch.reload(access)
        self._roll_changed.set()

    async def _capture(
        self, camera: str | None, limit_s: float, progress: Progress
    ) -> CapturedTemplate:
        hints: asyncio.Queue[Hint] = asyncio.Queue(1)

        async def pass_on() -> None:
            while True:
                hint = await hints.get()
                await progress(", ".join((*((hint.step,) if hint.step else ()), *hint.reasons)))

        def take(hint: Hint) -> None:
            if hints.full():
                hints.get_nowait()
            hints.put_nowait(hint)

        passing = asyncio.create_task(pass_on(), name="enrolment's progress")
        try:
            answer, recogniser = await self._checks.enroll(camera, limit_s, take)
        finally:
            passing.cancel()
        if answer.template is None or recogniser is None:
            msg = f"no template was made: {', '.join(answer.reasons) or answer.outcome}"
            raise ActionError(msg)
        return CapturedTemplate(answer.template, recogniser, answer.enrolment)

    async def _follow_sessions(self) -> None:
        """Forget a session's card and person when it ends."""
        known: set[str] = set()
        async for view in self._desk.follow_sessions():
            now = {session.id for session in view.sessions}
            self._cards.keep_only(now)
            for session_id in known - now:
                for watch in self._watches.values():
                    watch.forget(session_id)
            known = now

    async def _keep_roll(self) -> None:
        """Know whose presence may be told, without asking the disk for every face."""
        while True:
            await self._roll_changed.wait()
            self._roll_changed.clear()
            try:
                page = await self.enrolments.list(None, self.enrolments.max_persons)
            except ActionError:  # the gallery's alarm says why
                self._roll = frozenset()
                continue
            self._roll = frozenset(
                one.enrolment for one in page.persons if "presence" in one.purposes
            )
