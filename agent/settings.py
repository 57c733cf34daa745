"""The one settings file: TOML, with overrides from the environment. Every default works.

``KIOSK_AGENT_LINK__HOST=broker.example`` overrides ``host`` in ``[link]``. What the command
centre pushed lies between the two: over the file, under the environment.
"""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from agent.errors import SettingsError
from agent.id_card.settings import IdCardSettings
from agent.identity.cabinet import CabinetSettings
from agent.release.settings import UpdateSettings
from agent.service_user import STATE_FOLDER, is_service_user, service_user
from agent.supervision.settings import SupervisionSettings
from agent.toml_lines import find_lines
from commands.door_settings import DoorSettings
from commands.settings import CommandSettings
from contract.wire import KioskId
from telemetry.alarm_rules import AlarmSettings
from telemetry.health.settings import HealthSettings
from telemetry.settings import LinkSettings, OutboxSettings, Section
from vision.identity.settings import IdentitySettings
from vision.plates.settings import PlateSettings
from vision.settings import CameraSettings

ENV_PREFIX = "KIOSK_AGENT_"
MAX_FILE_BYTES = 1024 * 1024
PUSHED = "pushed settings"
"""What faults in pushed settings begin with, in place of a file and line."""


def _host_id() -> str:
    """The host's name as far as it can be a kiosk's id."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")
    return name[:63] or "kiosk"


def _state_folder() -> Path:
    """What systemd gives us; for root and the service's user the service's; else one's own."""
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder.split(":")[0])
    if service_user() is not None or is_service_user():
        return STATE_FOLDER
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "kiosk-agent"


class KioskSettings(Section):
    """Who and where."""

    id: KioskId = Field(default_factory=_host_id, description="Default: the host's name.")
    state_folder: Path = Field(
        default_factory=_state_folder, description="Outbox, ledger, counters; default: systemd's."
    )
    socket: Path | None = Field(
        default=None,
        description="For `kiosk-agent status`; default: agent.sock in `$RUNTIME_DIRECTORY` or the "
        "state folder.",
    )

    socket_group: str | None = Field(
        default=None, description="Its members may use the local door; default: the agent's own."
    )

    @property
    def socket_path(self) -> Path:
        """Where the running agent answers questions."""
        if self.socket is not None:
            return self.socket
        runtime = os.environ.get("RUNTIME_DIRECTORY")
        return (Path(runtime.split(":")[0]) if runtime else self.state_folder) / "agent.sock"


class LogSettings(Section):
    """What is said to the journal or the terminal."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = Field(
        default="auto", description="auto: pretty on a terminal, else JSON."
    )


class ConfigSettings(Section):
    """Settings that the command centre pushes."""

    confirm_s: float = Field(
        default=120.0,
        ge=5,
        le=3600,
        description="Pushed settings with which the kiosk is not well and online by then go back.",
    )


class SafeModeSettings(Section):
    """When the agent starts with cameras at rest, because it started too often."""

    max_starts: int = Field(
        default=5, ge=1, le=1000, description="More without a healthy spell: safe mode."
    )
    healthy_s: float = Field(
        default=600.0, ge=1, le=86_400, description="Alive for so long is a healthy spell."
    )


class Settings(BaseModel):
    """The whole file; each table belongs to one part of the agent."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kiosk: KioskSettings = Field(default_factory=KioskSettings)
    link: LinkSettings = LinkSettings()
    outbox: OutboxSettings = OutboxSettings()
    health: HealthSettings = HealthSettings()
    alarms: AlarmSettings = AlarmSettings()
    commands: CommandSettings = CommandSettings()
    log: LogSettings = LogSettings()
    config: ConfigSettings = ConfigSettings()
    door: DoorSettings = DoorSettings()
    safe_mode: SafeModeSettings = SafeModeSettings()
    plates: PlateSettings = PlateSettings()
    identity: IdentitySettings = IdentitySettings()
    id_card: IdCardSettings = IdCardSettings()
    cabinet: CabinetSettings = CabinetSettings()
    supervision: SupervisionSettings = SupervisionSettings()
    update: UpdateSettings = UpdateSettings()
    camera: tuple[CameraSettings, ...] = Field(default=(), max_length=16)

    @field_validator("camera")
    @classmethod
    def _distinct(cls, cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
        names = [camera.name for camera in cameras]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"two cameras are called {', '.join(twice)}"
            raise ValueError(msg)
        return cameras


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read; without text, the defaults."""

    name: str = "environment"
    text: str = ""

    def settings(self, pushed: Mapping[str, Any] | None = None) -> Settings:
        """Check it, with pushed tables laid over it.

        Raises:
            SettingsError: with a line for each fault. Where something is pushed, the file is
                taken to be good, and the faults name the key only.
        """
        try:
            raw = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError([_syntax_fault(self.name, str(error))]) from None
        try:
            return Settings(**lay_over(lay_over(raw, pushed or {}), _environment()))
        except ValidationError as error:
            name, lines = (PUSHED, {}) if pushed else (self.name, find_lines(self.text))
            overridden = _overridden()
            raise SettingsError(
                [
                    _fault(name, tuple(item["loc"]), _reason(item), lines, overridden)
                    for item in error.errors(include_url=False, include_input=False)
                ]
            ) from None
        except ValueError as error:  # a variable that is unknown, or not JSON where it must be
            raise SettingsError([f"environment: {error}"]) from None


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return both trees in one: tables are merged, any other value of ``above`` replaces."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        tables = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = lay_over(under or {}, value) if tables else value
    return merged


def read(path: Path | None) -> SettingsFile:
    """Read a settings file; without a path, there is only the environment.

    Raises:
        SettingsError: it cannot be read.
    """
    if path is None:
        return SettingsFile()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError([f"{path}: larger than {MAX_FILE_BYTES} bytes"])
        return SettingsFile(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from None


def load(path: Path | None) -> Settings:
    """Read and check a settings file.

    Raises:
        SettingsError: with a line for each fault: file, line number and reason.
    """
    return read(path).settings()


def parse(text: str, name: str) -> Settings:
    """Check the text of a settings file called ``name``. Raises :class:`SettingsError`."""
    return SettingsFile(name, text).settings()


def _reason(item: ErrorDetails) -> str:
    """What is wrong, in the words of a person with a settings file."""
    match item["type"]:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "missing"
        case _:
            return item["msg"].removeprefix("Value error, ")


def _syntax_fault(name: str, message: str) -> str:
    if found := re.search(r"\(at line (\d+), column (\d+)\)", message):
        reason = message[: found.start()].strip()
        return f"{name}:{found[1]}: not TOML: {reason} (column {found[2]})"
    return f"{name}: not TOML: {message}"


def _environment() -> dict[str, Any]:
    """Tables that the environment sets. Raises ``ValueError``."""
    overridden = _overridden()
    if not overridden:
        return {}
    if unknown := sorted(path for path in overridden if path[0] not in Settings.model_fields):
        msg = f"{ENV_PREFIX}{'__'.join(unknown[0]).upper()}: unknown key"
        raise ValueError(msg)
    from agent.environment import tables  # noqa: PLC0415 - 1.3 MiB that few kiosks have a use for

    return tables()


def _overridden() -> set[tuple[str, ...]]:
    """Paths that the environment sets."""
    prefix = ENV_PREFIX.lower()
    names = [name.lower() for name in os.environ]
    return {
        tuple(name.removeprefix(prefix).split("__")) for name in names if name.startswith(prefix)
    }


def _fault(
    name: str,
    where: tuple[Any, ...],
    reason: str,
    lines: dict[tuple[str | int, ...], int],
    overridden: set[tuple[str, ...]],
) -> str:
    key = ".".join(str(step) for step in where)
    texts = tuple(str(step) for step in where)
    for length in range(len(where), 0, -1):
        if texts[:length] in overridden:
            variable = ENV_PREFIX + "__".join(texts[:length]).upper()
            return f"environment {variable}: {reason}"
        if (line := lines.get(where[:length])) is not None:
            return f"{name}:{line}: {key}: {reason}"
    return f"{name}: {key}: {reason}"
