"""Making a release file of a tree: the files hashed, packed, and the manifest signed."""

import gzip
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from agent.errors import ReleaseError
from agent.release.tree import machine_arch, python_of, version_of
from contract.errors import ContractError
from contract.keys import PrivateKey
from contract.release import MANIFEST, PAYLOAD, Manifest, ReleaseFile, sign_manifest
from contract.wire import validated

_CHUNK_BYTES = 2**20


def build_release(
    tree: Path, out: Path, keys: Sequence[PrivateKey], *, built: datetime
) -> tuple[Path, Manifest]:
    """Pack and sign a tree; returns the file and what is in it.

    Args:
        tree: made by :func:`agent.release.tree.build_tree` on a machine like the kiosks.
        out: the folder for the file.
        keys: release keys; each signs.
        built: what the manifest says of when.

    Raises:
        ReleaseError: the tree holds what no release may, or the file cannot be written.
    """
    interpreter = tree / "bin" / "python"
    version, python, arch = version_of(tree), python_of(interpreter), machine_arch()
    path = out / f"kiosk-agent-{version}-{arch}.release"
    _check_compiled(tree, python)
    try:
        with tempfile.TemporaryFile(dir=out) as payload:
            files = tuple(_pack(tree, payload))
            manifest = validated(
                lambda: Manifest(
                    version=version,
                    arch=arch,
                    python=python,
                    built=built,
                    payload_sha256=_digest(payload),
                    files=files,
                )
            )
            document = sign_manifest(manifest, keys)
            part = path.with_name(f".{path.name}.new")
            with part.open("wb") as file, tarfile.open(fileobj=file, mode="w") as release:
                _add(release, MANIFEST, io.BytesIO(document), len(document))
                size = payload.seek(0, io.SEEK_END)
                payload.seek(0)
                _add(release, PAYLOAD, payload, size)
            part.replace(path)
    except ContractError as error:
        msg = f"{tree}: {error}"
        raise ReleaseError(msg) from None
    except OSError as error:
        msg = f"the release cannot be written: {error}"
        raise ReleaseError(msg) from None
    return path, manifest


def _check_compiled(tree: Path, python: str) -> None:
    """Raise :class:`ReleaseError` where Python would write beside what was signed, on the kiosk."""
    suffix = f"cpython-{python.replace('.', '')}.pyc"
    for source in (tree / "lib").rglob("*.py"):
        if not (source.parent / "__pycache__" / f"{source.stem}.{suffix}").exists():
            msg = f"{source} is not compiled: agent.release.tree makes trees that are"
            raise ReleaseError(msg)


def _pack(tree: Path, payload: BinaryIO) -> Iterator[ReleaseFile]:
    """Write the files of a tree into a compressed tar; the same tree gives the same bytes."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=payload, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted((tree / "lib").rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            if path.is_symlink() or not path.is_file():
                msg = f"{path}: a release holds plain files only"
                raise ReleaseError(msg)
            name = str(path.relative_to(tree))
            stat = path.stat()
            with path.open("rb") as file:
                digest = _digest(file)
                file.seek(0)
                _add(tar, name, file, stat.st_size)
            mode = "0755" if stat.st_mode & 0o100 else "0644"
            yield validated(
                lambda name=name, digest=digest, size=stat.st_size, mode=mode: ReleaseFile(  # type: ignore[misc]
                    path=name, sha256=digest, size=size, mode=mode
                )
            )


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    tar.addfile(member, content)


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
