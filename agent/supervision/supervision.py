"""Follows sessions, staff, decisions and overrides, and tells what is odd."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass

import structlog

from agent.supervision.finding import audit_kind, facts_of
from agent.supervision.out_of_hours import OutOfHours
from agent.supervision.repeated_overrides import RepeatedOverrides
from agent.supervision.scene import Scene
from agent.supervision.session_rules import CounterUnattended, OtherPerson, PersonUnwatched
from agent.supervision.settings import SupervisionSettings
from agent.supervision.staff import StaffPresence
from commands.desk.desk import Desk
from contract import Clock, Event, Stamp
from contract.audit import Facts
from contract.identity import IdentityDecision, IdentityOverridden, SupervisionFinding
from contract.message import Publish
from vision.identity.report import Present

TICK_S = 1.0
MAX_WAITING = 256

Record = Callable[[str, Facts, Stamp], Awaitable[bool]]
"""Appends to the audit trail: :meth:`commands.audit.Audit.record`."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    event: Event
    stamp: Stamp
    recorded: bool = False


class Supervision:
    """Takes what happens at once, and tells what it finds while :meth:`run` runs.

    What waits to be told is bounded: beyond :data:`MAX_WAITING` the newest is dropped and logged.

    Args:
        settings: those in force now.
        clock: the time of the rules.
        publish: takes the events.
        record: appends each finding to the audit trail, before it is published.
        desk: tells of sessions.
        staff: the enrolments of those who agreed that their presence is told.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], SupervisionSettings],
        clock: Clock,
        publish: Publish,
        record: Record,
        desk: Desk,
        staff: Callable[[], Collection[str]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._publish = publish
        self._record = record
        self._desk = desk
        self._scene = Scene(staff)
        self._presence = StaffPresence()
        self._unattended = CounterUnattended()
        self._other_person = OtherPerson()
        self._person_unwatched = PersonUnwatched()
        self._out_of_hours = OutOfHours()
        self._overrides = RepeatedOverrides()
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()

    # -- what happens ----------------------------------------------------------------------

    def present(self, camera: str, report: Present | None) -> None:
        """Take who is before a camera; ``None``: it, or its identity process, does not work."""
        self._scene.see(camera, report)
        self._look()

    def decided(self, decision: IdentityDecision) -> None:
        """Take a decision: evidence of its session."""
        if session := self._scene.sessions.get(decision.session_id or ""):
            session.decisions.append(decision.decision_id)
            if decision.check == "verify" and decision.outcome == "match":
                session.verified = True

    def overridden(self, override: IdentityOverridden) -> None:
        """Take an override."""
        self._overrides.add(override.decision_id, self._clock.stamp())
        self._look()

    # -- what is told ----------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the desk, and tell, until cancelled; may be started again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="supervision.desk")
            group.create_task(self._tick(), name="supervision.tick")
            group.create_task(self._tell(), name="supervision.tell")

    async def _follow(self) -> None:
        async for view in self._desk.follow_sessions():
            self._scene.use(view, self._clock.stamp())
            self._look()

    async def _tick(self) -> None:
        while True:
            self._look()
            await self._clock.sleep(TICK_S)

    async def _tell(self) -> None:
        while True:
            while self._waiting:
                one = self._waiting[0]
                if isinstance(one.event, SupervisionFinding) and not one.recorded:
                    kind, facts = audit_kind(one.event), facts_of(one.event)
                    await self._record(kind, facts, one.stamp)
                    one.recorded = True
                await self._publish(one.event, one.stamp)
                self._waiting.popleft()
            self._news.clear()
            await self._news.wait()

    def _look(self) -> None:
        now = self._clock.stamp()
        for event in self._judge(self._settings(), now):
            if isinstance(event, SupervisionFinding):
                log.warning("supervision finding", **facts_of(event), rule=event.rule)
            if len(self._waiting) >= MAX_WAITING:
                log.error("supervision event dropped", kind=event.KIND, waiting=MAX_WAITING)
                continue
            self._waiting.append(_Waiting(event, now))
            self._news.set()

    def _judge(self, settings: SupervisionSettings, now: Stamp) -> Iterator[Event]:
        if not settings.enabled:
            yield from self._unattended.switch_off(now)
            yield from self._other_person.switch_off(now)
            yield from self._person_unwatched.switch_off(now)
            yield from self._presence.switch_off(now)
            return
        yield from self._presence.look(self._scene, settings.clear_s, now)
        yield from self._unattended.look(self._scene, settings, now)
        yield from self._other_person.look(self._scene, settings, now)
        yield from self._person_unwatched.look(self._scene, settings, now)
        yield from self._out_of_hours.look(self._scene, settings, now)
        yield from self._overrides.look(settings, now)
