"""A release file as a kiosk reads it: nothing of it is believed before it was verified.

Reading and unpacking touch only what the signed manifest names: a member that it does not name, a
link, a device, or one byte too many ends it.
"""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from agent.errors import ReleaseError
from contract.errors import ContractError
from contract.keys import KeySet
from contract.release import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PAYLOAD,
    ReleaseFile,
    SignedManifest,
    open_manifest,
)

CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Package:
    """An open release file whose manifest was verified."""

    document: bytes
    """The signed manifest as it stands in the file."""
    signed: SignedManifest
    payload: IO[bytes]

    def check_payload(self) -> None:
        """Read all of the payload. Raises :class:`ReleaseError` where it is not what was signed."""
        digest = hashlib.sha256()
        try:
            while chunk := self.payload.read(CHUNK_BYTES):
                digest.update(chunk)
        except tarfile.TarError as error:
            msg = f"its payload cannot be read: {error}"
            raise ReleaseError(msg) from None
        self.payload.seek(0)
        if digest.hexdigest() != self.signed.manifest.payload_sha256:
            msg = "the payload is not the one that was signed"
            raise ReleaseError(msg)

    def unpack(self, into: Path, tell: Callable[[int], None]) -> None:
        """Write the files under a folder that is empty, each checked against its hash.

        Args:
            into: the folder.
            tell: called with the bytes written so far.

        Raises:
            ReleaseError: something is not as the manifest says.
            OSError: it cannot be written.
        """
        wanted = {file.path: file for file in self.signed.manifest.files}
        done = 0
        try:
            with (
                gzip.GzipFile(fileobj=self.payload, mode="rb") as plain,
                tarfile.open(fileobj=plain, mode="r|") as tar,
            ):
                for member in tar:
                    file = wanted.pop(member.name, None)
                    if file is None:
                        msg = (
                            f"it holds {member.name!r}, which is not in its manifest or comes twice"
                        )
                        raise ReleaseError(msg)
                    content = tar.extractfile(member) if member.isreg() else None
                    if content is None or member.size != file.size:
                        msg = f"{file.path}: no plain file of {file.size} bytes"
                        raise ReleaseError(msg)
                    _write(into / file.path, file, content)
                    done += file.size
                    tell(done)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            msg = f"its payload cannot be read: {error}"
            raise ReleaseError(msg) from None
        if wanted:
            msg = f"{len(wanted)} files of its manifest are missing, such as {min(wanted)}"
            raise ReleaseError(msg)


@contextmanager
def open_package(file: BinaryIO, keys: KeySet) -> Iterator[Package]:
    """Read and verify the manifest of an open release file.

    Raises:
        ReleaseError: it is no release, or none that a pinned key vouches for.
    """
    try:
        tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - closed below
    except (tarfile.TarError, OSError, EOFError) as error:
        msg = f"this is no release file: {error}"
        raise ReleaseError(msg) from None
    with tar:
        try:
            document = _member(tar, MANIFEST, limit=MAX_MANIFEST_BYTES).read()
            signed = open_manifest(document, keys)
        except tarfile.TarError as error:
            msg = f"this is no release file: {error}"
            raise ReleaseError(msg) from None
        except ContractError as error:
            msg = f"the signature of the release does not hold: {error}"
            raise ReleaseError(msg) from None
        yield Package(document, signed, _member(tar, PAYLOAD))


def digest_of(file: BinaryIO, tell: Callable[[int], None] = lambda _: None) -> str:
    """Return SHA-256 of a whole file, and go back to its beginning."""
    digest, done = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        done += len(chunk)
        tell(done)
    file.seek(0)
    return digest.hexdigest()


def _member(tar: tarfile.TarFile, name: str, *, limit: int | None = None) -> IO[bytes]:
    """Return the next member, which must be a plain file of this name."""
    try:
        member = tar.next()
        content = tar.extractfile(member) if member and member.isreg() else None
    except (tarfile.TarError, OSError, EOFError) as error:
        msg = f"this is no release file: {error}"
        raise ReleaseError(msg) from None
    if member is None or content is None or member.name != name:
        msg = f"this is no release file: {name} is expected in its place"
        raise ReleaseError(msg)
    if limit is not None and member.size > limit:
        msg = f"{name} has {member.size} bytes, at most {limit} are read"
        raise ReleaseError(msg)
    return content


def _write(path: Path, file: ReleaseFile, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, flags, int(file.mode, 8)), "wb") as out:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != file.sha256:
        msg = f"{file.path}: its content is not the one that was signed"
        raise ReleaseError(msg)
