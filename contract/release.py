"""A release of the agent: what its signed manifest says, and by whose word.

A release is one file, an uncompressed tar of two members: :data:`MANIFEST`, a JWS with the
signatures of one or more release keys, and :data:`PAYLOAD`, a compressed tar of exactly the
files that the manifest names. Kiosks pin the release keys like those of operators.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from contract import signature
from contract.actions import Sha256
from contract.algorithm import ED25519, Algorithm
from contract.errors import SignatureError
from contract.keys import KeySet, PrivateKey
from contract.version import Version
from contract.wire import UtcTime, WireModel, parse

TYP = "kiosk-release"
"""What a signature under a manifest says that it was given for."""
MANIFEST = "manifest.jws"
PAYLOAD = "payload.tar.gz"
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_FILES = 50_000
MAX_FILE_BYTES = 4 * 2**30

FilePath = Annotated[
    str,
    StringConstraints(
        # No part is empty, "." or "..", and all lie in lib: nothing else can be meant.
        pattern=r"^lib(/\.?[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*)+$",
        max_length=1024,
    ),
]


class ReleaseFile(WireModel):
    """One file of a release."""

    path: FilePath
    sha256: Sha256
    size: int = Field(ge=0, le=MAX_FILE_BYTES)
    mode: Literal["0644", "0755"] = "0644"


class Manifest(WireModel):
    """What is in a release, and what it is for."""

    format: Literal[1] = 1
    version: Version
    arch: str = Field(pattern=r"^[a-z0-9_]{1,32}$", description="As `uname -m` calls it.")
    python: str = Field(pattern=r"^3\.[0-9]{1,2}$", description="Major and minor number.")
    built: UtcTime
    payload_sha256: Sha256
    files: tuple[ReleaseFile, ...] = Field(min_length=1, max_length=MAX_FILES)

    @model_validator(mode="after")
    def _distinct(self) -> "Manifest":
        if len({file.path for file in self.files}) != len(self.files):
            msg = "a path appears twice"
            raise ValueError(msg)
        return self

    @property
    def total_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest and the ids of the keys that vouch for it."""

    manifest: Manifest
    signers: tuple[str, ...]


def sign_manifest(manifest: Manifest, keys: Sequence[PrivateKey]) -> bytes:
    """Return the signed manifest.

    Raises:
        OversizeError: it would be larger than :data:`MAX_MANIFEST_BYTES`.
    """
    payload = manifest.model_dump_json().encode()
    return signature.sign(
        payload, keys, typ=TYP, limit=MAX_MANIFEST_BYTES, algorithm=_for_large_payloads()
    )


def open_manifest(document: bytes, pinned: KeySet) -> SignedManifest:
    """Verify a manifest and read it; a key vouches for what was built while it was valid.

    Raises:
        OversizeError: it is larger than :data:`MAX_MANIFEST_BYTES`.
        SignatureError: see :func:`contract.signature.verify`; or no key was valid then.
        MalformedError: it is no JWS, or what was signed is no manifest.
    """
    keys = {key.kid: key.verifier() for key in pinned.keys}
    verified = signature.verify(
        document, keys, typ=TYP, limit=MAX_MANIFEST_BYTES, algorithm=_for_large_payloads()
    )
    manifest = parse(Manifest, verified.payload, limit=MAX_MANIFEST_BYTES)
    built = manifest.built.timestamp()
    valid = {key.kid for key in pinned.keys if key.valid_at(built)}
    signers = tuple(signer for signer in verified.signers if signer in valid)
    if not signers:
        msg = f"built at a time for which no key that signed it is valid ({manifest.built})"
        raise SignatureError(msg)
    return SignedManifest(manifest=manifest, signers=signers)


def _for_large_payloads() -> Algorithm:
    """Return our algorithm without joserfc's limit of 128 kB, which guards web servers."""
    registry = copy(ED25519.registry)
    registry.max_payload_length = MAX_MANIFEST_BYTES
    return replace(ED25519, registry=registry)
