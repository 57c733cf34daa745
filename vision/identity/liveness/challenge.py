"""The active challenge: movements in an order that nobody knows beforehand.

A turn is seen in where the nose stands between the eyes. A solid head that turns carries its nose
aside, because the nose lies before the eyes; a flat picture turned about its upright axis shrinks
eyes and nose alike and keeps the nose where it was. Only a flat picture that is tilted steeply
about a slanting axis (some 26 degrees) or bent moves it as far; that is left to the passive sign
``flat_motion``. What answers each step in time, such as a recording chosen on the spot or a
mask, passes.
"""

from collections import deque
from collections.abc import Sequence
from random import Random, SystemRandom
from statistics import fmean
from typing import NamedTuple

from vision.identity.face import Face, Point
from vision.identity.reasons import LivenessReason, Step

STEP_S = 8.0

_TURNED = 0.1
"""Of the eye distance, against the own straight look: some 20 degrees with dlib's landmarks, whose
nose is its base, and 14 with YuNet's, whose nose is its tip. They tremble by 0.02."""
_TURNED_AWAY = 0.16
"""To the wrong side: whoever only glances there is not lost."""
_STRAIGHT = 0.2
"""A first look straight at the camera: faces are not even, nor is the camera in the middle."""
_BACK = 0.08
"""A later one, against the first."""
_NEARER = 1.25
"""Of the eye distance of the straight look before it: from 60 cm to 48."""
_TREMBLE, _BREATHING = 0.06, 1.1
"""How far the looks that make a straight look may lie apart: nose, and eye distance as a ratio."""
_LOOKS = 3
"""That a straight look is made of."""
_SEEN_TWICE = 2
"""A movement counts once it was seen so often: one look may err."""
_LOST_S = 1.5
"""Without a face for so long: another person may have come."""
_LEAP, _LEAP_PER_S = 1.5, 8.0
"""In eye distances: no head moves so far from one look to the next."""
_GROWTH, _GROWTH_PER_S = 1.35, 1.0

_RANDOM = SystemRandom()
_ORDERS: tuple[tuple[Step, ...], ...] = (
    ("turn_left", "turn_right", "turn_left"),
    ("turn_right", "turn_left", "turn_right"),
    ("turn_left", "turn_right", "nearer"),
    ("turn_right", "turn_left", "nearer"),
    ("turn_left", "nearer", "turn_left"),
    ("turn_left", "nearer", "turn_right"),
    ("turn_right", "nearer", "turn_left"),
    ("turn_right", "nearer", "turn_right"),
    ("nearer", "turn_left", "turn_right"),
    ("nearer", "turn_right", "turn_left"),
)
"""No turn twice in a row, and nearer once: a person can do all of them with ease."""


class _Look(NamedTuple):
    at_s: float
    aside: float
    eyes: float
    middle: Point


def random_steps(rng: Random = _RANDOM) -> tuple[Step, ...]:
    """Choose what to ask for: one of ten orders, from the system's own randomness."""
    return rng.choice(_ORDERS)


def aside(face: Face) -> float:
    """Where the nose stands between the eyes, along their line, in eye distances.

    0 is the middle; it grows as the person turns to their own left. Raises ``ZeroDivisionError``:
    both eyes are at one place.
    """
    (rx, ry), (lx, ly) = face.right_eye, face.left_eye
    nx, ny = face.nose[0] - (rx + lx) / 2, face.nose[1] - (ry + ly) / 2
    return (nx * (lx - rx) + ny * (ly - ry)) / ((lx - rx) ** 2 + (ly - ry) ** 2)


class Challenge:
    """Follows one person through the steps; before each of them is a straight look.

    Times are seconds of any one clock and never fall. The step's time begins when the step is
    asked for, the first one's when a face is first seen. A face that is lost for long begins
    everything anew, within the same times: whoever comes then has nothing done yet. What was
    compared of a face belongs to the person of the challenge only where it was seen since
    :attr:`begun_s`.
    """

    def __init__(self, steps: Sequence[Step], *, step_s: float = STEP_S) -> None:
        self._steps: tuple[Step, ...] = tuple(s for step in steps for s in ("look", step))
        self._step_s = step_s
        self._at = 0
        self._asked_s: float | None = None
        self._last: _Look | None = None
        self._looks: deque[_Look] = deque(maxlen=_LOOKS)
        self._first: float | None = None
        self._neutral: tuple[float, float] | None = None
        self._right = self._wrong = 0
        self.failure: LivenessReason | None = None
        """Why it is over without success."""
        self.begun_s: float | None = None
        """Since when this one person was seen without a gap."""

    @property
    def step(self) -> Step | None:
        """What is asked for now; None: it is over."""
        return None if self.passed or self.failure else self._steps[self._at]

    @property
    def steps_left(self) -> int:
        """How many movements are still to be made, the present one included."""
        return (len(self._steps) - self._at + 1) // 2

    @property
    def passed(self) -> bool:
        """Whether every step was done."""
        return self._at == len(self._steps)

    def update(self, face: Face | None, now_s: float, *, clear: bool = True) -> None:
        """Take the one face that was seen at ``now_s``, or that none was.

        A straight look is made of ``clear`` ones only: in each of them the face can be compared.
        """
        if self.step is None:
            return
        if self._asked_s is not None and now_s - self._asked_s > self._step_s:
            self.failure = "challenge_timeout"
            return
        if self._last is not None and now_s - self._last.at_s > _LOST_S:
            self._begin_anew()
        if face is None or face.eye_distance <= 0:
            return
        look = _Look(now_s, aside(face), face.eye_distance, _middle(face))
        if self._last is not None and _leapt(self._last, look):
            self.failure = "challenge_failed"
            return
        if self._asked_s is None:
            self._asked_s = now_s
        if self.begun_s is None:
            self.begun_s = now_s
        self._last = look
        self._judge(look, clear=clear)

    def _judge(self, look: _Look, *, clear: bool) -> None:
        if self._neutral is None:
            if clear:
                self._looks.append(look)
                self._look_straight()
            return
        neutral, eyes = self._neutral
        turn = look.aside - neutral
        step = self._steps[self._at]
        if step == "nearer":
            self._right += look.eyes >= _NEARER * eyes and abs(turn) < _TURNED
        else:
            turn = turn if step == "turn_left" else -turn
            self._right += turn >= _TURNED
            self._wrong += turn <= -_TURNED_AWAY
        if self._wrong >= _SEEN_TWICE:
            self.failure = "challenge_failed"
        elif self._right >= _SEEN_TWICE:
            self._go_on(look.at_s)

    def _look_straight(self) -> None:
        nose, eyes = [look.aside for look in self._looks], [look.eyes for look in self._looks]
        middle, reach = (0.0, _STRAIGHT) if self._first is None else (self._first, _BACK)
        if (
            len(self._looks) == _LOOKS
            and max(nose) - min(nose) <= _TREMBLE
            and max(eyes) <= _BREATHING * min(eyes)
            and abs(fmean(nose) - middle) <= reach
        ):
            neutral = fmean(nose), fmean(eyes)
            if self._first is None:
                self._first = neutral[0]
            self._go_on(self._looks[-1].at_s)
            self._neutral = neutral

    def _go_on(self, now_s: float) -> None:
        self._at += 1
        self._asked_s = now_s
        self._neutral = None
        self._right = self._wrong = 0
        self._looks.clear()

    def _begin_anew(self) -> None:
        asked_s = self._asked_s
        self._go_on(0.0)
        self._at, self._asked_s = 0, asked_s
        self._last = self._first = self.begun_s = None


def _middle(face: Face) -> Point:
    (rx, ry), (lx, ly) = face.right_eye, face.left_eye
    return (rx + lx) / 2, (ry + ly) / 2


def _leapt(before: _Look, now: _Look) -> bool:
    passed_s = now.at_s - before.at_s
    (ax, ay), (bx, by) = before.middle, now.middle
    smaller, larger = sorted((before.eyes, now.eyes))
    moved = float(((ax - bx) ** 2 + (ay - by) ** 2) ** 0.5)
    return (
        moved > smaller * (_LEAP + _LEAP_PER_S * passed_s)
        or larger > (_GROWTH + _GROWTH_PER_S * passed_s) * smaller
    )
