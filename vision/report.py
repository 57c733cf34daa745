"""What a capture process tells the agent: one JSON object a line, within a size limit."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vision.hold import Phase

MAX_LINE_BYTES = 128 * 1024

Condition = Literal["black", "frozen", "blurred", "covered", "moved"]
LossReason = Literal["open_failed", "ended", "hung", "crashed"]


class _Report(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Opened(_Report):
    """The first frame is there."""

    kind: Literal["opened"] = "opened"
    width_px: int
    height_px: int


class Beat(_Report):
    """A sign of life, once a second; counts are since the process started."""

    kind: Literal["beat"] = "beat"
    frames: int
    frames_per_s: float
    frame_age_s: float
    decode_errors: int
    dropped: int
    rss_bytes: int


class Evidence(_Report):
    """What was measured on the analysis picture."""

    luma_mean: float
    luma_std: float
    sharpness: float
    sharpness_usual: float | None = None
    still_s: float
    scene_match: float | None = None


class Tampered(_Report):
    """A condition of the picture began or ended."""

    kind: Literal["tampered"] = "tampered"
    condition: Condition
    phase: Phase
    duration_s: float | None = None
    evidence: Evidence


class Moving(_Report):
    """Motion began or ended."""

    kind: Literal["moving"] = "moving"
    phase: Phase
    duration_s: float = 0.0
    area_percent: float
    """At the begin: now. At the end: the largest."""


class Present(_Report):
    """A person came to face the camera, or left."""

    kind: Literal["present"] = "present"
    phase: Phase
    duration_s: float = 0.0
    faces: int
    """At the begin: now. At the end: the most at once."""
    face_px: int
    """Width of the largest face, in pixels of the camera."""


class Learned(_Report):
    """The scene as learned so far: given back to the next process of this camera."""

    kind: Literal["learned"] = "learned"
    scene: Annotated[str, Field(max_length=MAX_LINE_BYTES - 1024)]


class Failed(_Report):
    """The last word of a process that gives up."""

    kind: Literal["failed"] = "failed"
    reason: LossReason
    text: Annotated[str, Field(max_length=1024)]


Finding = Tampered | Moving | Present
Report = Opened | Beat | Tampered | Moving | Present | Learned | Failed

_reports: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_report(line: bytes) -> Report:
    """Read one line.

    Raises:
        ValueError: it is no report.
    """
    return _reports.validate_json(line)
