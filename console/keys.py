"""Operators' keys on the operator's machine: made, kept private, pinned for the kiosks."""

import os
import re
import tempfile
from pathlib import Path

from joserfc.jwk import OKPKey

from console.errors import KeyFileError
from contract import ContractError
from contract.keys import KeySet, OperatorKey, PrivateKey, Role, parse_key_set
from contract.limits import MAX_KEY_SET_BYTES
from contract.wire import parse


def new_key(name: str, role: Role, *, exp: int | None = None) -> PrivateKey:
    """Make a key; its id is the name as far as it is ASCII, and a part of its thumbprint."""
    raw = OKPKey.generate_key("Ed25519")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "key"
    mark = re.sub(r"[^a-z0-9]", "", raw.thumbprint().lower())[:8]
    halves = {half: raw.as_dict(private=True)[half] for half in ("x", "d")}
    fields = {"kid": f"{slug}-{mark}", "name": name, "role": role, "exp": exp}
    return PrivateKey.model_validate(fields | halves)


def write_private(key: PrivateKey, path: Path) -> None:
    """Write a private key that only its owner may read, where there is no file yet.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        msg = f"{path} exists and is not overwritten: it may be somebody's only key"
        raise KeyFileError(msg) from None
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise KeyFileError(msg) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key.model_dump_json(exclude_none=True, indent=2) + "\n")


def read_private(path: Path) -> PrivateKey:
    """Read a private key; raises :class:`KeyFileError`."""
    try:
        return parse(PrivateKey, path.read_bytes(), limit=MAX_KEY_SET_BYTES)
    except OSError as error:
        msg = f"key {path}: {error.strerror}"
    except ContractError as error:
        msg = f"key {path}: {error}; kioskctl key new makes one"
    raise KeyFileError(msg)


def trust(public: Path, into: Path) -> tuple[OperatorKey, int]:
    """Add a public key to a key set, whole or not at all; returns it and how many there are.

    Raises:
        KeyFileError: a file cannot be read or written, or another key has the same id.
    """
    try:
        key = parse(OperatorKey, public.read_bytes(), limit=MAX_KEY_SET_BYTES)
        keys = parse_key_set(into.read_bytes()).keys if into.exists() else ()
        others = tuple(other for other in keys if other.kid != key.kid)
        if len(others) != len(keys) and key not in keys:
            msg = f"{into} has another key {key.kid} already; take that out first"
            raise KeyFileError(msg)
        document = KeySet(keys=(*others, key))
        _replace(into, document.model_dump_json(exclude_none=True, indent=2) + "\n")
    except OSError as error:
        msg = f"{error.filename}: {error.strerror}"
        raise KeyFileError(msg) from None
    except ContractError as error:
        msg = f"{public} or {into}: {error}"
        raise KeyFileError(msg) from None
    return key, len(document.keys)


def _replace(path: Path, content: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
