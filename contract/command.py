"""``down/command``: what an operator asks of one kiosk, signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import OKPKey
from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import to_json

from contract import signature
from contract.algorithm import ED25519, Algorithm
from contract.errors import ContractError
from contract.ids import Challenge, MessageId
from contract.keys import PrivateKey
from contract.limits import MAX_COMMAND_BYTES
from contract.wire import KioskId, Name, Text, WireModel, parse, parse_object

TYP = "kiosk-command"
"""What a signature under a command says that it was given for."""

MAX_VALIDITY_S = 7 * 86_400
"""From ``nbf`` to ``exp``: a signed command is not a permanent licence."""
MAX_DATE_S = 253_402_300_799
"""The end of the year 9999: what comes later is no date."""


class Command(WireModel):
    """One order to one kiosk. Times are in seconds since 1970 (JWT's NumericDate)."""

    id: MessageId
    kiosk: KioskId
    action: Name
    args: dict[str, Any] = Field(default_factory=dict)
    reason: Text = Field(default="", description="Why, in a sentence.")
    ticket: Text | None = Field(default=None, description="Number of the case it belongs to.")
    nbf: int = Field(ge=0, description="Not to be done before.")
    exp: int = Field(ge=0, description="Not to be begun from then on.")
    ttl_s: int = Field(
        ge=1, le=MAX_VALIDITY_S, description="Not to be begun later than this after receipt."
    )

    challenge: Challenge | None = Field(
        default=None,
        description="From a receipt with code clock: the kiosk then asks no clock for the dates.",
    )
    answers: MessageId | None = Field(
        default=None, description="With a challenge: the command that was refused with it."
    )

    def args_json(self) -> bytes:
        """Return the arguments as JSON, for the strict model of the action."""
        return to_json(self.args)

    @model_validator(mode="after")
    def _validity(self) -> "Command":
        if not 0 < self.exp - self.nbf <= MAX_VALIDITY_S:
            msg = f"exp must be later than nbf, by at most {MAX_VALIDITY_S} s"
            raise ValueError(msg)
        if self.exp > MAX_DATE_S:
            msg = "exp is later than the year 9999"
            raise ValueError(msg)
        if (self.challenge is None) != (self.answers is None):
            msg = "challenge and answers go together"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class SignedCommand:
    """A command and the ids of the keys that vouch for it."""

    command: Command
    signers: tuple[str, ...]


def sign_command(command: Command, keys: Sequence[PrivateKey]) -> bytes:
    """Return the MQTT payload of a command.

    Raises:
        OversizeError: it would be larger than :data:`~contract.limits.MAX_COMMAND_BYTES`.
    """
    payload = command.model_dump_json(exclude_none=True).encode()
    return signature.sign(payload, keys, typ=TYP, limit=MAX_COMMAND_BYTES)


def cosign_command(document: bytes, key: PrivateKey) -> bytes:
    """Add a signature to a command that others have signed; returns the new payload.

    Raises:
        OversizeError: it would be larger than :data:`~contract.limits.MAX_COMMAND_BYTES`.
        MalformedError: it is no JWS, or what was signed is no command.
        SignatureError: this key has signed it already.
    """
    read_unverified(document)
    return signature.add(document, key, typ=TYP, limit=MAX_COMMAND_BYTES)


def read_unverified(document: bytes) -> Command:
    """Return what a signed command claims to ask for. Nobody vouches for it.

    Raises:
        OversizeError: it is larger than :data:`~contract.limits.MAX_COMMAND_BYTES`.
        MalformedError: it is no JWS, or what was signed is no command.
    """
    payload = signature.unverified_payload(document, limit=MAX_COMMAND_BYTES)
    return parse(Command, payload, limit=MAX_COMMAND_BYTES)


def open_command(
    document: bytes, keys: Mapping[str, OKPKey], *, algorithm: Algorithm = ED25519
) -> SignedCommand:
    """Verify a command and read it.

    Raises:
        OversizeError: it is larger than :data:`~contract.limits.MAX_COMMAND_BYTES`.
        SignatureError: see :func:`contract.signature.verify`.
        MalformedError: it is no JWS, or what was signed is no command.
    """
    verified = signature.verify(
        document, keys, typ=TYP, limit=MAX_COMMAND_BYTES, algorithm=algorithm
    )
    command = parse(Command, verified.payload, limit=MAX_COMMAND_BYTES)
    return SignedCommand(command=command, signers=verified.signers)


def claimed_id(document: bytes) -> str | None:
    """Return the id that an unverified command claims to have, where it can be read at all."""
    try:
        payload = signature.unverified_payload(document, limit=MAX_COMMAND_BYTES)
        claim = parse_object(payload, limit=MAX_COMMAND_BYTES).get("id")
        return TypeAdapter(MessageId).validate_python(claim, strict=True)
    except (ContractError, ValidationError):
        return None
