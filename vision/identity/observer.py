"""What an identity process makes of frames and of what it is asked; knows nothing of pipes."""

from functools import partial

from vision.frames import Frame
from vision.identity.chain import Chain, PortraitError
from vision.identity.check import Check
from vision.identity.comparison import Compare, against, among, enrolling
from vision.identity.liveness.attack_model import AttackModel
from vision.identity.presence_watch import PresenceWatch
from vision.identity.report import Answered, Blind, Enrol, Hint, Identify, Present, Verify, refer
from vision.identity.search import Index
from vision.identity.witness import Witness
from vision.motion import FINE, QUIET_S, Motion
from vision.picture import as_bgr
from vision.scene import small_grey

_BLIND_S = 3.0
"""Without a frame for so long the camera is not to be counted on."""

Say = Answered | Hint | Present | Blind


class Observer:
    """Looks at the frames of one camera; times are seconds since boot.

    Args:
        chain: finds, judges and compares faces.
        attack: the user's own model that knows attacks.
        now_s: this moment.
    """

    def __init__(self, chain: Chain, *, attack: AttackModel | None = None, now_s: float) -> None:
        self._chain = chain
        self._calibration = chain.backend.calibration
        self._attack = attack
        self._motion = Motion(FINE)
        self._people = PresenceWatch(chain)
        self._staff: Index | None = None
        self._check: Check | None = None
        self._session: str | None = None
        self._frame_s = now_s
        self._is_blind = False
        self.looks = 0

    @property
    def is_checking(self) -> bool:
        """Whether a check is under way."""
        return self._check is not None

    @property
    def enrolled(self) -> int:
        """Templates that a person is looked for in."""
        return len(self._staff) if self._staff is not None else 0

    def know(self, staff: Index | None) -> None:
        """Look for people among these from now on; None: the gallery cannot be used."""
        self._staff = staff
        # Where nobody is enrolled, no templates are made to find that out of each face.
        self._people.know(among(staff, self._calibration) if staff else None)

    def begin(self, ask: Verify | Identify | Enrol, now_s: float) -> Answered | None:
        """Begin a check; answers at once where that cannot be."""
        if self._check is not None:
            return refer(ask.id, "busy")
        try:
            compare = self._comparison(ask)
        except PortraitError as error:
            return refer(ask.id, error.reason)
        if compare is None:
            return refer(ask.id, "gallery_unusable")
        self._check = Check(
            ask,
            compare=compare,
            chain=self._chain,
            witness=partial(Witness, ask.liveness, model=self._attack),
            begun_s=now_s,
        )
        self._session = ask.session if isinstance(ask, Verify) else None
        return None

    def cancel(self, check: str, now_s: float) -> Answered | None:
        """End a check, if it is still under way."""
        if self._check is None or self._check.id != check:
            return None
        return self._end(self._check.refer("cancelled", now_s=now_s))

    def forget(self, session: str) -> None:
        """Forget the person of a session."""
        if session == self._session:
            self._session = None
        self._people.forget(session)

    def take(self, picture: Frame, now_s: float) -> list[Say]:
        """Take a frame; look at it if that is worth it."""
        self._frame_s, self._is_blind = now_s, False
        bgr = as_bgr(picture)
        self._motion.update(small_grey(bgr), now_s)
        check = self._check
        is_quiet = self._motion.quiet_s(now_s) > QUIET_S
        if check is None and is_quiet and not self._people.wants_look(now_s):
            return []
        self.looks += 1
        faces = self._chain.find(bgr)
        said: list[Say] = []
        if check is not None and (news := check.take(bgr, faces, now_s)) is not None:
            said.append(self._end(news) if isinstance(news, Answered) else news)
        present = self._people.take(bgr, faces, now_s, embed=check is None)
        return [*said, present] if present else said

    def miss(self, now_s: float) -> list[Say]:
        """Say that there is no new frame."""
        said: list[Say] = []
        if now_s - self._frame_s < _BLIND_S:
            return said
        if self._check is not None:
            said.append(self._end(self._check.refer("camera_unavailable", now_s=now_s)))
        if not self._is_blind:
            self._is_blind = True
            self._people.blind()
            said.append(Blind())
        return said

    def _comparison(self, ask: Verify | Identify | Enrol) -> Compare | None:
        match ask:
            case Verify():
                return against(self._chain.portrait(ask.portrait), self._chain)
            case Identify():
                return None if self._staff is None else among(self._staff, self._calibration)
            case Enrol():
                return enrolling(self._staff, self._calibration)

    def _end(self, answered: Answered) -> Answered:
        check, self._check = self._check, None
        if check is not None and self._session is not None and answered.outcome == "match":
            self._people.verified(self._session, against(check.template, self._chain))
        return answered
