"""A private key under a passphrase: an encrypted JWK (RFC 7517, 7) in JWE's compact form.

The passphrase wraps the content key by PBES2-HS256+A128KW (RFC 7518, 4.8), A256GCM does the rest.
"""

import getpass
import os
import warnings
from copy import copy
from pathlib import Path

from joserfc import jwe
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OctKey
from joserfc.registry import HeaderParameter

from console import files
from console.errors import ConsoleError

VARIABLE = "KIOSKCTL_PASSPHRASE_FILE"
MIN_LENGTH = 8
ITERATIONS = 600_000
"""OWASP's number for PBKDF2 with HMAC-SHA-256; about a quarter of a second."""
_MAX_ITERATIONS = 10_000_000
_ALGORITHMS = ("PBES2-HS256+A128KW", "A256GCM")


def _check_iterations(value: object) -> None:
    if not isinstance(value, int) or not 1000 <= value <= _MAX_ITERATIONS:
        msg = f"must be a number from 1000 to {_MAX_ITERATIONS}"
        raise ValueError(msg)


def _make_registry() -> jwe.JWERegistry:
    registry = jwe.JWERegistry(algorithms=_ALGORITHMS)
    # joserfc takes no more than 300,000 iterations: it guards servers that read what strangers
    # send. This file is the operator's own.
    wrapping = copy(registry.get_alg(_ALGORITHMS[0]))
    wrapping.more_header_registry = wrapping.more_header_registry | {
        "p2c": HeaderParameter("PBES2 Count", _check_iterations, required=True)
    }
    registry.algorithms = registry.algorithms | {"alg": {_ALGORITHMS[0]: wrapping}}
    return registry


_REGISTRY = _make_registry()


def encrypt(content: str, secret: str) -> str:
    """Return a JWE in compact form.

    Raises:
        ConsoleError: the passphrase is too short.
    """
    if len(secret) < MIN_LENGTH:
        msg = f"a passphrase has at least {MIN_LENGTH} characters"
        raise ConsoleError(msg)
    wrapping, encryption = _ALGORITHMS
    header = {"alg": wrapping, "enc": encryption, "p2c": ITERATIONS, "cty": "jwk+json"}
    return jwe.encrypt_compact(header, content.encode(), _key(secret), registry=_REGISTRY)


def is_encrypted(content: bytes) -> bool:
    """Whether a key file is a JWE rather than a JWK."""
    return content.count(b".") == 4 and not content.lstrip().startswith(b"{")


def decrypt(content: bytes, secret: str) -> bytes:
    """Return what was encrypted.

    Raises:
        ConsoleError: the passphrase is wrong, or the file was damaged.
    """
    try:
        plain = jwe.decrypt_compact(content.strip(), _key(secret), registry=_REGISTRY).plaintext
    except (JoseError, ValueError):
        plain = None
    if plain is None:
        msg = "the passphrase is wrong, or the file was damaged"
        raise ConsoleError(msg)
    return plain


def ask(what: str) -> str:
    """Return the passphrase from the file that the environment names, or from the terminal.

    Raises:
        ConsoleError: there is neither.
    """
    file = os.environ.get(VARIABLE)
    if file:
        return (
            files.read(Path(file).expanduser(), limit=4096).decode(errors="replace").rstrip("\r\n")
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"Passphrase of {what}: ")
    except (EOFError, OSError, getpass.GetPassWarning):
        msg = (
            f"it wants a passphrase, and there is no terminal to ask on; {VARIABLE} can name a file"
        )
        raise ConsoleError(msg) from None


def ask_new(what: str) -> str:
    """Return a new passphrase, typed twice on the terminal or from the file.

    Raises:
        ConsoleError: they differ, or there is nowhere to ask.
    """
    first = ask(what)
    if not os.environ.get(VARIABLE) and ask(f"{what}, again") != first:
        msg = "the two passphrases differ; nothing was made"
        raise ConsoleError(msg)
    return first


def _key(secret: str) -> OctKey:
    with warnings.catch_warnings():
        # A passphrase is shorter than a key; that is what the iterations are for.
        warnings.simplefilter("ignore", SecurityWarning)
        return OctKey.import_key(secret.encode())
