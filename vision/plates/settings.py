"""Settings of plate reading. Every default works; without ``enabled`` no plate is read."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from vision.section import Section

Suppressible = Literal["military", "armed_police", "embassy"]
DetectorKind = Literal["builtin", "yolo-onnx", "ultralytics"]


class CameraPlateSettings(Section):
    """Whether the plates before one camera are read, and what for."""

    enabled: bool = False
    min_character: float = Field(
        default=0.8,
        ge=0.5,
        lt=1,
        description="A plate with a character less sure than this is unreadable.",
    )
    per_s: float = Field(
        default=4.0, gt=0, le=25, description="Frames a second looked at while something moves."
    )
    plain_text_purpose: Annotated[str, StringConstraints(max_length=120)] = Field(
        default="",
        description="What plain text is needed for, in a few words: events then carry it. Empty: "
        "they carry a pseudonym only.",
    )
    suppress: tuple[Suppressible, ...] = Field(
        default=("military", "armed_police", "embassy"),
        description="Classes of plates that are counted, and never told of.",
    )


class PlateSettings(Section):
    """Plate reading on the whole kiosk: its models, pseudonyms and watch lists."""

    detector: DetectorKind = Field(
        default="builtin",
        description="yolo-onnx, ultralytics: a YOLO model of yours, in `detector_file`.",
    )
    detector_file: Path | None = None
    threads: int = Field(default=1, ge=1, le=16, description="Of each camera's process.")
    rotation_days: float = Field(
        default=1.0, gt=0, le=31, description="So long a plate keeps its pseudonym."
    )
    event_days: int = Field(
        default=7,
        ge=1,
        le=366,
        description="Events of plates that could not be delivered for so long are deleted, and "
        "the loss is told.",
    )
    watch_list_days: int = Field(
        default=90, ge=1, le=366, description="No watch list may be for longer."
    )
    watch_list_entries: int = Field(
        default=5000, ge=1, le=20_000, description="Of all watch lists together."
    )

    @model_validator(mode="after")
    def _has_file(self) -> "PlateSettings":
        if self.detector != "builtin" and self.detector_file is None:
            msg = f"detector {self.detector} needs its detector_file, which a person on site names"
            raise ValueError(msg)
        return self
