"""What the agent asks of a plate process, and what it is told: one JSON object a line."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vision import life
from vision.life import Beat, Failed, LifeReport
from vision.plates.plate import Reading
from vision.plates.settings import CameraPlateSettings, PlateSettings


class PlateOrder(BaseModel):
    """One camera whose plates are to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: Path
    """Where its newest frame lies (``FrameReader``)."""
    settings: CameraPlateSettings
    plates: PlateSettings


class Opened(life.Opened):
    """The models are loaded."""

    reader: str


class Seen(LifeReport):
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


Report = Opened | Beat | Seen | Failed

_reports: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_report(line: bytes) -> Report:
    """Read one line.

    Raises:
        ValueError: it is no report.
    """
    return _reports.validate_json(line)
