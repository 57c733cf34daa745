"""Whether two readings may be of one plate."""

import itertools
from enum import IntEnum, auto

from vision.plates.plate import Character, Reading


class Likeness(IntEnum):
    """How far two readings agree, the most first."""

    EQUAL = auto()
    CLOSE = auto()
    """Off by no more than one sure character, or one lost."""
    UNKNOWN = auto()
    """One of them is too poor to tell."""
    DIFFERENT = auto()


def legible(reading: Reading, min_character: float) -> int:
    """Count the characters of at least this confidence."""
    return sum(character.confidence >= min_character for character in reading.characters)


def compare(a: Reading, b: Reading, *, min_character: float, min_legible: int) -> Likeness:
    """Compare two readings, of which one with fewer than ``min_legible`` characters says nothing.

    A character below ``min_character`` on either side makes half a difference.
    """
    if min(legible(a, min_character), legible(b, min_character)) < min_legible:
        return Likeness.UNKNOWN
    if a.text == b.text:
        return Likeness.EQUAL
    distance = _distance(a.characters, b.characters, min_character)
    if distance <= 1:
        return Likeness.CLOSE
    return Likeness.DIFFERENT if distance >= 2 else Likeness.UNKNOWN


def _distance(a: tuple[Character, ...], b: tuple[Character, ...], min_character: float) -> float:
    """Return the edit distance, doubtful characters at half the price."""
    prices_a, prices_b = (
        [1.0 if character.confidence >= min_character else 0.5 for character in characters]
        for characters in (a, b)
    )
    above = [0.0, *itertools.accumulate(prices_b)]
    for one, price in zip(a, prices_a, strict=True):
        row = [above[0] + price]
        for place, (other, other_price) in enumerate(zip(b, prices_b, strict=True)):
            swap = above[place] + (min(price, other_price) if one.text != other.text else 0.0)
            row.append(min(swap, above[place + 1] + price, row[-1] + other_price))
        above = row
    return above[-1]
