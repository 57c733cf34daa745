"""Plates as a detector and a reader would give them."""

from collections.abc import Mapping

from vision.plates.plate import Character, Colour, Detection, Plate, Reading


def reading(
    text: str,
    confidence: float = 0.95,
    *,
    doubtful: Mapping[int, float] | None = None,
    colour: Colour = "blue",
    rows: int = 1,
    absence: float = 0.99,
) -> Reading:
    """Make a reading; ``doubtful`` gives single places another confidence."""
    return Reading(
        characters=tuple(
            Character(character, (doubtful or {}).get(place, confidence))
            for place, character in enumerate(text)
        ),
        colour=colour,
        colour_confidence=0.95,
        rows=1 if rows == 1 else 2,
        absence=absence,
    )


def plate(read: Reading, x: float, y: float = 300, width: float = 100) -> Plate:
    """Put a reading into a picture, its plate centred at ``x``, ``y``."""
    half, height = width / 2, width * 0.16
    return Plate(
        Detection(
            (
                (x - half, y - height),
                (x + half, y - height),
                (x + half, y + height),
                (x - half, y + height),
            ),
            0.9,
        ),
        read,
    )
