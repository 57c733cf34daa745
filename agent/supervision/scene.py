"""What is known now of sessions and of who stands before the cameras; it judges nothing."""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from commands.desk.sessions import MAX_SESSIONS
from commands.desk.view import SessionsView, SessionView
from contract import Stamp
from vision.identity.report import Present

MAX_CAMERAS = 16
MAX_STAFF = 32
"""Before one camera."""
MAX_DECISIONS = 32
"""Of one session: the newest."""


@dataclass(slots=True)
class OpenSession:
    """A session that is open."""

    view: SessionView
    begun: Stamp
    decisions: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_DECISIONS))
    verified: bool = False
    """Whether its person was verified by face."""


class Scene:
    """Sessions by id, and what each camera that works reports.

    A camera that does not work is not in it: nobody knows who is there. Staff who did not agree
    that their presence is told count as nobody enrolled.

    Args:
        staff: the enrolments of those who agreed.
    """

    def __init__(self, staff: Callable[[], Collection[str]]) -> None:
        self._enrolled = staff
        self.sessions: dict[str, OpenSession] = {}
        self._cameras: dict[str, Present] = {}
        self._lost_with_staff: str | None = None
        """The camera that was lost while it alone saw staff, who may well be there still."""

    def use(self, view: SessionsView, now: Stamp) -> None:
        """Take all open sessions."""
        self.sessions = {
            session.id: self.sessions.get(session.id) or OpenSession(session, now)
            for session in view.sessions[:MAX_SESSIONS]
        }

    def see(self, camera: str, report: Present | None) -> None:
        """Take what a camera reports; ``None``: it does not work."""
        if report is None:
            leaves_staff = self.staff_before(camera)
            self._cameras.pop(camera, None)
            if leaves_staff and not any(self.staff()):
                self._lost_with_staff = camera
        elif camera in self._cameras or len(self._cameras) < MAX_CAMERAS:
            self._cameras[camera] = report
            if self.staff_before(camera) or camera == self._lost_with_staff:
                self._lost_with_staff = None

    def works(self, camera: str) -> bool:
        """Whether a camera tells who is before it."""
        return camera in self._cameras

    def staff_before(self, camera: str) -> list[str]:
        """Return the enrolments of those who are seen by a camera."""
        report, enrolled = self._cameras.get(camera), self._enrolled()
        return [one for one in report.staff if one in enrolled][:MAX_STAFF] if report else []

    def staff(self) -> Iterator[tuple[str, str]]:
        """Yield camera and enrolment of those who are seen."""
        for camera in self._cameras:
            for enrolment in self.staff_before(camera):
                yield camera, enrolment

    @property
    def knows_absence(self) -> bool:
        """Whether nobody seen means that nobody is there."""
        return bool(self._cameras and self._enrolled()) and self._lost_with_staff is None

    def of_session(self, session_id: str) -> dict[str, str]:
        """Return how each camera that knows the verified person of a session sees them."""
        return {
            camera: report.session_person
            for camera, report in self._cameras.items()
            if report.session == session_id and report.session_person is not None
        }
