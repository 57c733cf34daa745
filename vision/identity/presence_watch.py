"""Who is before a camera, from look to look: steady, and with few templates made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from vision.identity.base import Picture, Template
from vision.identity.check import Faces
from vision.identity.comparison import Compare
from vision.identity.face import Face
from vision.identity.report import Present
from vision.identity.track import distance, is_same_place

_THERE_LOOKS = 2
_GONE_S = 5.0
_UNDECIDED_S, _DECIDED_S = 0.5, 4.0
"""Between two templates of one face: until it is known who it is, and afterwards."""
_TRY_S = 10.0
"""So long a face that nothing moves any more is looked at to find out who it is."""
_REVISIT_S = 5.0
"""So often those who stand there are looked at although nothing moves."""
_OTHER_S = 3.0
"""Somebody else stands there for so long before that is said."""

_REACH_S = 1.0
"""Nobody is taken for the same who is farther away than one can go in this time."""

T = TypeVar("T")


@dataclass(slots=True)
class _Belief(Generic[T]):
    """What was found twice in a row."""

    value: T | None = None
    since_s: float = 0.0
    _last: T | None = None

    def find(self, value: T, now_s: float) -> None:
        if value == self._last and value != self.value:
            self.value, self.since_s = value, now_s
        self._last = value


@dataclass(slots=True)
class _Track:
    """One face, followed."""

    face: Face
    begun_s: float
    seen_s: float
    missed_s: float | None = None
    """Since when it is not there any more; a time without looks does not count."""
    looks: int = 1
    due_s: float = 0.0
    staff: _Belief[str] = field(default_factory=_Belief)
    """The enrolment; empty: nobody's."""
    verified: _Belief[bool] = field(default_factory=_Belief)
    """Whether it is the person of the session."""

    def can_be(self, face: Face, now_s: float) -> bool:
        """Whether this face can be the same head as before."""
        return is_same_place(self.face, face, min(now_s - self.seen_s, _REACH_S))


class PresenceWatch:
    """Follows the faces before one camera; times are seconds of any one clock.

    Args:
        faces: judges faces and makes templates.
    """

    def __init__(self, faces: Faces) -> None:
        self._faces = faces
        self._staff: Compare | None = None
        self._session: str | None = None
        self._verified: Compare | None = None
        self._session_person: Literal["here", "away", "other"] | None = None
        self._tracks: list[_Track] = []
        self._looks = 0
        self._looked_s = 0.0
        self._is_news = False
        """Whether what is to be told changed without a look."""
        self._told: Present | None = None

    def know(self, staff: Compare | None) -> None:
        """Look for people among these from now on; None: nobody can be looked for."""
        self._staff, self._is_news = staff, True
        for track in self._tracks:
            track.staff, track.due_s = _Belief(), 0.0

    def verified(self, session: str, person: Compare) -> None:
        """Watch from now on whether the person of a session is there."""
        self._session, self._verified, self._session_person = session, person, "here"
        self._is_news = True
        for track in self._tracks:
            track.verified, track.due_s = _Belief(), 0.0

    def forget(self, session: str) -> None:
        """Forget the person of a session."""
        if session == self._session:
            self._session = self._verified = self._session_person = None
            self._is_news = True

    def blind(self) -> None:
        """Nothing is seen any more: what comes then is told anew."""
        self._tracks, self._looks, self._told = [], 0, None

    def wants_look(self, now_s: float) -> bool:
        """Whether a look could change what is known although nothing moves."""
        if self._is_news or self._looks < _THERE_LOOKS:
            return True
        if any(self._is_open(track, now_s) for track in self._tracks):
            return True
        return bool(self._tracks) and now_s - self._looked_s >= _REVISIT_S

    def take(
        self, picture: Picture, faces: Sequence[Face], now_s: float, *, embed: bool = True
    ) -> Present | None:
        """Take a look at a frame, in which these faces were found; tells what has changed.

        ``embed``: whether there is time to make a template.
        """
        self._looks += 1
        self._looked_s, self._is_news = now_s, False
        self._follow(faces, now_s)
        if embed:
            self._recognise(picture, now_s)
        if self._looks < _THERE_LOOKS:
            return None
        present = self._present(now_s)
        if present == self._told:
            return None
        self._told = present
        return present

    def _is_open(self, track: _Track, now_s: float) -> bool:
        unknown = self._staff is not None and track.staff.value is None
        unsure = self._verified is not None and track.verified.value is None
        may_be_other = track.verified.value is False and self._session_person != "other"
        return (
            track.looks < _THERE_LOOKS
            or track.missed_s is not None
            or ((unknown or unsure or may_be_other) and now_s - track.begun_s < _TRY_S)
        )

    def _follow(self, faces: Sequence[Face], now_s: float) -> None:
        known = list(self._tracks)
        for face in sorted(faces, key=lambda face: -face.width):
            near = [track for track in known if track.can_be(face, now_s)]
            if not near:
                self._tracks.append(_Track(face, now_s, now_s))
                continue
            track = min(near, key=lambda track: distance(track.face, face))
            known.remove(track)
            track.face, track.seen_s, track.missed_s = face, now_s, None
            track.looks += 1
        for track in known:
            if track.missed_s is None:
                track.missed_s = now_s
            elif now_s - track.missed_s >= _GONE_S:
                self._tracks.remove(track)

    def _recognise(self, picture: Picture, now_s: float) -> None:
        """Make a template of the face that is due, the largest of several."""
        if self._staff is None and self._verified is None:
            return
        due = [one for one in self._tracks if one.seen_s == now_s and one.due_s <= now_s]
        for track in sorted(due, key=lambda track: -track.face.width):
            if self._faces.judge(picture, track.face).is_good:
                self._find(track, self._faces.template(picture, track.face), now_s)
                return
            track.due_s = now_s + _UNDECIDED_S

    def _find(self, track: _Track, template: Template, now_s: float) -> None:
        if self._staff is not None:
            compared = self._staff(template)
            if compared.outcome != "refer":
                track.staff.find(compared.enrolment or "", now_s)
        if self._verified is not None:
            outcome = self._verified(template).outcome
            if outcome != "refer":
                track.verified.find(outcome == "match", now_s)
        is_open = self._is_open(track, now_s)
        track.due_s = now_s + (_UNDECIDED_S if is_open else _DECIDED_S)

    def _present(self, now_s: float) -> Present:
        there = [track for track in self._tracks if track.looks >= _THERE_LOOKS]
        self._session_person = self._judge_session(there, now_s)
        staff = {track.staff.value for track in there if track.staff.value}
        return Present(
            faces=len(there),
            staff=tuple(sorted(staff)),
            others=sum(track.staff.value == "" for track in there),
            session=self._session,
            session_person=self._session_person,
        )

    def _judge_session(
        self, there: Sequence[_Track], now_s: float
    ) -> Literal["here", "away", "other"] | None:
        if self._session is None:
            return None
        if any(track.verified.value for track in there):
            return "here"
        if any(track.verified.value is None for track in there):
            return self._session_person
        if len(there) != 1:
            return "away"
        is_sure = now_s - there[0].verified.since_s >= _OTHER_S
        return "other" if is_sure else self._session_person
