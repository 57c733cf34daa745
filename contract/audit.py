"""The audit trail: a chain of entries, each with the hash of the one before, and its signed head.

The hash of an entry is SHA-256 over its canonical form (RFC 8785) without the hash; an entry is
written as one line, its canonical form with the hash. A head says how far a chain went at a
moment, signed by the kiosk: who has a head can prove of every entry up to it that it stands as
it was written.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import rfc8785
from joserfc.jwk import OKPKey
from pydantic import AfterValidator, Field, StringConstraints

from contract import signature
from contract.actions import Sha256
from contract.device import DeviceKey, DevicePrivateKey
from contract.errors import MalformedError
from contract.ids import MessageId
from contract.keys import KeyBytes
from contract.message import Event, Priority
from contract.stamp import Stamp, TimeQuality
from contract.wire import KioskId, Name, UtcTime, WireModel, check_size, parse, validated

TYP = "kiosk-audit-head"
"""What a signature under a head says that it was given for."""
NOTHING = "0" * 64
"""Stands for the hash of the entry before the first."""
MAX_DATA_BYTES = 32 * 1024
"""An entry's data in canonical form: the longest texts of a command fit, were they all escapes."""
MAX_LINE_BYTES = MAX_DATA_BYTES + 2048
"""A line of an exported trail."""
_MAX_HEAD_BYTES = 2048
_MAX_NUMBER = 2**53
"""From there on JSON numbers are not exact everywhere (RFC 8785, appendix D)."""

Facts = Mapping[str, str | int | float | bool | None]
"""The data of an entry: flat."""


def _check_flat(data: dict[str, Any]) -> dict[str, Any]:
    for name, value in data.items():
        match value:
            case None | bool() | str():
                continue
            case int() | float() if abs(value) < _MAX_NUMBER:
                continue
        msg = f"{name}: a text, true, false, null or a number below 2**53 is expected"
        raise ValueError(msg)
    return data


class AuditEntry(WireModel):
    """One thing that happened, in its place in the chain."""

    chain: MessageId
    number: int = Field(ge=1, lt=_MAX_NUMBER, description="From 1, without gaps.")
    time: UtcTime
    timequality: TimeQuality
    bootid: Annotated[str, StringConstraints(max_length=64)]
    monotonicms: int = Field(ge=0, lt=_MAX_NUMBER)
    kind: Name
    data: Annotated[dict[Name, Any], AfterValidator(_check_flat)]
    prev: Sha256 = Field(description="The hash of the entry before.")
    hash: Sha256

    def digest(self) -> str:
        """Return the hash that this entry should have."""
        return hashlib.sha256(self._body()).hexdigest()

    def line(self) -> bytes:
        """Return the entry as it is stored and exported, without an end of line."""
        # The keys are sorted: the hash stands before the kind, and no later value is free text.
        before, kind, after = self._body().rpartition(b'"kind":')
        return b'%b"hash":"%b",%b%b' % (before, self.hash.encode(), kind, after)

    def _body(self) -> bytes:
        return rfc8785.dumps(self.model_dump(mode="json", exclude={"hash"}))


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest entry of a chain; number 0 before there is any."""

    chain: str
    number: int = 0
    hash: str = NOTHING
    first: int = 1
    """The oldest entry that is still there."""


def next_entry(head: ChainHead, kind: str, data: Facts, stamp: Stamp) -> AuditEntry:
    """Make the entry that comes after a head.

    Raises:
        OversizeError: the data are larger than :data:`MAX_DATA_BYTES`.
        MalformedError: the data are not flat, or say what JSON cannot.
    """
    milliseconds = stamp.time.microsecond // 1000
    entry = validated(
        lambda: AuditEntry(
            chain=head.chain,
            number=head.number + 1,
            time=stamp.time.replace(microsecond=milliseconds * 1000),
            timequality=stamp.time_quality,
            bootid=stamp.boot_id,
            monotonicms=stamp.monotonic_ms,
            kind=kind,
            data=dict(data),
            prev=head.hash,
            hash=NOTHING,
        )
    )
    try:
        check_size(rfc8785.dumps(entry.data), MAX_DATA_BYTES)
        return entry.model_copy(update={"hash": entry.digest()})
    except rfc8785.CanonicalizationError as error:
        msg = f"audit entry {kind}: {error}"
        raise MalformedError(msg) from None


def read_entry(line: bytes) -> AuditEntry:
    """Read a line of a trail; whether its hash is right, :meth:`AuditEntry.digest` tells.

    Raises:
        OversizeError: it is longer than :data:`MAX_LINE_BYTES`.
        MalformedError: it is no entry, or not in canonical form.
    """
    entry = parse(AuditEntry, line, limit=MAX_LINE_BYTES)
    if entry.line() != line:
        msg = "not in canonical form (RFC 8785)"
        raise MalformedError(msg)
    return entry


class Head(WireModel):
    """What a kiosk signs: its chain has come so far."""

    kiosk: KioskId
    chain: MessageId
    first: int = Field(ge=1, description="The oldest entry that it still holds.")
    number: int = Field(ge=1)
    hash: Sha256
    time: UtcTime


class AuditHead(Event, kind="audit.head", priority=Priority.EVENT):
    """The signed head of the kiosk's audit trail: daily, at start, and after what is recorded."""

    chain: MessageId
    number: int = Field(ge=1)
    hash: Sha256
    document: str = Field(
        max_length=_MAX_HEAD_BYTES, description="The signed head: a JWS in general JSON form."
    )
    kid: Name
    x: KeyBytes = Field(description="The kiosk's public key, Ed25519 in base64url.")


def announce(head: Head, key: DevicePrivateKey) -> AuditHead:
    """Sign a head; returns the event that tells it."""
    payload = rfc8785.dumps(head.model_dump(mode="json"))
    document = signature.sign(payload, [key], typ=TYP, limit=_MAX_HEAD_BYTES)
    return AuditHead(
        chain=head.chain,
        number=head.number,
        hash=head.hash,
        document=document.decode(),
        kid=key.kid,
        x=key.x,
    )


def open_head(document: bytes, keys: Mapping[str, OKPKey]) -> Head:
    """Verify a signed head and read it.

    Raises:
        OversizeError: it is too large.
        SignatureError: see :func:`contract.signature.verify`.
        MalformedError: it is no JWS, or what was signed is no head.
    """
    verified = signature.verify(document, keys, typ=TYP, limit=_MAX_HEAD_BYTES)
    return parse(Head, verified.payload, limit=_MAX_HEAD_BYTES)


class Seal(WireModel):
    """The last line of an exported trail: the signed head, and the key that made it."""

    head: dict[str, Any]
    key: DeviceKey

    def line(self) -> bytes:
        """Return it as it is exported, without an end of line."""
        return rfc8785.dumps(self.model_dump(mode="json"))


def seal_line(head: Head, key: DevicePrivateKey) -> bytes:
    """Return the last line of an exported trail, without an end of line."""
    return Seal(head=json.loads(announce(head, key).document), key=key.public()).line()
