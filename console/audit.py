"""Proves a kiosk's exported audit trail on the operator's machine, without the kiosk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import OKPKey

from console.errors import ConsoleError, KeyFileError
from console.files import read
from contract import ContractError, open_message
from contract.audit import AuditHead, Head, open_head
from contract.audit_proof import Proof, read_lines, verify
from contract.device import DeviceKey
from contract.errors import AuditError
from contract.limits import MAX_MESSAGE_BYTES
from contract.wire import parse

_MAX_KEY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Published:
    """Heads as the centre received them, and the keys that came with them."""

    events: tuple[AuditHead, ...]
    keys: Mapping[str, OKPKey]
    kiosks: frozenset[str]
    """Who sent them."""

    def open(self, keys: Mapping[str, OKPKey]) -> list[Head]:
        """Verify them all; raises :class:`~contract.errors.AuditError`."""
        heads = []
        for event in self.events:
            try:
                head = open_head(event.document.encode(), keys)
            except ContractError as error:
                text = f"the published head of entry {event.number}: {error}"
                raise AuditError(event.number, "bad_head", text) from None
            said = (event.chain, event.number, event.hash)
            if said != (head.chain, head.number, head.hash) or {head.kiosk} != self.kiosks:
                text = f"the published head of entry {event.number} says another than was signed"
                raise AuditError(event.number, "bad_head", text)
            heads.append(head)
        return heads


def prove(trail: Path, *, keys: Sequence[Path], heads: Path | None) -> Proof:
    """Prove an exported trail, with the keys given, else those of the heads, else its own.

    Raises:
        AuditError: it is not as it was written.
        ConsoleError: a file cannot be read.
    """
    published = None if heads is None else read_published(heads)
    trusted: Mapping[str, OKPKey] | None = None
    if keys:
        trusted = dict(_read_key(path) for path in keys)
    elif published is not None:
        trusted = published.keys
    opened = published.open(trusted) if published is not None and trusted is not None else []
    try:
        with trail.open("rb") as file:
            return verify(read_lines(file), keys=trusted, heads=opened)
    except OSError as error:
        msg = f"{trail}: {error.strerror}"
        raise ConsoleError(msg) from None


def read_published(path: Path) -> Published:
    """Read what ``kioskctl events ID --kind audit.head --json`` printed; raises ConsoleError."""
    events: list[AuditHead] = []
    keys: dict[str, OKPKey] = {}
    kiosks: set[str] = set()
    for number, line in _lines(path):
        try:
            message = open_message(line)
            if not isinstance(message.data, AuditHead):
                continue
            key = DeviceKey.of(message.data.x)
        except ValueError as error:
            msg = f"{path}, line {number}: no message of a kiosk: {error}"
            raise ConsoleError(msg) from None
        events.append(message.data)
        keys[key.kid] = key.verifier()
        kiosks.add(message.kiosk)
    if not events:
        msg = f"{path}: there is no audit.head in it"
        raise ConsoleError(msg)
    if len(kiosks) > 1:
        msg = f"{path}: it has heads of several kiosks: {', '.join(sorted(kiosks))}"
        raise ConsoleError(msg)
    return Published(tuple(events), keys, frozenset(kiosks))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_MESSAGE_BYTES + 2):
                number += 1
                if line.strip():
                    yield number, line.strip()
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise ConsoleError(msg) from None


def _read_key(path: Path) -> tuple[str, OKPKey]:
    try:
        key = parse(DeviceKey, read(path, limit=_MAX_KEY_BYTES), limit=_MAX_KEY_BYTES)
    except ContractError as error:
        msg = f"{path}: not a kiosk's public key (kiosk-agent audit key prints it): {error}"
        raise KeyFileError(msg) from None
    return key.kid, key.verifier()
