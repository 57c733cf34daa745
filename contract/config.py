"""``down/config`` and ``up/config``: the desired and the reported configuration.

Desired settings are tables of the settings file, laid over the file on the kiosk. The hash of a
version is SHA-256 over its settings in canonical form (RFC 8785).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import rfc8785
from joserfc.jwk import OKPKey
from pydantic import Field

from contract import signature
from contract.actions import Sha256
from contract.algorithm import ED25519, Algorithm
from contract.errors import MalformedError
from contract.ids import MessageId
from contract.keys import PrivateKey
from contract.limits import MAX_COMMAND_BYTES
from contract.message import Data, Event
from contract.wire import KioskId, Name, Text, UtcTime, WireModel, parse

TYP = "kiosk-config"
"""What a signature under a desired configuration says that it was given for."""


class DesiredConfig(WireModel):
    """What the centre wants a kiosk to run with; published retained, in force until a newer one.

    It has no dates: a version counts once, and only when it is higher than any tried before.
    """

    id: MessageId
    kiosk: KioskId
    version: int = Field(ge=1, lt=2**53)
    settings: dict[str, Any]
    reason: Text = ""
    ticket: Text | None = None


class ConfigReport(Data, type_="kiosk.config.v1", suffix="up/config", retain=True):
    """What is in force, said on every connect and at each change."""

    version: int = Field(ge=0, description="0: nothing was ever pushed.")
    hash: Sha256 = Field(description="Of the pushed settings in force.")
    state: Literal["confirmed", "trying"]
    since: UtcTime | None = Field(default=None, description="In force since then.")
    settings: dict[str, Any] = Field(description="All settings in force, without secrets.")
    failed_version: int | None = Field(default=None, description="The last that went back.")
    last_error: Text | None = Field(default=None, description="Why it went back.")


class ConfigChanged(Event, kind="config.changed"):
    """A pushed configuration was confirmed, went back, or was refused."""

    version: int
    hash: Sha256 | None = None
    outcome: Literal["confirmed", "rolled_back", "refused"]
    text: Text = Field(default="", description="Why it went back or was refused.")
    changed: tuple[Name, ...] = Field(default=(), description="Tables that differ from before.")
    signers: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedConfig:
    """A desired configuration and the ids of the keys that vouch for it."""

    desired: DesiredConfig
    signers: tuple[str, ...]


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Return the hash of pushed settings, 64 hexadecimal digits.

    Raises:
        MalformedError: they hold what JSON cannot say exactly, such as an integer above 2**53.
    """
    try:
        return hashlib.sha256(rfc8785.dumps(dict(settings))).hexdigest()
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        msg = f"settings: {error}"
        raise MalformedError(msg) from None


def sign_config(desired: DesiredConfig, keys: Sequence[PrivateKey]) -> bytes:
    """Return the MQTT payload of a desired configuration.

    Raises:
        OversizeError: it would be larger than :data:`~contract.limits.MAX_COMMAND_BYTES`.
    """
    payload = desired.model_dump_json(exclude_none=True).encode()
    return signature.sign(payload, keys, typ=TYP, limit=MAX_COMMAND_BYTES)


def open_config(
    document: bytes, keys: Mapping[str, OKPKey], *, algorithm: Algorithm = ED25519
) -> SignedConfig:
    """Verify a desired configuration and read it.

    Raises:
        OversizeError: it is larger than :data:`~contract.limits.MAX_COMMAND_BYTES`.
        SignatureError: see :func:`contract.signature.verify`.
        MalformedError: it is no JWS, or what was signed is no configuration.
    """
    verified = signature.verify(
        document, keys, typ=TYP, limit=MAX_COMMAND_BYTES, algorithm=algorithm
    )
    desired = parse(DesiredConfig, verified.payload, limit=MAX_COMMAND_BYTES)
    return SignedConfig(desired=desired, signers=verified.signers)
