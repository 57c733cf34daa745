"""A kiosk's own key: an Ed25519 JSON Web Key (RFC 8037) that vouches for what the kiosk records."""

from typing import Literal

from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode
from pydantic import Field, model_validator

from contract.keys import KeyBytes
from contract.wire import Name, WireModel


class DeviceKey(WireModel):
    """The public half. Its id follows from it, so that nobody can pass off another key for it."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    kid: Name = Field(description="`kiosk-` and 128 bits of the key's thumbprint (RFC 7638).")
    x: KeyBytes = Field(description="The public key.")

    @model_validator(mode="after")
    def _named_after_itself(self) -> "DeviceKey":
        if self.kid != _kid(self.verifier()):
            msg = f"kid {self.kid} is not the id of this key"
            raise ValueError(msg)
        return self

    @classmethod
    def of(cls, x: KeyBytes) -> "DeviceKey":
        """Return the key with these public bytes."""
        kid = _kid(OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x}))
        return DeviceKey(kid=kid, x=x)

    def verifier(self) -> OKPKey:
        """Return the key in the form that verifies a signature."""
        return OKPKey.import_key({"kty": self.kty, "crv": self.crv, "x": self.x})


class DevicePrivateKey(DeviceKey):
    """The key that signs. Never leaves the kiosk."""

    d: KeyBytes = Field(repr=False, description="The private key.")

    @model_validator(mode="after")
    def _belongs_together(self) -> "DevicePrivateKey":
        if self.signer().public_key.public_bytes_raw() != urlsafe_b64decode(self.x.encode()):
            msg = f"key {self.kid}: x is not the public key of d"
            raise ValueError(msg)
        return self

    @classmethod
    def generate(cls) -> "DevicePrivateKey":
        """Make a new key."""
        key = OKPKey.generate_key("Ed25519")
        halves = key.as_dict(private=True)
        return cls(kid=_kid(key), x=str(halves["x"]), d=str(halves["d"]))

    def signer(self) -> OKPKey:
        """Return the key in the form that signs."""
        return OKPKey.import_key({"kty": self.kty, "crv": self.crv, "x": self.x, "d": self.d})

    def public(self) -> DeviceKey:
        """Return what others may know."""
        return DeviceKey(kid=self.kid, x=self.x)


def _kid(key: OKPKey) -> str:
    return f"kiosk-{urlsafe_b64decode(key.thumbprint().encode()).hex()[:32]}"
