"""What the agent asks of a plate process, and what it is told: one JSON object a line."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vision.plates.plate import Reading
from vision.plates.settings import CameraPlateSettings, PlateSettings


class PlateOrder(BaseModel):
    """One camera whose plates are to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: Path
    """Where its newest frame lies (``FrameReader``)."""
    settings: CameraPlateSettings
    plates: PlateSettings


class _Report(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Opened(_Report):
    """The models are loaded."""

    kind: Literal["opened"] = "opened"
    detector: str
    reader: str


class Beat(_Report):
    """A sign of life, about once a second; counts are since the process started."""

    kind: Literal["beat"] = "beat"
    looks: int
    look_ms: float | None = None
    """Of the newest look."""
    rss_bytes: int


class Seen(_Report):
    """A vehicle's plate: as soon as it is sure, and once when the vehicle has left."""

    kind: Literal["seen"] = "seen"
    number: int
    """The same for all that is said of one passage; others follow it."""
    begin_ms: int
    """Milliseconds since boot, as in every stamp."""
    end_ms: int
    final: bool
    """Whether this is the report of the passage; early words come before it."""
    reading: Reading
    doubtful: tuple[int, ...]
    """Places of the characters that are not sure; the place after the last one stands for the
    number of characters."""
    width_px: int
    views: int


class Failed(_Report):
    """The last word of a process that gives up."""

    kind: Literal["failed"] = "failed"
    reason: Literal["model", "crashed"]
    """``model``: what is installed or set is at fault, and another try soon would end the same."""
    text: Annotated[str, Field(max_length=1024)]


Report = Opened | Beat | Seen | Failed

_reports: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_report(line: bytes) -> Report:
    """Read one line.

    Raises:
        ValueError: it is no report.
    """
    return _reports.validate_json(line)
