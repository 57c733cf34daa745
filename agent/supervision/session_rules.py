"""The rules on open sessions: each finding begins, and ends at the latest with its session."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from agent.supervision.condition import Condition
from agent.supervision.finding import new_id
from agent.supervision.scene import OpenSession, Scene
from agent.supervision.settings import SupervisionSettings
from contract import Stamp
from contract.identity import SupervisionFinding, SupervisionRule

Ended = Literal["over", "session_ended", "switched_off"]
_TAILS: dict[Ended, str] = {
    "over": ".",
    "session_ended": "; then the session ended.",
    "switched_off": "; then supervision was switched off.",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a session."""

    odd: bool
    """Whether it is what the rule is about."""
    camera: str | None = None
    enrolment: str | None = None


@dataclass(slots=True)
class _Course:
    """How a rule goes in one session."""

    session: OpenSession
    condition: Condition = field(default_factory=Condition)
    begin: SupervisionFinding | None = None
    """What was told, while it is not over."""


class SessionRule(ABC):
    """Judges each open session at every look."""

    rule: SupervisionRule
    goes_on: str
    """What is odd, with the business at ``{}``."""
    went_on: str
    """What was, without a full stop, with seconds and business at each ``{}``."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}

    def look(
        self, scene: Scene, settings: SupervisionSettings, now: Stamp
    ) -> Iterator[SupervisionFinding]:
        """Yield what begins and what is over."""
        for id_ in self._courses.keys() - scene.sessions.keys():
            yield from self._end(self._courses.pop(id_), now, "session_ended")
        for id_, session in scene.sessions.items():
            course = self._courses.setdefault(id_, _Course(session))
            sight = self.see(session, scene)
            step = course.condition.update(
                now,
                holds=None if sight is None else sight.odd,
                after_s=self.after_s(settings),
                clear_s=settings.clear_s,
            )
            if step == "begin" and sight is not None:
                course.begin = self._begin(course, sight, now)
                yield course.begin
            elif step == "end":
                yield from self._end(course, now, "over")

    def switch_off(self, now: Stamp) -> Iterator[SupervisionFinding]:
        """Yield the end of all that is not over."""
        courses, self._courses = self._courses, {}
        for course in courses.values():
            yield from self._end(course, now, "switched_off")

    @abstractmethod
    def after_s(self, settings: SupervisionSettings) -> float:
        """How long it must be odd to count."""

    @abstractmethod
    def see(self, session: OpenSession, scene: Scene) -> Sight | None:
        """Look at a session; ``None``: nobody knows."""

    def _begin(self, course: _Course, sight: Sight, now: Stamp) -> SupervisionFinding:
        view = course.session.view
        return SupervisionFinding(
            finding_id=new_id(now),
            rule=self.rule,
            phase="begin",
            text=self.goes_on.format(view.business),
            begun=(course.condition.since or now).time,
            camera=sight.camera,
            session_id=view.id,
            business=view.business,
            enrolment=sight.enrolment,
            decision_ids=tuple(course.session.decisions),
        )

    def _end(self, course: _Course, now: Stamp, why: Ended) -> Iterator[SupervisionFinding]:
        begin, course.begin = course.begin, None
        duration_s = course.condition.end(now)
        if begin is None:
            return
        session = course.session
        changes = {
            "phase": "end",
            "text": self.went_on.format(f"{duration_s:.0f}", session.view.business) + _TAILS[why],
            "duration_s": duration_s,
            "ended": why,
            "decision_ids": tuple(session.decisions),
        }
        yield begin.model_copy(update=changes)


class CounterUnattended(SessionRule):
    """Staff is to be at the counter in a session of mode ``staff``, and is not seen.

    Not judged where no camera tells who is there, or nobody is enrolled.
    """

    rule = "counter_unattended"
    goes_on = "{} is under way with staff, but no enrolled staff is seen there."
    went_on = "The counter was unattended for {} s during {}"

    def after_s(self, settings: SupervisionSettings) -> float:
        """How long it must be odd to count."""
        return settings.unattended_s

    def see(self, session: OpenSession, scene: Scene) -> Sight | None:
        """Look at a session; ``None``: nobody knows."""
        if session.view.mode != "staff" or any(scene.staff()):
            return Sight(odd=False)
        return Sight(odd=True) if scene.knows_absence else None


class OtherPerson(SessionRule):
    """Somebody else stands where the person of the session was verified.

    Not judged where no camera knows the verified person. The finding names the other where that
    is enrolled staff.
    """

    rule = "other_person"
    goes_on = "{} goes on with somebody other than the person who was verified."
    went_on = "Somebody other than the person who was verified was there for {} s during {}"

    def after_s(self, settings: SupervisionSettings) -> float:
        """How long it must be odd to count."""
        return settings.other_person_s

    def see(self, session: OpenSession, scene: Scene) -> Sight | None:
        """Look at a session; ``None``: nobody knows."""
        persons = scene.of_session(session.view.id)
        if not persons:
            return None
        if "here" in persons.values() or "other" not in persons.values():
            return Sight(odd=False)
        camera = next(camera for camera, person in persons.items() if person == "other")
        staff = scene.staff_before(camera)
        return Sight(odd=True, camera=camera, enrolment=staff[0] if len(staff) == 1 else None)


class PersonUnwatched(SessionRule):
    """The person of a session was verified, and no camera can tell any more who goes on with it.

    What a verified person looks like is in the memory of one identity process and nowhere else: it
    goes with the process, and where the camera has verified somebody of another session since.
    """

    rule = "person_unwatched"
    goes_on = "{} goes on, and no camera can tell whether it is with the person who was verified."
    went_on = "No camera could tell for {} s whether the verified person was there during {}"

    def after_s(self, settings: SupervisionSettings) -> float:
        """How long it must be odd to count."""
        return settings.other_person_s

    def see(self, session: OpenSession, scene: Scene) -> Sight | None:
        """Look at a session; ``None``: nobody knows."""
        return Sight(odd=session.verified and not scene.of_session(session.view.id))
