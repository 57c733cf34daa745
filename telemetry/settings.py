"""Settings of the outbox and the link. Every default works."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contract.topics import DEFAULT_ROOT

Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """One table of the settings file: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OutboxSettings(Section):
    """How much is kept while the line is down, and how it is sent afterwards."""

    max_rows: int = Field(default=200_000, ge=100)
    max_mib: int = Field(default=256, ge=4, description="Database and its log together.")
    disk_floor_mib: int = Field(
        default=64, ge=0, description="Free space that is left to others on the file system."
    )
    in_flight: int = Field(default=200, ge=1, le=60_000, description="Sent, not yet acknowledged.")
    backlog_per_s: int = Field(
        default=500, ge=0, description="Old messages a second beside the live ones; 0: no limit."
    )
    release: Literal["puback", "watermark"] = Field(
        default="puback", description="What frees a stored message: PUBACK, or the centre's word."
    )


class TlsSettings(Section):
    """Files in PEM form. An empty table takes those that ``kiosk-agent provision`` keeps."""

    ca: Path | None = Field(
        default=None, description="Default: the provisioned roots, else the system's."
    )
    certificate: Path | None = Field(
        default=None, description="Default: the provisioned certificate, where there is one."
    )
    key: Path | None = None

    @model_validator(mode="after")
    def _both(self) -> "TlsSettings":
        if (self.certificate is None) != (self.key is None):
            msg = "a client certificate needs both 'certificate' and 'key'"
            raise ValueError(msg)
        return self


class LinkSettings(Section):
    """The broker and how to reach it."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65535)
    root: str = DEFAULT_ROOT
    username: str | None = Field(default=None, description="Default: the kiosk's id.")
    password_file: Path | None = Field(default=None, description="One line; never in this file.")
    tls: TlsSettings | None = None
    websocket_path: str | None = Field(default=None, description="Such as /mqtt; default: TCP.")
    keepalive_s: int = Field(default=30, ge=5, le=3600)
    session_expiry_s: int = Field(default=7 * 86_400, ge=0, lt=2**32)
    will_delay_s: int = Field(default=30, ge=0, le=86_400)
    connect_timeout_s: Seconds = Field(default=15.0, le=120)
    reconnect_min_s: Seconds = Field(default=1.0, le=3600)
    reconnect_max_s: Seconds = Field(
        default=300.0, le=3600, description="With a longer one nobody could push a shorter one."
    )

    @model_validator(mode="after")
    def _pauses_in_order(self) -> "LinkSettings":
        if self.reconnect_max_s < self.reconnect_min_s:
            msg = "reconnect_max_s must not be below reconnect_min_s"
            raise ValueError(msg)
        return self
