"""dlib's network, converted once and kept: a start takes a read instead of a second's work.

What lies in the cache is code for ONNX Runtime, so it is not taken on trust. Its name carries the
SHA-256 of dlib's file, the version of the conversion and the SHA-256 of the content itself: what
was damaged or cut short is made again. That does not stop who may write there from putting a
network of his own in place, so folder and file must belong to this user or root, and to nobody
else's writing; who can write as this user needs no cache to do harm.
"""

import contextlib
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from vision.identity.dlib_network import VERSION
from vision.models.errors import UnusableModelError
from vision.models.manifest import Model
from vision.models.memory_file import memory_file

_FOLDER = "models"
"""Of its own, since what lies beside it may have been made with less strict permissions."""
_CONVERSION_S = 120.0
_MODULE = "vision.identity.dlib_network"


def cache_folder() -> Path | None:
    """Where converted networks are kept: systemd's folder for it, or the user's; None: nowhere."""
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0]) / _FOLDER
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return Path(base) / "kiosk-agent" / _FOLDER


def converted(model: Model, folder: Path | None) -> bytes:
    """Give the ONNX file of dlib's network, from the cache or made now and put there.

    A cache that cannot be read or written is none, and no error. The conversion runs in a process
    of its own, which takes its memory with it.

    Raises:
        ModelError: dlib's file is missing, has another hash or holds another network.
    """
    stem = f"{model.name}-{model.sha256}-{VERSION}-"
    if folder is not None and (kept := _kept(folder, stem)) is not None:
        return kept
    content = _convert(model)
    if folder is not None:
        with contextlib.suppress(OSError):
            _keep(folder, stem, content)
    return content


def _kept(folder: Path, stem: str) -> bytes | None:
    with contextlib.suppress(OSError):
        if not _ours(folder.stat()):
            return None
        for path in folder.glob(f"{stem}*.onnx"):
            content = _read(path)
            if hashlib.sha256(content).hexdigest() == path.stem.removeprefix(stem):
                return content
    return None


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        return file.read() if stat.S_ISREG(state.st_mode) and _ours(state) else b""


def _ours(state: os.stat_result) -> bool:
    writable = stat.S_IWGRP | stat.S_IWOTH
    return state.st_uid in {0, os.geteuid()} and not state.st_mode & writable


def _keep(folder: Path, stem: str, content: bytes) -> None:
    """Put it in the cache, whole or not at all, in place of what did not hold."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as file:
        new = Path(file.name)
        try:
            file.write(content)
            file.flush()
            for old in folder.glob(f"{stem}*.onnx"):
                old.unlink()
            new.rename(folder / f"{stem}{hashlib.sha256(content).hexdigest()}.onnx")
        except OSError:
            new.unlink(missing_ok=True)
            raise


def _convert(model: Model) -> bytes:
    with memory_file(model.read()) as given, memory_file() as taken:
        try:
            done = subprocess.run(  # noqa: S603 - this program's own module
                [sys.executable, "-m", _MODULE],
                stdin=given,
                stdout=taken,
                stderr=subprocess.PIPE,
                timeout=_CONVERSION_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            msg = f"model {model.name}: it cannot be converted ({error})"
            raise UnusableModelError(msg) from error
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
            msg = f"model {model.name}: {words[-1][:300]}"
            raise UnusableModelError(msg)
        taken.seek(0)
        return taken.read()
