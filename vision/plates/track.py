"""One plate that is followed, and the passage that comes of it."""

import math
from dataclasses import dataclass

from vision.plates.fusion import View, fuse
from vision.plates.grammar import Verdict, judge
from vision.plates.likeness import Likeness, compare, legible
from vision.plates.plate import Plate, Point, Quad, Reading

_REACH = 1.5
"""How far from its expected place a plate may be, in plate widths."""
_FIRST_REACH = 4.0
"""The same while its velocity is unknown: 30 km/h at five frames a second."""
_SAME_PLACE = 0.8
"""A plate so near, in plate widths, is the same one also after a long time ..."""
_MISREAD_S = 1.0
"""... and with another text after a short one: no vehicle takes another's place so soon. What was
seen only once has no place to compare, and its whole reach counts."""
_SIZE_RATIO = 2.0
"""Between the widths of one plate in frames that follow each other, at most."""
_STRAYS = 3
"""So many misread frames in a row that agree with each other are no misreading."""
_MAX_ALARMS = 4
"""Texts of one passage that are told early, at most."""


@dataclass(frozen=True, slots=True)
class PassageRules:
    """When a passage ends, and what may be said of it."""

    min_character: float = 0.8
    """Every character must be as sure as this in the fused reading ..."""
    min_views: int = 2
    """... which so many views must give alike; one with fewer needs ..."""
    sure_character: float = 0.95
    """... every character as sure as this."""
    legible_character: float = 0.6
    """So sure is a character that counts as legible in one frame."""
    min_legible: int = 5
    """Legible characters in one frame, below which it is no plate."""
    gap_s: float = 1.5
    """A plate unseen for longer is no longer expected along its way."""
    end_s: float = 4.0
    """A passage ends when its plate is unseen for longer."""
    max_s: float = 20.0
    """A passage that lasts longer is reported then, not at its end."""
    hidden_s: float = 30.0
    """In place of :attr:`end_s` once reported: people walk before a parked car."""
    max_views: int = 8
    """The best views are kept for fusion."""
    max_tracks: int = 32
    """Plates followed at once; for one more, the one unseen for longest ends."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One vehicle's passage, or what is known of it so far."""

    number: int
    """Counts from 1; an early alarm and the passage's report have the same."""
    begin_s: float
    end_s: float
    """When its plate was last seen."""
    gone: bool
    """Whether it is over; a parked vehicle is reported while it stands."""
    reading: Reading
    """Fused. Of one that is not legible it is a guess, and no guess is to be told:
    :attr:`text` and :attr:`known` are."""
    doubtful: tuple[int, ...]
    """Places of the characters that are not sure; the place after the last one stands for the
    number of characters."""
    verdict: Verdict
    """Of the fused text, sure or not: so what may be suppressed is when in doubt."""
    width_px: float
    """The largest plate width."""
    views: int
    """Fused views."""
    frames: int
    """Frames in which it was seen."""
    best: Quad
    """Where the best view saw it."""
    last: Quad
    """Where it was seen last."""

    @property
    def legible(self) -> bool:
        """Whether the text may be told."""
        return bool(self.reading.characters) and not self.doubtful

    @property
    def text(self) -> str:
        """The text if legible, else empty."""
        return self.reading.text if self.legible else ""

    @property
    def known(self) -> str:
        """The text with ``?`` for each doubtful character."""
        return "".join(
            "?" if place in self.doubtful else character.text
            for place, character in enumerate(self.reading.characters)
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """A plate in one frame."""

    plate: Plate
    now: float
    """In seconds."""
    whole: bool
    """Within the picture, so that its reading counts."""
    centre: Point
    width_px: float
    quality: float
    """How good a view it is, 0 to 1: by the detector, its size and its worst character."""

    @classmethod
    def of(cls, plate: Plate, now: float, size: tuple[int, int]) -> "Sighting":
        """Measure a plate in a frame of ``size``, width and height."""
        corners = plate.detection.corners
        whole = all(0 <= x <= size[0] - 1 and 0 <= y <= size[1] - 1 for x, y in corners)
        centre = sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4
        top_left, top_right, bottom_right, bottom_left = corners
        width = max(math.dist(top_left, top_right), math.dist(bottom_left, bottom_right))
        weight = View(plate.reading, width).weight
        quality = plate.detection.score * weight * plate.reading.min_confidence
        return cls(plate, now, whole, centre, width, quality)

    @property
    def view(self) -> View:
        """What fusion needs of it."""
        return View(self.plate.reading, self.width_px)


class Track:
    """One plate that is followed. Keeps ``max_views`` sightings, however long it lasts."""

    def __init__(self, number: int, first: Sighting, rules: PassageRules) -> None:
        self.reported = False
        self.number = number
        self.begin_s = first.now
        self._rules = rules
        self.velocity: Point | None = None
        self.last = self.last_followed = first
        self.best: list[Sighting] = []
        self.reading: Reading | None = None
        self._agreeing = 0
        self.strays: list[Sighting] = []
        self.frames = 1
        self.width_px = 0.0
        self.legible_most = 0
        self.alarms: list[str] = []
        self._look(first)

    @property
    def last_s(self) -> float:
        """When it was last seen."""
        return self.last.now

    @property
    def is_plate(self) -> bool:
        """Whether it was ever legible enough to be one."""
        return self.legible_most >= self._rules.min_legible

    @property
    def established(self) -> bool:
        """Whether its text is more than one misread frame."""
        return self.reported or self._agreeing >= self._rules.min_views

    @property
    def strayed(self) -> bool:
        """Whether another text was read so often that it is no misread one."""
        same = Likeness.EQUAL, Likeness.CLOSE
        first, *others = (stray.plate.reading for stray in self.strays)
        agree = all(self._compare(first, other) in same for other in others)
        return len(self.strays) == _STRAYS and agree

    def lasts(self, now: float) -> bool:
        """Tell whether it has lasted so long that it is reported before its end."""
        return now - self.begin_s >= self._rules.max_s

    def ended(self, now: float) -> bool:
        """Tell whether its plate is unseen for too long."""
        return now - self.last_s > self._patience_s

    def fit(self, sighting: Sighting) -> tuple[Likeness, float] | None:
        """Tell how well a sighting on its way fits, the least best; None if it does not.

        The second number is the distance from the expected place, in plate widths.
        """
        unseen = sighting.now - self.last_s
        small, large = sorted((self.last.width_px, sighting.width_px))
        if large > small * _SIZE_RATIO or self.ended(sighting.now):
            return None
        distance = math.dist(self._expected(unseen), sighting.centre) / max(large, 1.0)
        reach = _REACH if self.velocity else _FIRST_REACH
        near = unseen <= self._rules.gap_s and distance <= reach
        there = distance <= _SAME_PLACE
        if not near and not there:
            return None
        likeness = self._likeness(sighting)
        misread = unseen <= _MISREAD_S and (there or not self.velocity)
        if likeness is Likeness.DIFFERENT and not misread:
            return None
        return likeness, distance

    def follow(self, sighting: Sighting) -> None:
        """Take a sighting of it."""
        self.strays.clear()
        self._move(sighting)
        self.last_followed = sighting
        self._look(sighting)

    def stray(self, sighting: Sighting) -> None:
        """Take a sighting at its place with another text, which does not count as a view."""
        self._move(sighting)
        self.strays = [*self.strays, sighting][-_STRAYS:]

    def give_up_strays(self) -> list[Sighting]:
        """Return the strays, and be as if they had not been taken."""
        strays, self.strays = self.strays, []
        self.last = self.last_followed
        self.frames -= len(strays)
        return strays

    def goes_on_in(self, later: "Track") -> bool:
        """Tell whether a track that began after this one broke off is of the same plate."""
        unseen = later.begin_s - self.last_s
        if unseen <= 0 or unseen > self._patience_s or not (self.reading and later.reading):
            return False
        likeness = self._compare(self.reading, later.reading)
        return likeness is Likeness.EQUAL or (
            likeness is Likeness.CLOSE and unseen <= self._rules.end_s
        )

    def join(self, later: "Track") -> None:
        """Go on with what a later track has."""
        self.reported |= later.reported
        self.velocity = later.velocity
        self.last, self.last_followed = later.last, later.last_followed
        self.strays = later.strays
        self.frames += later.frames
        self.width_px = max(self.width_px, later.width_px)
        self.legible_most = max(self.legible_most, later.legible_most)
        self.alarms = list(dict.fromkeys(self.alarms + later.alarms))[:_MAX_ALARMS]
        best = sorted(self.best + later.best, key=lambda each: each.quality, reverse=True)
        self.best = best[: self._rules.max_views]
        self._fuse()

    def alarm(self, text: str) -> bool:
        """Tell whether to alarm for a text: once each, within bounds."""
        if text in self.alarms or len(self.alarms) >= _MAX_ALARMS:
            return False
        self.alarms.append(text)
        return True

    def passage(self, *, gone: bool) -> Passage | None:
        """Return what is known; None before the plate was seen whole."""
        reading = self.reading
        if reading is None:
            return None
        agreed = self._agreeing >= self._rules.min_views
        gate = self._rules.min_character
        if not agreed:
            gate = max(gate, self._rules.sure_character)
        sure = [*(character.confidence for character in reading.characters), reading.absence]
        return Passage(
            number=self.number,
            begin_s=self.begin_s,
            end_s=self.last_s,
            gone=gone,
            reading=reading,
            doubtful=tuple(place for place, each in enumerate(sure) if each < gate),
            verdict=judge(reading.text, reading.colour, reading.rows),
            width_px=self.width_px,
            views=len(self.best),
            frames=self.frames,
            best=max(self.best, key=lambda each: each.quality).plate.detection.corners,
            last=self.last.plate.detection.corners,
        )

    @property
    def _patience_s(self) -> float:
        return self._rules.hidden_s if self.reported else self._rules.end_s

    def _likeness(self, sighting: Sighting) -> Likeness:
        if not sighting.whole or self.reading is None:
            return Likeness.UNKNOWN
        return self._compare(self.reading, sighting.plate.reading)

    def _compare(self, a: Reading, b: Reading) -> Likeness:
        rules = self._rules
        return compare(a, b, min_character=rules.legible_character, min_legible=rules.min_legible)

    def _expected(self, unseen: float) -> Point:
        x, y = self.last.centre
        if not self.velocity:
            return x, y
        seconds = min(unseen, self._rules.gap_s)
        return x + self.velocity[0] * seconds, y + self.velocity[1] * seconds

    def _move(self, sighting: Sighting) -> None:
        seconds = sighting.now - self.last_s
        if 0 < seconds <= self._rules.gap_s:
            (x0, y0), (x1, y1) = self.last.centre, sighting.centre
            x, y = (x1 - x0) / seconds, (y1 - y0) / seconds
            before = self.velocity or (x, y)
            self.velocity = (before[0] + x) / 2, (before[1] + y) / 2
        else:
            self.velocity = None
        self.last = sighting
        self.frames += 1

    def _look(self, sighting: Sighting) -> None:
        """Keep a sighting as a view if it is one of the best."""
        if not sighting.whole:
            return
        self.width_px = max(self.width_px, sighting.width_px)
        count = legible(sighting.plate.reading, self._rules.legible_character)
        self.legible_most = max(self.legible_most, count)
        if len(self.best) >= self._rules.max_views:
            worst = min(self.best, key=lambda each: each.quality)
            if sighting.quality <= worst.quality:
                return
            self.best.remove(worst)
        self.best.append(sighting)
        self._fuse()

    def _fuse(self) -> None:
        self.reading = fuse([each.view for each in self.best])
        text = self.reading.text
        self._agreeing = sum(each.plate.reading.text == text for each in self.best)
