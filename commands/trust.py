"""The operators' keys that this kiosk pins: a file, read again when it changes."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import structlog
from joserfc.jwk import OKPKey

from commands.faults import OnFault, ignore_faults
from contract import ContractError
from contract.keys import KeySet, OperatorKey, parse_key_set

_log = structlog.get_logger()

_Version = tuple[int, int, int]


class Trust:
    """Who may command this kiosk. Nobody, until :meth:`refresh` has read the file.

    While the file is missing or broken nobody may: a key that was taken out must not live on
    because of a slip of the pen. ``problem`` then says what is wrong, and so does the fault
    ``operators.unusable``.
    """

    def __init__(self, path: Path, *, on_fault: OnFault = ignore_faults) -> None:
        self._path = path
        self._on_fault = on_fault
        self._version: _Version | None = None
        self.problem: str | None = "the operators' keys have not been read yet"
        self.keys: Mapping[str, OperatorKey] = MappingProxyType({})
        self.verifiers: Mapping[str, OKPKey] = MappingProxyType({})

    async def refresh(self) -> None:
        """Read the file if it is not the one last read. Never raises."""
        changed = await asyncio.to_thread(self._read_if_changed)
        if changed is None:
            return
        if isinstance(changed, KeySet):
            self._adopt({key.kid: key for key in changed.keys})
            if self.problem is not None:
                self._on_fault("operators.unusable", None)
            self.problem = None
            _log.info("operators_read", file=str(self._path), keys=len(self.keys))
        elif changed != self.problem:
            self._adopt({})
            self.problem = changed
            self._on_fault("operators.unusable", changed)
            _log.error("operators_unusable", problem=changed)

    def _adopt(self, keys: dict[str, OperatorKey]) -> None:
        self.keys = MappingProxyType(keys)
        self.verifiers = MappingProxyType({kid: key.verifier() for kid, key in keys.items()})

    def _read_if_changed(self) -> KeySet | str | None:
        """Return the key set, what is wrong with it, or ``None`` where it is the same file."""
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == self._version:
                return None
            keys = parse_key_set(self._path.read_bytes())
        except OSError as error:
            self._version = None
            return f"{self._path}: {error.strerror}; every command is refused until it is there"
        except ContractError as error:
            self._version = version
            return f"{self._path}: {error}; every command is refused until it is mended"
        self._version = version
        return keys
