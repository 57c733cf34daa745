"""Settings of updates. Every default works."""

from pathlib import Path

from pydantic import Field, model_validator

from telemetry.settings import Section


class UpdateSettings(Section):
    """How a release of the agent gets here, and what it has to prove."""

    folder: Path | None = Field(
        default=None,
        description="Releases that are given as a file lie here; default: `update` in the state "
        "folder.",
    )
    keys: Path = Field(
        default=Path("/etc/kiosk-agent/release-keys.json"),
        description="The release keys that count here (JWK Set).",
    )
    roots: Path | None = Field(
        default=None,
        description="Certificates (PEM) that the server of releases is trusted by; default: the "
        "system's.",
    )
    max_mib: int = Field(default=2048, ge=1, description="Of a release, packed and unpacked.")
    confirm_s: float = Field(
        default=600.0,
        ge=1,
        le=86_400,
        description="A new release stays when it was online and well for so long without a break.",
    )
    deadline_s: float = Field(
        default=3600.0,
        ge=2,
        le=7 * 86_400,
        description="One that has not come so far by then goes back.",
    )
    max_starts: int = Field(
        default=3, ge=1, le=20, description="As does one that was started more often than this."
    )

    @model_validator(mode="after")
    def _can_be_confirmed(self) -> "UpdateSettings":
        if self.deadline_s <= self.confirm_s:
            msg = "deadline_s must be larger than confirm_s: nothing could ever be confirmed"
            raise ValueError(msg)
        return self
