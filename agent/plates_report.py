"""What ``kiosk-agent plates --json`` says of a plate: plain JSON, its keys a contract.

A plate is readable where every character is as sure as the limit, that none is missing, and where
they are no mere piece of a plate.
Another has no text and no class: what is known of it stands in ``known``, with ``?`` for the
characters that are not.
"""

from typing import Any

from vision.plates.grammar import judge
from vision.plates.passage import Passage
from vision.plates.plate import Character, Plate, Quad, Reading

Record = dict[str, Any]
_SHORTEST = 5
"""Characters; less is a piece of a plate."""


def picture_record(file: str, plates: list[Plate], *, min_character: float, ms: float) -> Record:
    """Describe the plates of one picture; readable ones first, of these the largest."""
    records = [_plate_record(plate, min_character) for plate in plates]
    records.sort(key=lambda record: (record["readable"], _area(record["corners"])), reverse=True)
    return {"file": file, "plates": records, "ms": round(ms, 2)}


def passage_record(source: str, passage: Passage) -> Record:
    """Describe one passage of a video."""
    reading, legible = passage.reading, passage.legible
    return {
        "file": source,
        "begin_s": round(passage.begin_s, 3),
        "end_s": round(passage.end_s, 3),
        **_reading_record(reading, known=passage.known, readable=legible),
        "corners": _corners(passage.best),
        "width_px": round(passage.width_px),
        "views": passage.views,
        "frames": passage.frames,
    }


def _plate_record(plate: Plate, min_character: float) -> Record:
    reading = plate.reading
    known = "".join(
        character.text if character.confidence >= min_character else "?"
        for character in reading.characters
    )
    least = min(reading.min_confidence, reading.absence)
    sure = len(known) >= _SHORTEST and least >= min_character
    return {
        **_reading_record(reading, known=known, readable=sure),
        "score": round(plate.detection.score, 4),
        "corners": _corners(plate.detection.corners),
    }


def _reading_record(reading: Reading, *, known: str, readable: bool) -> Record:
    text = reading.text if readable else ""
    verdict = judge(text, reading.colour, reading.rows)
    return {
        "text": text,
        "known": known,
        "readable": readable,
        "confidence": round(reading.confidence, 4),
        "min_confidence": round(reading.min_confidence, 4),
        "class": verdict.code,
        "kind": verdict.kind,
        "well_formed": verdict.well_formed,
        "doubts": list(verdict.doubts),
        "colour": reading.colour,
        "colour_confidence": round(reading.colour_confidence, 4),
        "rows": reading.rows,
        "characters": [_character_record(character) for character in reading.characters],
    }


def _character_record(character: Character) -> Record:
    return {
        "text": character.text,
        "confidence": round(character.confidence, 4),
        "alternatives": [[text, round(share, 4)] for text, share in character.alternatives],
    }


def _corners(quad: Quad) -> list[list[float]]:
    return [[round(x, 1), round(y, 1)] for x, y in quad]


def _area(corners: list[list[float]]) -> float:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    return abs((cx - ax) * (dy - by) - (dx - bx) * (cy - ay)) / 2
