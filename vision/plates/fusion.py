"""Several looks at one plate made one reading."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from vision.plates.plate import Character, Colour, Reading

_Choice = TypeVar("_Choice", bound=str | int)

FULL_WIDTH_PX = 120.0
"""From this plate width on a view has its full weight; below it the weight falls in proportion."""
CORRELATION = 0.5
"""Between the errors of any two views of one passage: light, dirt and reader are the same."""
FLOOR = 0.02
"""The least probability that a view leaves to anything: no single view can rule a character out."""
_MOST_ALTERNATIVES = 3
_LEAST_ALTERNATIVE = 0.01


@dataclass(frozen=True, slots=True)
class View:
    """One look at a plate."""

    reading: Reading
    width_px: float
    """Length of the plate's upper edge."""

    @property
    def weight(self) -> float:
        """0 to 1, by size."""
        return min(1.0, self.width_px / FULL_WIDTH_PX)


def fuse(views: Sequence[View]) -> Reading:
    """Make one reading of the views of one plate; a single view is its own reading.

    The length is decided first, between the lengths that were read; then each character
    between those that the views of this length have at its place. Either way by the
    weighted mean of the log-probabilities that the views give a choice, where a choice that
    a view does not name gets what the view leaves over, at least :data:`FLOOR`.

    How sure the result is: that mean counts as often as there are independent views. ``n``
    views whose errors correlate by ``r`` (:data:`CORRELATION`) are ``n / (1 + (n - 1) r)``
    independent ones: never more than ``1 / r``, however often a parked car is seen. The
    absence of the result is the probability of its length.

    Args:
        views: at least one.
    """
    if len(views) == 1:
        return views[0].reading
    colour, colour_confidence = _colour(views)
    rows = _rows(views)
    read = [view for view in views if view.reading.characters]
    if not read:
        return Reading((), colour, colour_confidence, rows)
    length, absence = _length(read)
    fitting = [view for view in read if len(view.reading.characters) == length]
    characters = tuple(
        _character([(view.weight, view.reading.characters[place]) for view in fitting])
        for place in range(length)
    )
    return Reading(characters, colour, colour_confidence, rows, absence)


def _length(views: Iterable[View]) -> tuple[int, float]:
    """Return the likeliest length and its probability; poorly read views count less."""
    votes: list[tuple[float, Mapping[int, float]]] = []
    for view in views:
        characters = view.reading.characters
        there = view.reading.absence
        for character in characters:
            there *= 1 - dict(character.alternatives).get("", 0.0)
        legibility = sum(each.confidence for each in characters) / len(characters)
        votes.append((view.weight * legibility, {len(characters): there}))
    return _best(_pool(votes))


def _character(votes: Iterable[tuple[float, Character]]) -> Character:
    pooled = _pool(
        [
            (weight, {**dict(character.alternatives), character.text: character.confidence})
            for weight, character in votes
        ]
    )
    # Whether a character is there at all was decided with the length.
    text, confidence = _best({text: p for text, p in pooled.items() if text})
    others = sorted(((p, other) for other, p in pooled.items() if other != text), reverse=True)
    alternatives = tuple(
        (other, p) for p, other in others[:_MOST_ALTERNATIVES] if p >= _LEAST_ALTERNATIVE
    )
    return Character(text, confidence, alternatives)


def _colour(views: Iterable[View]) -> tuple[Colour, float]:
    votes = [(v.weight, {v.reading.colour: v.reading.colour_confidence}) for v in views]
    return _best(_pool(votes))


def _rows(views: Iterable[View]) -> Literal[1, 2]:
    lead = sum(view.weight * (1 if view.reading.rows == 1 else -1) for view in views)
    return 1 if lead >= 0 else 2


def _pool(votes: Sequence[tuple[float, Mapping[_Choice, float]]]) -> dict[_Choice, float]:
    """Return the probability of each choice that a vote names, by the rule of :func:`fuse`.

    One more choice, which stands for all that nobody names, keeps its share.
    """
    total = sum(weight for weight, _ in votes) or 1.0
    count = total**2 / (sum(weight**2 for weight, _ in votes) or 1.0)
    independent = count / (1 + (count - 1) * CORRELATION)
    names = dict.fromkeys(name for _, named in votes for name in named)
    logs = dict.fromkeys(names, 0.0)
    unnamed = 0.0
    for weight, named in votes:
        factor = independent * weight / total
        left_over = max(1 - sum(named.values()), FLOOR)
        unnamed += factor * math.log(left_over)
        for name in names:
            logs[name] += factor * math.log(max(named.get(name, left_over), FLOOR))
    top = max(unnamed, *logs.values())
    scores = {name: math.exp(log - top) for name, log in logs.items()}
    whole = sum(scores.values()) + math.exp(unnamed - top)
    return {name: score / whole for name, score in scores.items()}


def _best(choices: Mapping[_Choice, float]) -> tuple[_Choice, float]:
    """Return the likeliest choice; of equals the first."""
    name = max(choices, key=choices.__getitem__)
    return name, choices[name]
