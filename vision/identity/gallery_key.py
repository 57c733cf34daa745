"""The key that opens the gallery: of this box alone, and the same for as long as it is enrolled.

``$CREDENTIALS_DIRECTORY/gallery-key`` where systemd gives one (``LoadCredentialEncrypted=``, made
with ``systemd-creds``, bound to the TPM where there is one), else the file ``gallery-key`` in the
state folder, mode 0600, made when somebody is enrolled first. Either holds 32 bytes or more; the
key is made of them by HKDF (RFC 5869), so the file's content may become the credential.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NAME = "gallery-key"
KEY_BYTES = 32
_MAX_BYTES = 4096
_INFO = b"kiosk-agent gallery key 1"


class GalleryError(Exception):
    """The gallery cannot be used now; the text says why, and what to do."""


class GalleryKeyError(GalleryError):
    """The gallery is there, and its key is not. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the key is; its methods block.

    Args:
        folder: the agent's state folder.
        credentials: ``$CREDENTIALS_DIRECTORY``, where systemd gives one.
    """

    folder: Path
    credentials: Path | None = None

    @property
    def file(self) -> Path:
        """Where the key is made."""
        return self.folder / NAME

    def read(self) -> bytes | None:
        """Return the key; None: there is none.

        Raises:
            GalleryKeyError: it cannot be read, or is no key.
        """
        if self.credentials is not None and (key := _read(self.credentials / NAME)):
            return key
        key = _read(self.file)
        if key is not None and self.file.stat().st_mode & 0o077:
            self.file.chmod(0o600)
        return key

    def make(self) -> bytes:
        """Make the key and return it, durable; one that is there already is never replaced.

        Raises:
            GalleryKeyError: it cannot be written, or is no key.
        """
        fresh = self.file.with_name(f".{NAME}.new")
        try:
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                self.file.hardlink_to(fresh)  # unlike a rename, takes nothing's place
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
            _sync(self.folder)
        except OSError as error:
            msg = f"the key of enrolled staff {self.file} cannot be written: {error.strerror}"
            raise GalleryKeyError(msg) from None
        key = self.read()
        if key is None:
            msg = f"the key of enrolled staff {self.file} was taken away while it was made"
            raise GalleryKeyError(msg)
        return key


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            secret = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"the key of enrolled staff {path} cannot be read: {error.strerror}"
        raise GalleryKeyError(msg) from None
    if not KEY_BYTES <= len(secret) <= _MAX_BYTES:
        msg = (
            f"the key of enrolled staff {path} has {len(secret)} bytes, not {KEY_BYTES} to "
            f"{_MAX_BYTES}: put back the one that was there; where nobody is enrolled, delete it"
        )
        raise GalleryKeyError(msg)
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=_INFO).derive(secret)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
