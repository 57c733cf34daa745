"""The rule on opening hours: no session begins outside them, and no staff is there."""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import timedelta

from agent.supervision.condition import elapsed_s
from agent.supervision.finding import new_id
from agent.supervision.hours import is_open
from agent.supervision.scene import OpenSession, Scene
from agent.supervision.settings import SupervisionSettings
from contract import Stamp
from contract.identity import SupervisionFinding

_MAX_TOLD = 256


class OutOfHours:
    """One finding a session, and one a presence of a member of staff.

    Not judged while the clock is not synced; a session that is still open when it is, then.
    """

    def __init__(self) -> None:
        self._judged: set[str] = set()
        """Sessions."""
        self._told: OrderedDict[str, Stamp] = OrderedDict()
        """Enrolments, and when each was seen last."""

    def look(
        self, scene: Scene, settings: SupervisionSettings, now: Stamp
    ) -> Iterator[SupervisionFinding]:
        """Yield what is found."""
        self._judged &= scene.sessions.keys()
        if not settings.hours or now.time_quality != "synced":
            return
        for id_, session in scene.sessions.items():
            if id_ not in self._judged:
                self._judged.add(id_)
                moment = now.time - timedelta(seconds=elapsed_s(session.begun, now))
                if not is_open(settings.hours, moment, settings.time_zone):
                    yield _of_session(session, now)
        yield from self._look_at_staff(scene, settings, now)

    def _look_at_staff(
        self, scene: Scene, settings: SupervisionSettings, now: Stamp
    ) -> Iterator[SupervisionFinding]:
        if is_open(settings.hours, now.time, settings.time_zone):
            self._told.clear()
            return
        for camera, enrolment in scene.staff():
            last = self._told.pop(enrolment, None)
            self._told[enrolment] = now
            if last is None or elapsed_s(last, now) >= settings.again_s:
                yield _of_staff(camera, enrolment, now)
        while len(self._told) > _MAX_TOLD:
            self._told.popitem(last=False)


def _of_session(session: OpenSession, now: Stamp) -> SupervisionFinding:
    return SupervisionFinding(
        finding_id=new_id(now),
        rule="out_of_hours",
        phase="once",
        text=f"{session.view.business} was begun outside the opening hours.",
        begun=session.begun.time,
        session_id=session.view.id,
        business=session.view.business,
        decision_ids=tuple(session.decisions),
    )


def _of_staff(camera: str, enrolment: str, now: Stamp) -> SupervisionFinding:
    return SupervisionFinding(
        finding_id=new_id(now),
        rule="out_of_hours",
        phase="once",
        text=f"Enrolled staff is before camera {camera} outside the opening hours.",
        begun=now.time,
        camera=camera,
        enrolment=enrolment,
    )
