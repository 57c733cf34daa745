"""Enrolled staff before the cameras: one begin and one end, however often a face is missed."""

from collections.abc import Iterator

from agent.supervision.condition import Condition
from agent.supervision.scene import Scene
from contract import Stamp
from contract.identity import StaffBegin, StaffEnd


class StaffPresence:
    """Who is before which camera."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, str], Condition] = {}

    def look(self, scene: Scene, clear_s: float, now: Stamp) -> Iterator[StaffBegin | StaffEnd]:
        """Yield who came and who left."""
        seen = set(scene.staff())
        for camera, enrolment in seen - self._there.keys():
            self._there[camera, enrolment] = Condition()
        for (camera, enrolment), condition in tuple(self._there.items()):
            if not scene.works(camera):
                yield self._end(camera, enrolment, now, watched=False)
                continue
            holds = (camera, enrolment) in seen
            match condition.update(now, holds=holds, after_s=0, clear_s=clear_s):
                case "begin":
                    yield StaffBegin(camera=camera, enrolment=enrolment)
                case "end":
                    yield self._end(camera, enrolment, now, watched=True)

    def switch_off(self, now: Stamp) -> Iterator[StaffEnd]:
        """Yield the end of all presences."""
        for camera, enrolment in tuple(self._there):
            yield self._end(camera, enrolment, now, watched=False)

    def _end(self, camera: str, enrolment: str, now: Stamp, *, watched: bool) -> StaffEnd:
        condition = self._there.pop((camera, enrolment))
        begun = condition.since or now
        return StaffEnd(
            camera=camera,
            enrolment=enrolment,
            begun=begun.time,
            duration_s=condition.end(now),
            reason="left" if watched else "unwatched",
        )
