"""Operators' keys and the commands that they sign."""

from joserfc.jwk import OKPKey

from contract.command import Command
from contract.ids import uuid7
from contract.keys import PrivateKey
from tests.support.clock import START

NOW_S = int(START.timestamp())


def make_key(kid: str, **fields) -> PrivateKey:
    """A fresh key; its owner is an operator where ``role`` does not say otherwise."""
    raw = OKPKey.generate_key("Ed25519").as_dict(private=True)
    fields = {"kid": kid, "name": kid.title(), "role": "operator", **fields}
    return PrivateKey(x=raw["x"], d=raw["d"], **fields)


def make_command(**fields) -> Command:
    """A ping to k-1, valid for ten minutes from the start of the manual clock."""
    base = {
        "id": uuid7(NOW_S * 1000),
        "kiosk": "k-1",
        "action": "ping",
        "args": {"echo": "你好"},
        "reason": "look",
        "nbf": NOW_S,
        "exp": NOW_S + 600,
        "ttl_s": 600,
    }
    return Command(**base | fields)
