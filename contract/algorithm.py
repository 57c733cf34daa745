"""The signature algorithm: a setting, so that a national one can take Ed25519's place.

To add one: a model of it in joserfc's terms (``JWSAlgModel``), registered under its JWS name,
an entry in :data:`ALGORITHMS`, and a key model beside :class:`contract.keys.OperatorKey`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from joserfc import jws

AlgorithmName = Literal["Ed25519"]
"""What the setting may say."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A way to sign."""

    name: AlgorithmName
    """Its JWS name (``alg``), which new signatures carry."""
    names: frozenset[str]
    """Every JWS name that means it."""
    registry: jws.JWSRegistry
    """Knows it under these names, and nothing else: no header can choose another one."""


def _ed25519() -> Algorithm:
    # EdDSA is the older name of the same algorithm (RFC 8037, deprecated by RFC 9864).
    names = ("Ed25519", "EdDSA")
    registry = jws.JWSRegistry(algorithms=list(names))
    registry.algorithms = dict.fromkeys(names, jws.JWSRegistry.algorithms["Ed25519"])
    return Algorithm("Ed25519", frozenset(names), registry)


ED25519 = _ed25519()
ALGORITHMS: Mapping[AlgorithmName, Algorithm] = MappingProxyType({"Ed25519": ED25519})
