"""The kiosk's own key: made at first use, kept in a file that only the agent reads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from commands.errors import CommandError
from contract import ContractError
from contract.device import DevicePrivateKey
from contract.wire import parse

FILE_NAME = "kiosk-key.jwk"
_MAX_BYTES = 4096

Write = Callable[[Path, bytes], None]
"""Writes a file whole or not at all, durable when it returns, mode 0600; raises ``OSError``."""

_log = structlog.get_logger()


class KioskKeyError(CommandError):
    """The kiosk's key cannot be read or written now."""

    retryable = True


@dataclass(frozen=True, slots=True)
class KioskKey:
    """The key, and where it comes from."""

    key: DevicePrivateKey
    made: str | None = None
    """Why it was made just now, in a sentence; ``None`` where it was there."""
    replaces_broken: bool = False


def read_kiosk_key(path: Path) -> DevicePrivateKey:
    """Read the key.

    Raises:
        OSError: the file cannot be read.
        ContractError: it is broken.
    """
    with path.open("rb") as file:
        return parse(DevicePrivateKey, file.read(_MAX_BYTES + 1), limit=_MAX_BYTES)


def open_kiosk_key(path: Path, write: Write) -> KioskKey:
    """Read the key, or make it; blocks. A broken file is kept beside the new one.

    Raises:
        KioskKeyError: the file cannot be read or written; nothing was lost.
    """
    try:
        try:
            key = read_kiosk_key(path)
        except FileNotFoundError:
            return _make(path, write, "the kiosk had no key")
        except ContractError as error:
            aside = _set_aside(path)
            _log.error("kiosk_key_broken", problem=str(error), set_aside=str(aside))
            text = f"the kiosk's key was broken ({error}); the old file is {aside.name}"
            return _make(path, write, text, replaces_broken=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
            _log.warning("kiosk_key_was_readable", file=str(path))
        return KioskKey(key)
    except OSError as error:
        msg = f"the kiosk's key {path}: {error.strerror}"
        raise KioskKeyError(msg) from error


def _make(path: Path, write: Write, why: str, *, replaces_broken: bool = False) -> KioskKey:
    key = DevicePrivateKey.generate()
    write(path, key.model_dump_json().encode() + b"\n")
    return KioskKey(key, made=why, replaces_broken=replaces_broken)


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    path.rename(aside)
    return aside
