"""Whether what lies in a slot is the release that was signed and installed there."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from agent.errors import ReleaseError
from agent.release.slots import SIGNED, Slot
from agent.release.tree import machine_arch, running_interpreter, running_python, venv_config
from contract.errors import ContractError
from contract.keys import KeySet, parse_key_set
from contract.limits import MAX_KEY_SET_BYTES
from contract.release import MAX_MANIFEST_BYTES, Manifest, ReleaseFile, open_manifest

_HASHERS = 4
_OURS = frozenset({SIGNED, "pyvenv.cfg", "bin/python"})
"""Made when it was installed, and checked one by one."""


def read_release_keys(path: Path) -> KeySet:
    """Read the pinned keys. Raises :class:`ReleaseError`."""
    try:
        with path.open("rb") as file:
            return parse_key_set(file.read(MAX_KEY_SET_BYTES + 1))
    except OSError as error:
        msg = f"release keys {path}: {error.strerror}"
    except ContractError as error:
        msg = f"release keys {path}: {error}"
    raise ReleaseError(msg)


def check_fit(manifest: Manifest) -> None:
    """Raise :class:`ReleaseError` where a release is not for this machine and its Python."""
    for what, wanted, here in (
        ("architecture", manifest.arch, machine_arch()),
        ("Python", manifest.python, running_python()),
    ):
        if wanted != here:
            msg = f"version {manifest.version} is for {what} {wanted}, this kiosk has {here}"
            raise ReleaseError(msg)


def check_slot(
    folder: Path, slot: Slot, keys: KeySet, *, whole: bool, went_on: Callable[[], None]
) -> None:
    """Check a slot's signature, links, and that it holds the signed files and no others.

    Args:
        folder: the slot's.
        slot: what was installed there.
        keys: the pinned release keys.
        whole: whether every file is read and hashed; else its size has to do.
        went_on: called after each file that was hashed: all of them may take minutes.

    Raises:
        ReleaseError: something is not as it was signed; the text says what.
    """
    try:
        with (folder / SIGNED).open("rb") as file:
            document = file.read(MAX_MANIFEST_BYTES + 1)
        if hashlib.sha256(document).hexdigest() != slot.manifest:
            msg = f"its manifest is not the one of version {slot.version}"
            raise ReleaseError(msg)  # noqa: TRY301 - tells which slot, like the others
        manifest = open_manifest(document, keys).manifest
        if manifest.version != slot.version:  # else a later package would not be known as later
            msg = f"it is version {manifest.version}"
            raise ReleaseError(msg)  # noqa: TRY301 - as above
        check_fit(manifest)
        _check_environment(folder)
        _check_files(folder, manifest)
        if whole:
            with ThreadPoolExecutor(_HASHERS) as hashers:
                for _ in hashers.map(partial(_check_content, folder), manifest.files):
                    went_on()
    except (OSError, ContractError, ReleaseError) as error:
        msg = f"slot {slot.name} is not fit to run: {error}"
        raise ReleaseError(msg) from None


def _check_environment(folder: Path) -> None:
    link = folder / "bin" / "python"
    interpreter, running = link.readlink(), running_interpreter()
    # Python looks for its own library beside the place that the link names: a link by way of
    # another folder would have it load that folder's.
    places = {running.parent, running.resolve().parent}
    if interpreter.parent not in places or interpreter.resolve() != running.resolve():
        msg = f"{link} leads to {interpreter}"
        raise ReleaseError(msg)
    if (folder / "pyvenv.cfg").read_text(encoding="ascii", errors="replace") != venv_config(
        interpreter
    ):
        msg = "pyvenv.cfg is not as it was written"
        raise ReleaseError(msg)


def _check_files(folder: Path, manifest: Manifest) -> None:
    wanted = {file.path: file for file in manifest.files}
    for name, entry in _walk(folder):
        if name in _OURS:
            continue
        file = wanted.pop(name, None)
        if file is None:
            msg = f"{name} does not belong there"
            raise ReleaseError(msg)
        found = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
            msg = f"{name} is not the file of {file.size} bytes that was signed"
            raise ReleaseError(msg)
    if wanted:
        msg = f"{min(wanted)} is missing"
        raise ReleaseError(msg)


def _check_content(folder: Path, file: ReleaseFile) -> None:
    with (folder / file.path).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != file.sha256:
        msg = f"{file.path} is damaged"
        raise ReleaseError(msg)


def _walk(folder: Path) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Everything below a folder that is no folder; links are not followed."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                else:
                    yield name, entry
