"""Settings of identity checks. Every default works; without ``enabled`` no face is compared."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from vision.section import Section

Liveness = Literal["off", "passive", "challenge"]


class CameraIdentitySettings(Section):
    """Whether the faces before one camera are compared."""

    enabled: bool = False
    per_s: float = Field(
        default=2.0, gt=0, le=25, description="Looks a second for staff while something moves."
    )
    check_per_s: float = Field(
        default=10.0, gt=0, le=25, description="Looks a second while somebody is being checked."
    )


class IdentitySettings(Section):
    """Identity checks on the whole kiosk: models, limits, and how long templates are kept."""

    models: Path | None = Field(
        default=None, description="A list of models of your own: docs/identity.md."
    )
    threads: int = Field(default=1, ge=1, le=16, description="Of each camera's process.")
    liveness: Liveness = Field(
        default="challenge",
        description="How a person shows to be there: challenge asks for movements, passive only "
        "looks, off trusts that somebody watches.",
    )
    time_limit_s: float = Field(default=25.0, ge=3, le=120, description="Of one check.")
    template_days: int = Field(
        default=365, ge=1, le=1096, description="No enrolled person is kept for longer."
    )
    max_persons: int = Field(default=10_000, ge=1, le=50_000, description="Enrolled at most.")
    photo_decoder: Path | None = Field(
        default=None,
        description="A program that makes a JPEG, PNG or BMP (standard output) of the 1,024 bytes "
        "of an identity card's portrait (standard input).",
    )
