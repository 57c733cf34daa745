"""The one settings file: TOML, with overrides from the environment. Every default works.

``KIOSK_AGENT_LINK__HOST=broker.example`` overrides ``host`` in ``[link]``.
"""

import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent.errors import SettingsError
from agent.toml_lines import find_lines
from commands.settings import CommandSettings
from contract.wire import KioskId
from telemetry.alarm_rules import AlarmSettings
from telemetry.health.settings import HealthSettings
from telemetry.settings import LinkSettings, OutboxSettings, Section
from vision.settings import CameraSettings

ENV_PREFIX = "KIOSK_AGENT_"
MAX_FILE_BYTES = 1024 * 1024


def _host_id() -> str:
    """The host's name as far as it can be a kiosk's id."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")
    return name[:63] or "kiosk"


def _state_folder() -> Path:
    """What systemd gives us, else the user's own place."""
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder.split(":")[0])
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


class Settings(BaseSettings):
    """The whole file; each table belongs to one part of the agent."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    kiosk: KioskSettings = Field(default_factory=KioskSettings)
    link: LinkSettings = LinkSettings()
    outbox: OutboxSettings = OutboxSettings()
    health: HealthSettings = HealthSettings()
    alarms: AlarmSettings = AlarmSettings()
    commands: CommandSettings = CommandSettings()
    log: LogSettings = LogSettings()
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment comes before the file; nothing else is read."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path | None) -> Settings:
    """Read and check the settings; without a path, the defaults and the environment.

    Raises:
        SettingsError: with a line for each fault: file, line number and reason.
    """
    text = ""
    if path is not None:
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise SettingsError([f"{path}: larger than {MAX_FILE_BYTES} bytes"])
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError([f"{path}: cannot be read: {error}"]) from None
    return parse(text, str(path or "environment"))


def parse(text: str, name: str) -> Settings:
    """Check the text of a settings file called ``name``. Raises :class:`SettingsError`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([_syntax_fault(name, str(error))]) from None
    try:
        return Settings(**raw)
    except ValidationError as error:
        lines = find_lines(text)
        overridden = _overridden()
        raise SettingsError(
            [
                _fault(name, tuple(item["loc"]), _reason(item), lines, overridden)
                for item in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    except ValueError as error:  # an environment variable that is not JSON where it must be
        raise SettingsError([f"environment: {error}"]) from None


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


def _overridden() -> set[tuple[str, ...]]:
    """Paths that the environment sets."""
    source = EnvSettingsSource(Settings)
    return {
        tuple(name.lower().removeprefix(ENV_PREFIX.lower()).split("__"))
        for name in source.env_vars
        if name.lower().startswith(ENV_PREFIX.lower())
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
