"""The operators' keys: Ed25519 JSON Web Keys (RFC 7517, RFC 8037) with a name and a role.

A kiosk pins the public ones in a key set; ``kioskctl`` makes them and keeps the private one.
``nbf`` and ``exp`` bound a key's validity, in seconds since 1970 like those of a command.
"""

import hashlib
import unicodedata
from binascii import Error as Base64Error
from typing import Annotated, Literal, get_args

import rfc8785
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from contract.limits import MAX_KEY_SET_BYTES
from contract.wire import Name, Text, WireModel, parse

Role = Literal["viewer", "operator", "supervisor", "maintainer"]
ROLES: frozenset[Role] = frozenset(get_args(Role))
_LATEST_S = 253_402_300_799
"""A key set has a canonical form (RFC 8785), which cannot say every integer."""
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Beside format characters and variation selectors: joiners, fillers and the empty Braille sign."""


def _check_32_bytes(value: str) -> str:
    try:
        key = urlsafe_b64decode(value.encode())
    except Base64Error:
        key = b""
    # Decoders pass over what they do not know: one key must have one text.
    if len(key) != 32 or urlsafe_b64encode(key).decode() != value:
        msg = "32 bytes in base64url without padding are expected"
        raise ValueError(msg)
    return value


KeyBytes = Annotated[str, StringConstraints(max_length=64), AfterValidator(_check_32_bytes)]


def _is_invisible(sign: str) -> bool:
    """Whether a reader sees nothing of it, and it is no space (Unicode, DerivedCoreProperties)."""
    return not sign.isspace() and (
        unicodedata.category(sign) in {"Cc", "Cf"}
        or sign in _INVISIBLE
        or "VARIATION SELECTOR" in unicodedata.name(sign, "")
    )


class OperatorKey(WireModel):
    """A public key and whose it is."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    kid: Name
    x: KeyBytes = Field(description="The public key.")
    name: Text = Field(min_length=1)
    role: Role
    nbf: int | None = Field(default=None, description="Not valid before, seconds since 1970.")
    exp: int | None = Field(default=None, description="Not valid from then on, seconds since 1970.")
    use: Literal["sig"] | None = None
    alg: Literal["Ed25519", "EdDSA"] | None = None

    @model_validator(mode="after")
    def _validity(self) -> "OperatorKey":
        if not all(
            0 <= moment <= _LATEST_S for moment in (self.nbf, self.exp) if moment is not None
        ):
            msg = f"key {self.kid}: nbf and exp are seconds from 1970 to the year 9999"
            raise ValueError(msg)
        if self.nbf is not None and self.exp is not None and self.exp <= self.nbf:
            msg = f"key {self.kid}: exp must be later than nbf"
            raise ValueError(msg)
        return self

    @property
    def person(self) -> str:
        """Whose key it is: several keys of one name, as the eye reads it, are one person."""
        folded = unicodedata.normalize("NFKC", self.name).casefold()
        seen = "".join(sign for sign in folded if not _is_invisible(sign))
        return " ".join(unicodedata.normalize("NFKC", seen).split())

    def valid_at(self, unix_s: float) -> bool:
        """Whether the key may sign at this moment."""
        return (self.nbf is None or self.nbf <= unix_s) and (self.exp is None or unix_s < self.exp)

    def verifier(self) -> OKPKey:
        """Return the key in the form that verifies a signature."""
        return OKPKey.import_key({"kty": self.kty, "crv": self.crv, "x": self.x})


class PrivateKey(OperatorKey):
    """A key that signs. Never leaves its owner's machine."""

    d: KeyBytes = Field(repr=False, description="The private key.")

    @model_validator(mode="after")
    def _belongs_together(self) -> "PrivateKey":
        if self.signer().public_key.public_bytes_raw() != urlsafe_b64decode(self.x.encode()):
            msg = f"key {self.kid}: x is not the public key of d"
            raise ValueError(msg)
        return self

    def signer(self) -> OKPKey:
        """Return the key in the form that signs."""
        return OKPKey.import_key({"kty": self.kty, "crv": self.crv, "x": self.x, "d": self.d})

    def public(self) -> OperatorKey:
        """Return what others may know."""
        return OperatorKey.model_validate(self.model_dump(exclude={"d"}))


class KeySet(WireModel):
    """A JWK Set of operators' public keys, each ``kid`` and each key once."""

    keys: tuple[OperatorKey, ...]

    @model_validator(mode="after")
    def _unique(self) -> "KeySet":
        seen: set[str] = set()
        owners: dict[str, str] = {}
        for key in self.keys:
            if key.kid in seen:
                msg = f"kid {key.kid!r} appears twice"
                raise ValueError(msg)
            seen.add(key.kid)
            # Under two names, it would let one person sign for two.
            if (other := owners.setdefault(key.x, key.kid)) != key.kid:
                msg = f"{other!r} and {key.kid!r} are the same key"
                raise ValueError(msg)
        return self


def parse_key_set(document: bytes) -> KeySet:
    """Read a JWK Set; raises :class:`~contract.errors.ContractError`."""
    return parse(KeySet, document, limit=MAX_KEY_SET_BYTES)


def fingerprint(keys: KeySet) -> str:
    """Return SHA-256 over the set in canonical form (RFC 8785), keys sorted by their ids."""
    ordered = sorted(keys.keys, key=lambda key: key.kid)
    document = {"keys": [key.model_dump(mode="json", exclude_none=True) for key in ordered]}
    return hashlib.sha256(rfc8785.dumps(document)).hexdigest()
