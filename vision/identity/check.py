"""One check of the person before a camera, as its frames come. Knows nothing of processes.

Several good frames of one person are combined before anything is decided. Where a challenge is
asked for, frames from before, between and after its movements are among them, and all must show
the same person: who answers the challenge is who is compared.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from vision.identity.base import Picture, Template
from vision.identity.chain import merge
from vision.identity.comparison import Compare, Compared, Scale
from vision.identity.face import Face, Quality
from vision.identity.hints import Hints
from vision.identity.reasons import Reason, Step
from vision.identity.report import Answered, Enrol, Hint, Identify, Outcome, Verify
from vision.identity.track import foreground
from vision.identity.witness import Witness

_GAP_S = 0.3
"""Between two frames that are compared: neighbours show the same noise."""
_LOST_S = 1.5
"""Without the face for so long: another person may have come."""
_ENOUGH: dict[Outcome, tuple[int, float]] = {
    "match": (3, 0.6),
    "no_match": (5, 1.5),
    "refer": (8, 3.0),
}
"""Frames, and seconds that they must span: what one poor frame might cause takes more of them."""
_ENOUGH_TO_ENROL = 5, 1.5
_ALWAYS: frozenset[Reason] = frozenset({"no_face", "several_faces"})


class Faces(Scale, Protocol):
    """Judges faces and makes templates of them (:class:`vision.identity.chain.Chain`)."""

    def judge(self, picture: Picture, face: Face) -> Quality:
        """Say whether a face will do."""
        ...

    def template(self, picture: Picture, face: Face) -> Template:
        """Make a template of a face."""
        ...


class Check:
    """One check, fed with looks.

    Args:
        ask: what is asked.
        compare: what the person is compared with.
        chain: judges faces and makes templates.
        witness: makes what sees to it that a living person stands there, for each person anew.
        begun_s: now, in seconds of the clock of the frames.
    """

    def __init__(
        self,
        ask: Verify | Identify | Enrol,
        *,
        compare: Compare,
        chain: Faces,
        witness: Callable[[], Witness],
        begun_s: float,
    ) -> None:
        self.id = ask.id
        self._is_enrolment = isinstance(ask, Enrol)
        self._until_s = begun_s + ask.limit_s
        self._compare = compare
        self._chain = chain
        self._make_witness = witness
        self._begun_s = begun_s
        self._hints = Hints(ask.id)
        self._reasons: tuple[Reason, ...] = ("no_face",)
        self._seen_s = begun_s
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._witness = self._make_witness()
        self._frames: list[tuple[float, Template]] = []
        self._phase: tuple[Step | None, int] | None = None

    @property
    def template(self) -> Template:
        """Of the person who was compared. Raises ``ValueError``: there was none."""
        return merge([template for _, template in self._frames])

    def take(self, picture: Picture, faces: Sequence[Face], now_s: float) -> Answered | Hint | None:
        """Take a look at a frame, in which these faces were found; say what comes of it."""
        if now_s >= self._until_s:
            return self.refer(*self._reasons, "timeout", now_s=now_s)
        front = foreground(faces)
        face = front[0] if len(front) == 1 else None
        if face is None:
            self._reasons = ("several_faces",) if front else ("no_face",)
        else:
            self._reasons = self._chain.judge(picture, face).reasons
            if now_s - self._seen_s > _LOST_S:
                self._begin_anew()
            self._seen_s = now_s
        if not self._follow(picture, face, now_s):
            return self.refer("challenge_failed", now_s=now_s)
        if self._witness.failure:
            return self.refer(self._witness.failure, now_s=now_s)
        return self._decide(now_s) or self._hint(now_s)

    def refer(self, *reasons: Reason, now_s: float) -> Answered:
        """End it without a decision."""
        return self._answer(Compared("refer", tuple(dict.fromkeys(reasons))), now_s)

    def _follow(self, picture: Picture, face: Face | None, now_s: float) -> bool:
        """Take a look at the person; returns False where it is not the same one any more."""
        witness, clear = self._witness, face is not None and not self._reasons
        template = None
        if face is not None and clear and self._is_due(now_s):
            template = self._chain.template(picture, face)
            if not self._is_of_person(template):
                if witness.is_under_way:
                    return False
                self._begin_anew()
                witness = self._witness
            self._frames.append((now_s, template))
            self._phase = witness.step, witness.steps_left
        if not self._frames:
            return True
        step = witness.step
        witness.update(picture, face, now_s, clear=clear)
        # Of who turned, the frame that has shown it: a face that is held up turns back in time.
        has_turned = step in {"turn_left", "turn_right"} and witness.step != step
        return (
            face is None
            or not has_turned
            or template is not None  # it was compared just now
            or self._is_of_person(self._chain.template(picture, face))
        )

    def _is_due(self, now_s: float) -> bool:
        """Whether the next good frame is to be compared: one of each step, and one now and then."""
        phase = self._witness.step, self._witness.steps_left
        return not self._frames or phase != self._phase or now_s - self._frames[-1][0] >= _GAP_S

    def _is_of_person(self, template: Template) -> bool:
        if not self._frames:
            return True
        similarity = self._chain.similarity(self.template, template)
        return self._chain.outcome(similarity) != "no_match"

    def _decide(self, now_s: float) -> Answered | None:
        witness, frames = self._witness, self._frames
        has_last_look = self._phase == (witness.step, witness.steps_left)
        if not (frames and witness.is_done and has_last_look):
            return None
        compared = self._compare(self.template)
        count, span_s = _ENOUGH_TO_ENROL if self._is_enrolment else _ENOUGH[compared.outcome]
        if len(frames) < count or frames[-1][0] - frames[0][0] < span_s:
            return None
        signs = witness.signs()
        return self.refer(*signs, now_s=now_s) if signs else self._answer(compared, now_s)

    def _hint(self, now_s: float) -> Hint | None:
        witness, reasons = self._witness, self._reasons
        step, left = (witness.step, witness.steps_left) if self._frames else (None, 0)
        if self._frames and witness.is_done and self._phase != (step, left):
            step = "look"
        if step not in {None, "look"}:  # who moves cannot look straight and hold still
            reasons = tuple(reason for reason in reasons if reason in _ALWAYS)
        return self._hints.update(reasons, step, left, now_s)

    def _answer(self, compared: Compared, now_s: float) -> Answered:
        return Answered(
            id=self.id,
            outcome=compared.outcome,
            reasons=compared.reasons,
            similarity=compared.similarity,
            enrolment=compared.enrolment,
            template=compared.template,
            frames=len(self._frames),
            took_ms=max(0, round((now_s - self._begun_s) * 1000)),
        )
