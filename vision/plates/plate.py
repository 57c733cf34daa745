"""What is known of a plate: where it is, what it says, and how sure that is."""

from dataclasses import dataclass
from typing import Literal

Colour = Literal["blue", "yellow", "green", "yellow_green", "white", "black"]
COLOURS: tuple[Colour, ...] = ("blue", "yellow", "green", "yellow_green", "white", "black")
"""In the order of the reader's classes. ``green`` is the fading green of small new-energy cars."""

Point = tuple[float, float]
"""x to the right, y down, in pixels."""
Quad = tuple[Point, Point, Point, Point]
"""The plate's corners as its reader sees them: top left, top right, bottom right, bottom left."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A plate found in a picture."""

    corners: Quad
    score: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Character:
    """One character read, with the runners-up."""

    text: str
    confidence: float
    """Calibrated probability, 0 to 1."""
    alternatives: tuple[tuple[str, float], ...] = ()
    """The next likely readings, best first; the empty text says "no character here"."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader makes of one rectified plate."""

    characters: tuple[Character, ...]
    colour: Colour
    colour_confidence: float
    rows: Literal[1, 2]
    absence: float = 1.0
    """Confidence that nothing follows the last character."""

    @property
    def text(self) -> str:
        """All characters, left to right, top to bottom, without separators."""
        return "".join(character.text for character in self.characters)

    @property
    def min_confidence(self) -> float:
        """The lowest confidence: what decides whether a reading counts."""
        return min((character.confidence for character in self.characters), default=0.0)

    @property
    def confidence(self) -> float:
        """Probability that the whole text is right, its characters taken as independent."""
        product = self.absence if self.characters else 0.0
        for character in self.characters:
            product *= character.confidence
        return product


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate found and read."""

    detection: Detection
    reading: Reading
