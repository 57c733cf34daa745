"""The option ``--config`` that the commands of ``kiosk-agent`` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.settings import Settings

DEFAULT_FILE = Path("/etc/kiosk-agent/agent.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help=f"Settings file; default {DEFAULT_FILE} where it exists."),
]


def settings_path(config: Path | None) -> Path | None:
    """Return the file to read; ``None`` where there is none."""
    if config is not None:
        return config
    try:
        return DEFAULT_FILE if DEFAULT_FILE.exists() else None
    except PermissionError:  # whoever reads it says so
        return DEFAULT_FILE


def load_settings(config: Path | None) -> "Settings":
    """Read the settings; raises :class:`~agent.errors.SettingsError`."""
    from agent.settings import load  # noqa: PLC0415 - start-up time of what needs no settings

    return load(settings_path(config))
