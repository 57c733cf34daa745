"""Identifiers on the wire."""

import secrets
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

MessageId = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    ),
]
"""A UUIDv7 in its canonical text form."""

Challenge = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]
"""128 random bits in base64url: proof that a command was signed after they were given out."""


def uuid7(unix_ms: int) -> str:
    """Make a UUIDv7 (RFC 9562, 5.7) for a moment: 48 bits of milliseconds, 74 random ones."""
    value = (unix_ms & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=value))


def uuid7_at(time: datetime) -> str:
    """Make a UUIDv7 for a moment."""
    return uuid7(int(time.timestamp() * 1000))


def new_challenge() -> str:
    """Make a :data:`Challenge`."""
    return secrets.token_urlsafe(16)
