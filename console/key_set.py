"""A file with the public keys of those whose commands a kiosk obeys."""

from collections.abc import Sequence
from pathlib import Path

from console import files
from console.errors import KeyFileError
from console.visible import visible
from contract import ContractError
from contract.keys import KeySet, OperatorKey, Role, parse_key_set
from contract.limits import MAX_KEY_SET_BYTES
from contract.wire import parse

SENIORS: frozenset[Role] = frozenset({"supervisor", "maintainer"})
MIN_SENIORS = 2
"""Persons without whom keys can no longer be changed from afar."""


def read_key_set(path: Path) -> KeySet:
    """Read a key set; raises :class:`~console.errors.ConsoleError`."""
    content = files.read(path, limit=MAX_KEY_SET_BYTES)
    try:
        return parse_key_set(content)
    except ContractError as error:
        msg = f"{path}: {error}"
        raise KeyFileError(msg) from None


def trust(public: Path, into: Path) -> tuple[OperatorKey, int]:
    """Add a public key to a key set, whole or not at all; returns it and how many there are.

    Raises:
        ConsoleError: a file cannot be read or written, or another key has the same id.
    """
    content = files.read(public, limit=MAX_KEY_SET_BYTES)
    try:
        key = parse(OperatorKey, content, limit=MAX_KEY_SET_BYTES)
    except ContractError as error:
        msg = f"{public}: {error}"
        raise KeyFileError(msg) from None
    keys = read_key_set(into).keys if into.exists() else ()
    others = tuple(other for other in keys if other.kid != key.kid)
    if len(others) != len(keys) and key not in keys:
        msg = f"{into} has another key {key.kid} already; take that out first"
        raise KeyFileError(msg)
    write_key_set(KeySet(keys=(*others, key)), into)
    return key, len(others) + 1


def revoke(who: str, path: Path, *, force: bool = False) -> list[OperatorKey]:
    """Take a key out by its id, or all keys of a person by name; returns them.

    Raises:
        ConsoleError: there is none, the file cannot be read or written, or too few would be left.
    """
    keys = read_key_set(path).keys
    gone = [key for key in keys if key.kid == who] or [key for key in keys if key.name == who]
    if not gone:
        names = ", ".join(f"{key.kid} ({key.name})" for key in keys)
        msg = f"{path} has no key and nobody named {who!r}; it has {names or 'none'}"
        raise KeyFileError(msg)
    left = tuple(key for key in keys if key not in gone)
    if not force:
        check_seniors(left)
    write_key_set(KeySet(keys=left), path)
    return gone


def check_seniors(keys: Sequence[OperatorKey]) -> None:
    """Raise :class:`~console.errors.KeyFileError` where too few could change the keys again."""
    seniors = {key.person for key in keys if key.role in SENIORS}
    if len(seniors) < MIN_SENIORS:
        msg = (
            f"{len(seniors)} supervisors or maintainers would be left, and two persons are "
            "needed to change keys from afar; trust another one first, or --force"
        )
        raise KeyFileError(msg)


def write_key_set(keys: KeySet, path: Path) -> None:
    """Write a key set whole or not at all; raises :class:`~console.errors.ConsoleError`."""
    document = keys.model_dump_json(exclude_none=True, indent=2)
    files.save(path, f"{document}\n".encode())


def changes(before: KeySet, after: KeySet) -> list[str]:
    """Say in a line each who comes and who goes."""
    came = [key for key in after.keys if key not in before.keys]
    went = [key for key in before.keys if key not in after.keys]
    return [f"+ {_named(key)}" for key in came] + [f"- {_named(key)}" for key in went]


def _named(key: OperatorKey) -> str:
    return f"{visible(key.name)} ({key.kid}) as {key.role}"
