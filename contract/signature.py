"""Signed documents: JWS general JSON serialisation (RFC 7515), with one or more signatures.

Each signature names its key (``kid``) and what it was given for (``typ``) in its protected
header, so that a signature under one kind of document is worth nothing under another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode
from pydantic import Field
from pydantic_core import to_json

from contract.algorithm import ED25519, Algorithm
from contract.errors import MalformedError, SignatureError, UnknownKeyError
from contract.keys import PrivateKey
from contract.wire import Name, Text, WireModel, check_size, parse, validated

MAX_SIGNATURES = 8
_MAX_HEADER = 512


class _Header(WireModel):
    """The protected header. There is no other: an unprotected one is refused."""

    alg: Text
    kid: Name
    typ: Text


class _Signature(WireModel):
    protected: str
    signature: str


class _Document(WireModel):
    payload: str
    signatures: tuple[_Signature, ...] = Field(min_length=1, max_length=MAX_SIGNATURES)


@dataclass(frozen=True, slots=True)
class Verified:
    """A payload and the ids of the known keys that signed it, each once."""

    payload: bytes
    signers: tuple[str, ...]


class SigningKey(Protocol):
    """A key that signs, and its id."""

    @property
    def kid(self) -> str:
        """Its id."""
        ...

    def signer(self) -> OKPKey:
        """Return the key in the form that signs."""
        ...


def sign(
    payload: bytes,
    keys: Sequence[SigningKey],
    *,
    typ: str,
    limit: int,
    algorithm: Algorithm = ED25519,
) -> bytes:
    """Sign ``payload`` with every key; returns the JSON document.

    Raises:
        OversizeError: the document is larger than ``limit`` bytes.
    """
    parts = [
        jws.serialize_json(
            {"protected": {"alg": algorithm.name, "kid": key.kid, "typ": typ}},
            payload,
            key.signer(),
            registry=algorithm.registry,
        )
        for key in keys
    ]
    document = to_json(
        {
            "payload": parts[0]["payload"],
            "signatures": [
                {"protected": part["protected"], "signature": part["signature"]} for part in parts
            ],
        }
    )
    check_size(document, limit)
    return document


def add(document: bytes, key: PrivateKey, *, typ: str, limit: int) -> bytes:
    """Add the signature of one more key to a document; returns the new one.

    Raises:
        OversizeError: the document is larger than ``limit`` bytes.
        MalformedError: it is not a JWS in general JSON serialisation, or has no room for more.
        SignatureError: this key has signed it already.
    """
    outer = parse(_Document, document, limit=limit)
    if len(outer.signatures) >= MAX_SIGNATURES:
        msg = f"it has {MAX_SIGNATURES} signatures already"
        raise MalformedError(msg)
    for number, part in enumerate(outer.signatures, start=1):
        if _header(part.protected, number).kid == key.kid:
            msg = f"key {key.kid} has signed it already"
            raise SignatureError(msg)
    payload = unverified_payload(document, limit=limit)
    own = parse(_Document, sign(payload, [key], typ=typ, limit=limit), limit=limit)
    both = _Document(payload=outer.payload, signatures=(*outer.signatures, *own.signatures))
    if own.payload != outer.payload:
        msg = "payload: not base64url in its canonical form"
        raise MalformedError(msg)
    whole = both.model_dump_json().encode()
    check_size(whole, limit)
    return whole


def verify(
    document: bytes,
    keys: Mapping[str, OKPKey],
    *,
    typ: str,
    limit: int,
    algorithm: Algorithm = ED25519,
) -> Verified:
    """Check every signature by a known key; those by unknown keys count for nothing.

    Raises:
        OversizeError: the document is larger than ``limit`` bytes.
        MalformedError: it is not a JWS in general JSON serialisation.
        UnknownKeyError: no known key signed it.
        SignatureError: a signature by a known key is broken, or was given for something else.
    """
    outer = parse(_Document, document, limit=limit)
    payload = b""
    signers: dict[str, None] = {}
    unknown: list[str] = []
    for number, part in enumerate(outer.signatures, start=1):
        header = _header(part.protected, number)
        key = keys.get(header.kid)
        if key is None:
            unknown.append(header.kid)
            continue
        if header.alg not in algorithm.names:
            msg = f"signature {number}: alg {header.alg!r}; here {algorithm.name} is taken"
            raise SignatureError(msg)
        if header.typ != typ:
            msg = f"signature {number}: given for {header.typ!r}, not for {typ!r}"
            raise SignatureError(msg)
        try:
            payload = jws.deserialize_json(
                {
                    "payload": outer.payload,
                    "protected": part.protected,
                    "signature": part.signature,
                },
                key,
                registry=algorithm.registry,
            ).payload
        except (JoseError, ValueError):
            msg = f"signature {number}: not made by key {header.kid} over this content"
            raise SignatureError(msg) from None
        signers[header.kid] = None
    if not signers:
        msg = f"signed by no key that is known here (signed by {', '.join(unknown)})"
        raise UnknownKeyError(msg)
    return Verified(payload=payload, signers=tuple(signers))


def unverified_payload(document: bytes, *, limit: int) -> bytes:
    """Return what the document claims to say. Nobody vouches for it.

    Raises:
        OversizeError: the document is larger than ``limit`` bytes.
        MalformedError: it is not a JWS in general JSON serialisation.
    """
    outer = parse(_Document, document, limit=limit)
    try:
        return urlsafe_b64decode(outer.payload.encode())
    except ValueError:
        msg = "payload: not base64url"
        raise MalformedError(msg) from None


def claimed_signers(document: bytes, *, limit: int) -> tuple[str, ...]:
    """Return the ids of the keys that a document names. Nobody vouches for it.

    Raises:
        OversizeError: the document is larger than ``limit`` bytes.
        MalformedError: it is not a JWS in general JSON serialisation.
        SignatureError: a protected header cannot be read.
    """
    outer = parse(_Document, document, limit=limit)
    parts = enumerate(outer.signatures, start=1)
    return tuple(_header(part.protected, number).kid for number, part in parts)


def _header(protected: str, number: int) -> _Header:
    try:
        if len(protected) > _MAX_HEADER:
            msg = f"protected header of {len(protected)} characters, at most {_MAX_HEADER}"
            raise MalformedError(msg)
        decoded = urlsafe_b64decode(protected.encode())
        return validated(lambda: _Header.model_validate_json(decoded))
    except ValueError as error:
        msg = f"signature {number}: protected header: {error}"
        raise SignatureError(msg) from None
