"""Files that are there whole or not at all, on the operator's machine."""

import os
import tempfile
from pathlib import Path

from console.errors import ConsoleError


def create(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file where there is none yet; the umask takes from ``mode``.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise


def replace(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put a file in place of the one that may be there, whose mode it takes over.

    Raises:
        OSError: it cannot be written; then the old one is as it was.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else mode)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path, *, limit: int) -> bytes:
    """Read a file of at most ``limit`` bytes; raises :class:`ConsoleError`."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise ConsoleError(msg) from None
    if len(content) > limit:
        msg = f"{path} is larger than {limit} bytes"
        raise ConsoleError(msg)
    return content


def save(path: Path, content: bytes) -> None:
    """Write, or overwrite, what the operator asked for; raises :class:`ConsoleError`."""
    try:
        replace(path, content)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise ConsoleError(msg) from None
