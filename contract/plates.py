"""Number plates: what was read, and what was looked for. One event a vehicle, not a frame."""

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from contract.message import Event, Priority
from contract.wire import Name, UtcTime, WireModel

STATISTICS = "statistics"
"""The purpose of events without plain text."""

_SEPARATORS = re.compile(r"[\s·•.\-]+")
_TEXT = re.compile(r"[0-9A-Z\u4e00-\u9fff]{4,10}")


def plain_plate(text: str) -> str:
    """Return a plate's text as it is compared: without separators, in full capitals.

    Raises:
        ValueError: no plate has such a text.
    """
    plain = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text)).upper()
    if not _TEXT.fullmatch(plain):
        msg = "a plate has 4 to 10 letters, digits and Chinese characters"
        raise ValueError(msg)
    return plain


PlateText = Annotated[str, StringConstraints(max_length=32), AfterValidator(plain_plate)]
"""A whole plate in plain text."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A calibrated probability."""
Purpose = Annotated[str, StringConstraints(min_length=1, max_length=120)]
"""What personal data are used for, in a few words."""

ModelName = Annotated[str, StringConstraints(max_length=120)]
"""Model and version."""

Colour = Literal["blue", "yellow", "green", "yellow_green", "white", "black"]


class Alternative(WireModel):
    """What a doubtful character could be, too."""

    text: Annotated[str, StringConstraints(max_length=1)] = Field(
        description="Empty: there may be no character."
    )
    confidence: Share


class DoubtfulCharacter(WireModel):
    """The runners-up of one character."""

    position: int = Field(ge=0, lt=16, description="In `confidences`, from 0.")
    alternatives: tuple[Alternative, ...] = Field(max_length=8, description="Best first.")


class PlateRead(Event, kind="plate.read"):
    """A vehicle passed, and its plate was read, or could not be."""

    camera: Name
    begin: UtcTime = Field(description="First seen.")
    end: UtcTime = Field(description="Last seen.")
    duration_s: float
    purpose: Purpose = Field(
        description="`statistics`, or what the kiosk's settings state: then there is plain text."
    )
    readable: bool = Field(description="Whether every character is sure enough.")
    pseudonym: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = Field(
        default=None,
        description="The same for the same text and purpose, as long as the key id is the same. "
        "Only where the plate is readable.",
    )
    pseudonym_key_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")] | None = None
    text: PlateText | None = Field(
        default=None, description="Only with a stated purpose, and where the plate is readable."
    )
    partial: Annotated[str, StringConstraints(max_length=16)] | None = Field(
        default=None,
        description="Only with a stated purpose: the sure characters of an unreadable plate, `?` "
        "for each other one.",
    )
    kind: Name = Field(description="By its grammar, such as `civil`, `nev_small`, `other`.")
    class_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")] = Field(
        description="Of the traffic police: 02 small, 52 small new-energy, 99 other."
    )
    well_formed: bool = Field(description="Whether the text keeps to the grammar of its class.")
    doubts: tuple[Name, ...] = Field(
        default=(),
        max_length=8,
        description="What the plate looks like that its kind does not: colour, rows.",
    )
    colour: Colour
    colour_confidence: Share
    rows: Literal[1, 2]
    confidences: tuple[Share, ...] = Field(max_length=16, description="One a character, in order.")
    min_confidence: Share = Field(description="The lowest of them: what decides.")
    alternatives: tuple[DoubtfulCharacter, ...] = Field(
        default=(), max_length=16, description="Only with a stated purpose."
    )
    width_px: int = Field(ge=0, description="Of the plate where it was seen largest.")
    views: int = Field(ge=1, description="Frames that the text was fused from.")
    detector: ModelName
    reader: ModelName


class PlateHit(Event, kind="plate.hit", priority=Priority.ALARM):
    """A plate on a watch list was seen; told once a passage, as soon as it is sure."""

    camera: Name
    watch_list: Name
    purpose: Purpose = Field(description="Of the list.")
    code: Name = Field(description="Why the plate is on the list.")
    text: PlateText = Field(description="As it is on the list.")
    match: Literal["exact", "near"] = Field(
        description="near: one doubtful character reads otherwise, or is not sure."
    )
    read: Annotated[str, StringConstraints(max_length=16)] = Field(description="As it was read.")
    min_confidence: Share
    views: int = Field(ge=1)
    begin: UtcTime = Field(description="First seen.")
    expires: UtcTime = Field(description="When the list ends.")
