"""Pseudonyms of plates and persons: the same for a day or so, and worth nothing after.

There are few enough plates and document numbers to try them all, so the secrecy of a pseudonym is
that of its key. The key is made on the box, never leaves it, and is overwritten when its time is
over: from then on nobody, the kiosk included, can tell what an old pseudonym stood for, or that
two of different keys are of one plate or person. (Flash memory may keep a copy of what was
overwritten until it is used again; who must rule that out encrypts the disk.)
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

import structlog
from pydantic import StringConstraints

from agent.state_file import StateFile
from contract import Clock, ContractError, Stamp
from contract.wire import WireModel, parse_kept

MAX_FILE_BYTES = 4096
LOOK_S = 3600.0
"""How often the key's age is looked at, and what it lived is written down."""
_DAY_S = 86_400.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """What stands for a text."""

    value: str
    """128 bits of HMAC-SHA-256, in hexadecimal."""
    key_id: str
    """Random; another one after each rotation."""


class _Key(WireModel):
    """The file."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
    secret: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    made: Stamp
    lived_s: float
    """For how long the agent ran with it, at least."""


class Pseudonyms:
    """Gives texts their pseudonyms, and keeps the key.

    The key rotates when its time has passed by a clock that was right at both ends, or when the
    agent has run so long with it: a clock that is wrong, jumps or starts in 1970 neither
    rotates it early nor keeps it for ever.

    Args:
        store: the key's file.
        clock: tells its age.
        rotation_days: how long a key lives; asked each time.
    """

    def __init__(
        self, store: StateFile, *, clock: Clock, rotation_days: Callable[[], float]
    ) -> None:
        self._store = store
        self._clock = clock
        self._rotation_days = rotation_days
        self._working = asyncio.Lock()
        self._key: _Key | None = None
        self._counted_s = 0.0
        """Up to when ``lived_s`` counts, on the monotonic clock."""

    async def of(self, text: str, purpose: str) -> Pseudonym:
        """Return the pseudonym of a text, which serves one purpose alone.

        Where it stands beside the text, it must not tell what one elsewhere stands for.
        """
        async with self._working:
            key = await self._current()
        told = f"{purpose}\0{text}".encode()
        digest = hmac.new(bytes.fromhex(key.secret), told, sha256).hexdigest()
        return Pseudonym(digest[:32], key.id)

    async def run(self) -> None:
        """Rotate the key in time though nobody asks; until cancelled."""
        while True:
            async with self._working:
                key = await self._current()
                await self._keep(key)
            await self._clock.sleep(LOOK_S)

    async def _current(self) -> _Key:
        if self._key is None:
            self._key = await asyncio.to_thread(self._load)
            self._counted_s = self._clock.monotonic()
        key, now = self._key, self._clock.monotonic()
        if key is not None:
            key = key.model_copy(update={"lived_s": key.lived_s + max(0.0, now - self._counted_s)})
        self._counted_s = now
        if key is None or _age_s(key, self._clock.stamp()) >= self._rotation_days() * _DAY_S:
            key = _Key(
                id=secrets.token_hex(4),
                secret=secrets.token_hex(32),
                made=self._clock.stamp(),
                lived_s=0.0,
            )
            # In force at once: a disk that fails must not keep the old key alive.
            self._key = key
            await self._keep(key)
            log.info("pseudonym_key_made", key_id=key.id)
        self._key = key
        return key

    async def _keep(self, key: _Key) -> None:
        try:
            await asyncio.to_thread(self._store.save, key.model_dump_json().encode())
        except OSError as error:
            log.warning("pseudonym_key_not_kept", key_id=key.id, error=str(error))

    def _load(self) -> _Key | None:
        try:
            content = self._store.load()
            return None if content is None else parse_kept(_Key, content)
        except (OSError, ContractError) as error:
            log.warning("pseudonym_key_unusable", error=type(error).__name__)  # never what it says
            return None


def _age_s(key: _Key, now: Stamp) -> float:
    """Return the least that a key's age can be, as far as clocks can be believed."""
    passed = 0.0
    if key.made.time_quality == now.time_quality == "synced":
        passed = (now.time - key.made.time).total_seconds()
    return max(key.lived_s, passed)
