"""An operator's private key: made, and kept in a file that nobody else can read."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from joserfc.jwk import OKPKey

from console import files, passphrase
from console.errors import ConsoleError, KeyFileError
from contract import ContractError
from contract.keys import PrivateKey, Role
from contract.wire import parse, validated

_MAX_BYTES = 16 * 1024


def new_key(name: str, role: Role, *, exp: int | None = None) -> PrivateKey:
    """Make a key; its id is the name as far as it is ASCII, and a part of its thumbprint.

    Raises:
        MalformedError: the role is unknown, or the name too long.
    """
    raw = OKPKey.generate_key("Ed25519")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "key"
    mark = re.sub(r"[^a-z0-9]", "", raw.thumbprint().lower())[:8]
    halves = {half: raw.as_dict(private=True)[half] for half in ("x", "d")}
    fields = {"kid": f"{slug}-{mark}", "name": name, "role": role, "exp": exp}
    return validated(lambda: PrivateKey.model_validate(fields | halves))


def write_private(key: PrivateKey, path: Path, *, secret: str | None = None) -> None:
    """Write a private key that only its owner may read, where there is no file yet.

    Args:
        key: the key.
        path: its file.
        secret: the passphrase that protects it, where there shall be one.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    content = key.model_dump_json(exclude_none=True, indent=2)
    if secret is not None:
        content = passphrase.encrypt(content, secret)
    try:
        files.create(path, f"{content}\n".encode(), mode=0o600)
    except FileExistsError:
        msg = f"{path} exists and is not overwritten: it may be somebody's only key"
        raise KeyFileError(msg) from None
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise KeyFileError(msg) from None


def read_private(path: Path, *, ask: Callable[[str], str] = passphrase.ask) -> PrivateKey:
    """Read a private key.

    Args:
        path: its file.
        ask: gets a protected key's name and returns its passphrase.

    Raises:
        KeyFileError: it cannot be read, others can read it too, or the passphrase is wrong.
    """
    content = _read(path)
    try:
        if passphrase.is_encrypted(content):
            content = passphrase.decrypt(content, ask(f"key {path}"))
        return parse(PrivateKey, content, limit=_MAX_BYTES)
    except ContractError as error:
        msg = f"key {path}: {error}; kioskctl key new makes one"
    except ConsoleError as error:
        msg = f"key {path}: {error}"
    raise KeyFileError(msg)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        msg = f"key {path}: {error.strerror}"
        raise KeyFileError(msg) from None
    if mode & 0o077:
        msg = (
            f"key {path}: others can read it (mode {mode:04o}), so it is nobody's signature any "
            f"more; if nobody did: chmod 600 {path}"
        )
        raise KeyFileError(msg)
    return content
