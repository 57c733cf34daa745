"""What a process that looks at a camera's frames says of itself: one JSON object a line."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class LifeReport(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Opened(LifeReport):
    """The models are loaded."""

    kind: Literal["opened"] = "opened"
    detector: str


class Beat(LifeReport):
    """A sign of life, about once a second; counts are since the process started."""

    kind: Literal["beat"] = "beat"
    looks: int
    look_ms: float | None = None
    """Of the newest look."""
    rss_bytes: int


class Failed(LifeReport):
    """The last word of a process that gives up."""

    kind: Literal["failed"] = "failed"
    reason: Literal["model", "crashed"]
    """``model``: what is installed or set is at fault, and another try soon would end the same."""
    text: Annotated[str, Field(max_length=1024)]
