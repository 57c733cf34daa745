"""What the link says itself, beside the outbox: ``up/state``, ``up/config``, ``up/media``.

These have no sequence number: a birth must be fresh, a will that is never sent would leave a
hole, and a picture is for the one who asked.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from contract import Clock, ContractError, Topics, seal
from contract.config import ConfigReport
from contract.limits import MAX_MEDIA_BYTES
from contract.message import CONTENT_TYPE
from contract.state import Service, State
from telemetry.sender import SILENCE_S
from telemetry.transport import (
    NOT_AUTHORISED,
    PACKET_OVERHEAD_BYTES,
    Connection,
    LineLostError,
    LinkError,
    NotAuthorisedError,
    RefusedError,
)

MEDIA_EXPIRY_S = 300
"""A picture that nobody fetched from the broker by then is not waited for any more."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What the kiosk says of itself on every connect."""

    agent_version: str
    started: datetime
    capabilities: tuple[str, ...]
    services: tuple[Service, ...]
    config_version: int | None = None


class Voice:
    """Says it over a connection, and waits until the broker has it.

    Every method returns why the broker did not take it, or None, and raises ``LinkError`` where
    the line broke before there was an answer. At most two messages are on the way at a time.

    Args:
        topics: the kiosk's topics.
        clock: the time of patience and stamps.
        birth: tells what to say on ``up/state``.
        report: tells what to say on ``up/config``; without it nothing is said there.
        last_sequence: the highest sequence number given out.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        clock: Clock,
        birth: Callable[[], Birth],
        report: Callable[[], ConfigReport] | None,
        last_sequence: Callable[[], int],
    ) -> None:
        self._topics = topics
        self._clock = clock
        self._birth = birth
        self._report = report
        self._last_sequence = last_sequence
        # The sender leaves two places in the broker's window: one for each of these.
        self._saying, self._sending_media = asyncio.Lock(), asyncio.Lock()

    async def say_state(
        self, connection: Connection, state: Literal["online", "stopping"], session: int
    ) -> LinkError | None:
        """Say the birth, or that we leave."""
        async with self._saying:
            payload = self.state(state, session)
            return await self._deliver(connection, self._topics.state, payload, retain=True)

    async def say_config(self, connection: Connection) -> LinkError | None:
        """Say what is in force."""
        if self._report is None:
            return None
        async with self._saying:
            report = self._report()
            topic = self._topics.up(report.SUFFIX)
            try:
                payload = self._sealed(report)
            except ContractError:  # larger than a message may be: the rest still counts
                payload = self._sealed(report.model_copy(update={"settings": {}}))
            return await self._deliver(connection, topic, payload, retain=True)

    async def send_media(
        self, connection: Connection, command_id: str, payload: bytes, content_type: str
    ) -> LinkError | None:
        """Send a picture or archive that a command asked for."""
        topic, limit = self._topics.media(command_id), MAX_MEDIA_BYTES
        if connection.maximum_packet_size is not None:
            room = connection.maximum_packet_size - len(topic) - PACKET_OVERHEAD_BYTES
            limit = min(limit, room)
        if len(payload) > limit:
            msg = f"{len(payload)} bytes are more than can be sent here (at most {limit})"
            return RefusedError(msg)
        async with self._sending_media:
            return await self._deliver(
                connection, topic, payload, content_type=content_type, expiry_s=MEDIA_EXPIRY_S
            )

    def state(self, state: Literal["online", "stopping", "offline"], session: int) -> bytes:
        """Return the payload of a birth, a goodbye or a will."""
        birth = self._birth()
        said: dict[str, Any] = {
            "state": state,
            "session": session,
            "last_sequence": self._last_sequence(),
            "agent_version": birth.agent_version,
        }
        if state == "online":
            said |= {
                "started": birth.started,
                "config_version": birth.config_version,
                "capabilities": birth.capabilities,
                "services": birth.services,
            }
        return self._sealed(State.model_validate(said))

    def _sealed(self, data: State | ConfigReport) -> bytes:
        stamp = self._clock.stamp()
        return seal(data, kiosk=self._topics.kiosk, stamp=stamp, sequence=None).payload

    async def _deliver(
        self,
        connection: Connection,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        content_type: str = CONTENT_TYPE,
    ) -> LinkError | None:
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answer(reason: int) -> None:
            if not answered.done():
                answered.set_result(reason)

        connection.publish(
            topic,
            payload,
            on_ack=answer,
            retain=retain,
            expiry_s=expiry_s,
            content_type=content_type,
        )
        patience_s = expiry_s or SILENCE_S
        closed = asyncio.ensure_future(connection.wait_closed())
        patience = asyncio.ensure_future(self._clock.sleep(patience_s))
        try:
            await asyncio.wait((answered, closed, patience), return_when=asyncio.FIRST_COMPLETED)
            if answered.done():
                return _judge(topic, answered.result())
            if closed.done():
                raise closed.result()
            msg = f"the broker did not acknowledge {topic} in {patience_s:.0f} s"
            raise LineLostError(msg)
        finally:
            closed.cancel()
            patience.cancel()


def _judge(topic: str, reason: int) -> LinkError | None:
    if reason < 0x80:
        return None
    if reason == NOT_AUTHORISED:
        return NotAuthorisedError(
            f"the broker does not let this kiosk write {topic} (reason 0x{reason:02x}); "
            "check its rights"
        )
    return RefusedError(f"the broker does not take {topic} (reason 0x{reason:02x})")
