"""Settings to push: read from a file, numbered, compared with what is in force."""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from console import files
from console.errors import ConsoleError
from contract import MalformedError
from contract.config import ConfigReport, settings_hash
from contract.limits import MAX_COMMAND_BYTES


def read_settings(path: Path) -> dict[str, Any]:
    """Read tables of the settings file from TOML, or from JSON where the name ends so.

    Raises:
        ConsoleError: it cannot be read, or holds what cannot be pushed.
    """
    content = files.read(path, limit=MAX_COMMAND_BYTES)
    try:
        text = content.decode()
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{path}: {error}"
        raise ConsoleError(msg) from None
    if not isinstance(settings, dict) or not settings:
        msg = f"{path}: tables of settings are expected"
        raise ConsoleError(msg)
    try:
        settings_hash(settings)
    except MalformedError as error:
        msg = f"{path}: {error}"
        raise ConsoleError(msg) from None
    return settings


def next_version(report: ConfigReport) -> int:
    """Return a version higher than any that the kiosk is known to have tried."""
    return max(report.version, report.failed_version or 0) + 1


def diff(in_force: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return a unified diff of what ``wanted`` would change; empty where that is nothing.

    One line for each setting. Only what ``wanted`` names is looked at: it is laid over the rest.
    """
    before = list(_lines(_restricted(in_force, wanted)))
    after = list(_lines(wanted))
    return list(difflib.unified_diff(before, after, "in force", "wanted", lineterm=""))


def _restricted(value: Any, mask: Any) -> Any:
    """Return of ``value`` what ``mask`` names; tables in an array go by their place."""
    if isinstance(value, Mapping) and isinstance(mask, Mapping):
        return {name: _restricted(value[name], mask[name]) for name in mask if name in value}
    if isinstance(value, list) and isinstance(mask, list):
        common = [_restricted(mine, yours) for mine, yours in zip(value, mask, strict=False)]
        return common + value[len(mask) :]
    return value


def _lines(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name in sorted(value):
            yield from _lines(value[name], f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            yield from _lines(item, f"{path}[{number}]")
    else:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # the kiosk reports 7.0 where the file says 7
        yield f"{path} = {json.dumps(value, ensure_ascii=False, sort_keys=True)}"
