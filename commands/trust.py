"""The operators' keys that this kiosk trusts: a file on site, and what a command made of it.

The file that a person put on the kiosk is the root of trust. ``keys.update`` writes a second
one beside the ledger, which names the first by its fingerprint and counts as long as the first
stays as it was: whoever puts another file in place on site has the last word.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import structlog
from joserfc.jwk import OKPKey

from commands.errors import ActionError
from commands.faults import OnFault, ignore_faults
from contract import ContractError
from contract.actions import Sha256
from contract.algorithm import ED25519, Algorithm
from contract.keys import KeySet, OperatorKey, fingerprint, parse_key_set
from contract.limits import MAX_KEY_SET_BYTES
from contract.state import KeysChanged
from contract.wire import WireModel, parse

_log = structlog.get_logger()

_Version = tuple[int, int, int] | None
Write = Callable[[Path, bytes], None]
"""Replaces a file whole or not at all, durable when it returns; raises ``OSError``. Blocks."""


class _Rotated(WireModel):
    """What ``keys.update`` left."""

    base: Sha256
    keys: KeySet


class _UnusableError(Exception):
    """The keys cannot be read; the text says why."""


class Trust:
    """Who may command this kiosk. Nobody, until :meth:`refresh` has read the files.

    While a file is missing or broken nobody may: a key that was taken out must not live on
    because of a slip of the pen. ``problem`` then says what is wrong, and so does the fault
    ``operators.unusable``.

    Args:
        path: the file that a person on site put there.
        algorithm: what signatures count.
        rotated: where ``keys.update`` keeps its set; ``None``: it cannot.
        write: how that is written.
        on_fault: told when the keys become unusable, and usable again.
        on_change: told of every change after the first reading.
    """

    def __init__(
        self,
        path: Path,
        *,
        algorithm: Algorithm = ED25519,
        rotated: Path | None = None,
        write: Write | None = None,
        on_fault: OnFault = ignore_faults,
        on_change: Callable[[KeysChanged], None] = lambda _: None,
    ) -> None:
        self._path = path
        self.algorithm = algorithm
        self._rotated = rotated
        self._write = write
        self._on_fault = on_fault
        self._on_change = on_change
        self._reading = asyncio.Lock()
        self._versions: tuple[_Version, _Version] | None = None
        self._base = ""
        self._read_before = False
        self.problem: str | None = "the operators' keys have not been read yet"
        self.fingerprint = ""
        """Of the key set in force."""
        self.keys: Mapping[str, OperatorKey] = MappingProxyType({})
        self.verifiers: Mapping[str, OKPKey] = MappingProxyType({})

    async def refresh(self) -> None:
        """Read the files if they are not those last read. Never raises."""
        async with self._reading:  # what was read first must not come in force last
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            found = await asyncio.to_thread(self._read_if_changed)
        except _UnusableError as error:
            if str(error) != self.problem:
                self._adopt(KeySet(keys=()))
                self.problem = str(error)
                self._on_fault("operators.unusable", self.problem)
                _log.error("operators_unusable", problem=self.problem)
            return
        if found is not None:
            keys, base = found
            self._base = base
            before = self.keys
            source: Literal["file", "command"] = "command" if base != fingerprint(keys) else "file"
            self._adopt(keys)
            if self.problem is not None:
                self._on_fault("operators.unusable", None)
            self.problem = None
            _log.info("operators_read", keys=len(self.keys), fingerprint=self.fingerprint)
            if self._read_before and (change := self._change(before, source)):
                self._on_change(change)
            self._read_before = True

    async def replace(self, keys: KeySet, *, replaces: str) -> None:
        """Put another key set in force.

        Raises:
            ActionError: it was made from another set than the one in force, or cannot be kept.
        """
        rotated, write = self._rotated, self._write
        if rotated is None or write is None:
            msg = "this kiosk has no place to keep other keys"
            raise ActionError(msg)
        await self.refresh()
        if replaces != self.fingerprint:
            msg = (
                f"the new set takes the place of {replaces[:12]}, but {self.fingerprint[:12]} is "
                "in force: look at that, and make the new set from it"
            )
            raise ActionError(msg)
        document = _Rotated(base=self._base, keys=keys).model_dump_json(exclude_none=True)
        try:
            await asyncio.to_thread(write, rotated, document.encode())
        except OSError as error:
            msg = f"the new keys cannot be written: {error.strerror}; the old ones stay in force"
            raise ActionError(msg) from None
        await self.refresh()

    def _adopt(self, keys: KeySet) -> None:
        self.keys = MappingProxyType({key.kid: key for key in keys.keys})
        self.verifiers = MappingProxyType({key.kid: key.verifier() for key in keys.keys})
        self.fingerprint = fingerprint(keys)

    def _change(
        self, before: Mapping[str, OperatorKey], source: Literal["file", "command"]
    ) -> KeysChanged | None:
        added = tuple(kid for kid, key in self.keys.items() if before.get(kid) != key)
        removed = tuple(kid for kid in before if kid not in self.keys)
        if not added and not removed:
            return None
        return KeysChanged(
            fingerprint=self.fingerprint, added=added, removed=removed, source=source
        )

    # -- in a thread -----------------------------------------------------------------------

    def _read_if_changed(self) -> tuple[KeySet, str] | None:
        """Return the set in force and the root's fingerprint; ``None``: the same files."""
        versions = _version(self._path), _version(self._rotated)
        if versions == self._versions and versions[0] is not None:
            return None
        self._versions = versions
        try:
            root = parse_key_set(self._path.read_bytes())
        except OSError as error:
            self._versions = None
            msg = f"{self._path}: {error.strerror}; every command is refused until it is there"
            raise _UnusableError(msg) from None
        except ContractError as error:
            msg = f"{self._path}: {error}; every command is refused until it is mended"
            raise _UnusableError(msg) from None
        base = fingerprint(root)
        if self._rotated is None or versions[1] is None:
            return root, base
        try:
            rotated = parse(_Rotated, self._rotated.read_bytes(), limit=2 * MAX_KEY_SET_BYTES)
        except (OSError, ContractError) as error:
            if isinstance(error, OSError):
                self._versions = None  # rights are mended without a new file
            # Falling back to the root could revive a key that was taken out.
            msg = (
                f"{self._rotated} cannot be read ({error}); every command is refused until "
                f"{self._path} is put in place anew and that file removed"
            )
            raise _UnusableError(msg) from None
        return (rotated.keys, base) if rotated.base == base else (root, base)


def _version(path: Path | None) -> _Version:
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_size, status.st_ino)
