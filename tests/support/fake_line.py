"""The client's side of the fake broker, and what the broker keeps of a client."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from telemetry.reasons import sent_away
from telemetry.transport import (
    PACKET_OVERHEAD_BYTES,
    ClosedError,
    ConnectOptions,
    Incoming,
    LinkError,
    NotAuthorisedError,
    RetainHandling,
)

if TYPE_CHECKING:
    from tests.support.fake_broker import FakeBroker

WHERE = "fake:1883"
_RECEIVE_MAXIMUM, _TOO_LARGE = 0x93, 0x95


@dataclass(frozen=True, slots=True)
class Message:
    """What a client published; ``client`` is its id, a will's is that of who left it."""

    topic: str
    payload: bytes
    retain: bool
    client: str
    deadline: float | None = None
    content_type: str | None = None


@dataclass(slots=True)
class Session:
    """What a broker keeps of a client."""

    subscriptions: set[str] = field(default_factory=set)
    waiting: deque[tuple[Message, bool]] = field(default_factory=deque)
    in_flight: dict[int, tuple[Message, bool]] = field(default_factory=dict)
    connection: "FakeConnection | None" = None
    expires: float | None = None
    will: asyncio.Task[None] | None = None


class FakeConnection:
    """:class:`~telemetry.transport.Connection` to a :class:`FakeBroker`."""

    def __init__(
        self,
        broker: "FakeBroker",
        options: ConnectOptions,
        session: Session,
        *,
        session_present: bool,
    ) -> None:
        self.options = options
        self.session = session
        self.session_present = session_present
        self.receive_maximum = broker.receive_maximum
        self.maximum_packet_size = broker.maximum_packet_size
        self.keepalive_s = broker.keepalive_s or options.keepalive_s
        self.stalled = False
        self._broker = broker
        self._on_ack: dict[int, Callable[[int], None]] = {}
        self._packet_ids = itertools.count(1)
        self._incoming: asyncio.Queue[Incoming | None] = asyncio.Queue()
        self._reason: LinkError | None = None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        on_ack: Callable[[int], None],
        retain: bool = False,
        expiry_s: int | None = None,
        content_type: str | None = None,
    ) -> None:
        self._check()
        packet_id = next(self._packet_ids)
        self._on_ack[packet_id] = on_ack
        deadline = None if expiry_s is None else self._broker.clock.monotonic() + expiry_s
        message = Message(topic, payload, retain, self.options.client_id, deadline, content_type)
        self._loop.call_soon(self._arrive, packet_id, message)

    def _arrive(self, packet_id: int, message: Message) -> None:
        if not self._stands():
            return
        size = len(message.topic) + len(message.payload) + PACKET_OVERHEAD_BYTES
        if self.maximum_packet_size is not None and size > self.maximum_packet_size:
            self._send_away(_TOO_LARGE, "Packet too large")
        elif len(self._on_ack) > self.receive_maximum:
            self._send_away(_RECEIVE_MAXIMUM, "Receive maximum exceeded")
        else:
            code = self._broker.take(message)
            self._broker.puback(lambda: self._loop.call_soon(self._acked, packet_id, code))

    def _send_away(self, code: int, name: str) -> None:
        self._broker.release(self, will=True)
        self.end(sent_away(WHERE, code, name))

    def _acked(self, packet_id: int, code: int) -> None:
        if self._stands() and packet_id in self._on_ack:
            self._on_ack.pop(packet_id)(code)

    async def subscribe(
        self, topic_filter: str, *, retain_handling: RetainHandling = RetainHandling.SEND
    ) -> None:
        self._check()
        await asyncio.sleep(0)
        if not self._stands():
            await self._ended.wait()
            self._check()
        if self._broker.denies(topic_filter):
            msg = f"the broker {WHERE} denies the subscription to {topic_filter}: Not authorized"
            raise NotAuthorisedError(msg)
        new = topic_filter not in self.session.subscriptions
        self.session.subscriptions.add(topic_filter)
        if retain_handling is RetainHandling.SEND or (
            retain_handling is RetainHandling.SEND_IF_NEW and new
        ):
            found = self._broker.retained_for(topic_filter)
            self.session.waiting.extend((message, True) for message in found)
            self.pump()

    def pump(self) -> None:
        """Deliver what waits, as far as the client's receive maximum goes."""
        while len(self.session.in_flight) < self.options.receive_maximum:
            found = self._broker.next_fresh(self.session.waiting)
            if found is None:
                return
            self.deliver(found[0], retained=found[1], duplicate=False)

    def deliver(self, message: Message, *, retained: bool, duplicate: bool) -> None:
        packet_id = next(self._packet_ids)
        self.session.in_flight[packet_id] = (message, retained)
        if not self._stands():
            return
        self._incoming.put_nowait(
            Incoming(
                message.topic,
                message.payload,
                retained,
                duplicate,
                self._broker.left_s(message),
                packet_id,
            )
        )

    async def next_message(self) -> Incoming:
        message = await self._incoming.get()
        if message is None:
            self._incoming.put_nowait(None)
            self._check()
            raise AssertionError
        return message

    def acknowledge(self, message: Incoming) -> None:
        if not self._stands():
            return
        if self._broker.lose_acknowledgements > 0:
            self._broker.lose_acknowledgements -= 1
            return
        self.session.in_flight.pop(message.packet_id, None)
        self.pump()

    async def wait_closed(self) -> LinkError:
        await self._ended.wait()
        assert self._reason is not None
        return self._reason

    async def disconnect(self, *, send_will: bool = False) -> None:
        if self._stands():
            self._broker.release(self, will=send_will)
        self.end(ClosedError(f"closed the connection to {WHERE}"))

    def end(self, reason: LinkError) -> None:
        """The client's side of the line ends."""
        if self._reason is None:
            self._reason = reason
            self._on_ack.clear()
            self._incoming.put_nowait(None)
            self._ended.set()

    def _stands(self) -> bool:
        return self._reason is None and not self.stalled

    def _check(self) -> None:
        if self._reason is not None:
            raise type(self._reason)(*self._reason.args)
