"""A hostile broker: it stands between the centre and the kiosks, and does what it likes.

What the centre publishes on ``down/command`` is forwarded, dropped, held back and sent out of
order, repeated, sent again much later, changed by a bit, given to another kiosk, rewritten for
another kiosk, or published with the retain flag. It owns the broker, not the operators' keys.
"""

import asyncio
import json
import random
from collections import Counter

import aiomqtt
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

_OLD_KEPT = 200
DEEDS = (
    *("forward", "drop", "hold", "release", "repeat"),
    *("replay", "alter", "redirect", "rewrite", "retain"),
)

_Sent = tuple[str, bytes, bool]
"""Topic, payload, and whether it is retained."""


class HostileBroker:
    """Relays from the broker at ``front`` to the one at ``back``, as told by ``chance``."""

    def __init__(self, front: int, back: int, kiosks: list[str], chance: random.Random):
        self._ports = front, back
        self._kiosks = kiosks
        self._chance = chance
        self._old: list[bytes] = []
        self._held: list[_Sent] = []
        self.calm = False
        """From now on everything is forwarded as it is."""
        self.done: Counter[str] = Counter()
        """How often it did what."""
        self.ready = asyncio.Event()

    async def run(self) -> None:
        front, back = self._ports
        async with (
            aiomqtt.Client("127.0.0.1", front, protocol=aiomqtt.ProtocolVersion.V5) as centre,
            aiomqtt.Client("127.0.0.1", back, protocol=aiomqtt.ProtocolVersion.V5) as kiosks,
        ):
            await centre.subscribe("kiosk/v1/+/down/command", qos=1)
            self.ready.set()
            async for message in centre.messages:
                assert isinstance(message.payload, bytes)
                kiosk = message.topic.value.split("/")[2]
                for topic, payload, retain in self._twist(kiosk, message.payload):
                    await kiosks.publish(topic, payload, qos=1, retain=retain)

    def _twist(self, kiosk: str, payload: bytes) -> list[_Sent]:
        topic = _topic(kiosk)
        if self.calm:
            return [(topic, payload, False)]
        self._old = [*self._old[-_OLD_KEPT:], payload]
        deed = self._chance.choice(DEEDS)
        self.done[deed] += 1
        return getattr(self, f"_{deed}")(kiosk, payload)

    def _forward(self, kiosk: str, payload: bytes) -> list[_Sent]:
        return [(_topic(kiosk), payload, False)]

    def _drop(self, _kiosk: str, _payload: bytes) -> list[_Sent]:
        return []

    def _hold(self, kiosk: str, payload: bytes) -> list[_Sent]:
        self._held.append((_topic(kiosk), payload, False))
        return []

    def _release(self, kiosk: str, payload: bytes) -> list[_Sent]:
        held, self._held = self._held[::-1], []
        return [(_topic(kiosk), payload, False), *held]

    def _repeat(self, kiosk: str, payload: bytes) -> list[_Sent]:
        return [(_topic(kiosk), payload, False)] * 5

    def _replay(self, _kiosk: str, _payload: bytes) -> list[_Sent]:
        old = self._chance.sample(self._old, min(10, len(self._old)))
        return [(_topic(self._chance.choice(self._kiosks)), one, False) for one in old]

    def _alter(self, kiosk: str, payload: bytes) -> list[_Sent]:
        return [(_topic(kiosk), self._altered(payload), False) for _ in range(3)]

    def _redirect(self, kiosk: str, payload: bytes) -> list[_Sent]:
        return [(_topic(self._other(kiosk)), payload, False)]

    def _rewrite(self, kiosk: str, payload: bytes) -> list[_Sent]:
        other = self._other(kiosk)
        return [(_topic(other), _rewritten(payload, kiosk, other), False)]

    def _retain(self, kiosk: str, payload: bytes) -> list[_Sent]:
        return [(_topic(kiosk), payload, True)]

    def _other(self, kiosk: str) -> str:
        return next(name for name in self._kiosks if name != kiosk)

    def _altered(self, payload: bytes) -> bytes:
        changed = bytearray(payload)
        changed[self._chance.randrange(len(changed))] ^= 1 << self._chance.randrange(8)
        return bytes(changed)


def _topic(kiosk: str) -> str:
    return f"kiosk/v1/{kiosk}/down/command"


def _rewritten(payload: bytes, kiosk: str, other: str) -> bytes:
    """The same signatures over a payload that names another kiosk."""
    document = json.loads(payload)
    inner = urlsafe_b64decode(document["payload"].encode())
    changed = urlsafe_b64encode(inner.replace(kiosk.encode(), other.encode()))
    return json.dumps(document | {"payload": changed.decode()}).encode()
