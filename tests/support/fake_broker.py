"""An MQTT 5 broker in memory: the semantics that the agent relies on, faults on demand.

Time is the injected clock's. Everything happens in the order of the calls, one turn of the event
loop later, as on a fast line.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from paho.mqtt.client import topic_matches_sub

from contract import Clock
from telemetry.reasons import connect_refused, sent_away
from telemetry.transport import (
    NO_MATCHING_SUBSCRIBERS,
    NOT_AUTHORISED,
    SUCCESS,
    ConnectOptions,
    HungUpError,
    LineLostError,
    LinkError,
    UnreachableError,
)
from tests.support.fake_line import WHERE, FakeConnection, Message, Session

_BAD_CREDENTIALS, _TAKEN_OVER = 0x86, 0x8E


class FakeBroker:
    """Faults are attributes and may be set at any time; the counters count down to zero."""

    def __init__(
        self,
        clock: Clock,
        *,
        receive_maximum: int = 65_535,
        maximum_packet_size: int | None = None,
        keepalive_s: int | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = clock
        self.receive_maximum = receive_maximum
        self.maximum_packet_size = maximum_packet_size
        self.keepalive_s = keepalive_s
        self.users = users
        self.denied: Iterable[str] = ()
        """Filters of topics that nobody may publish or subscribe to."""
        self.lose_pubacks = 0
        """So many messages are taken, and their PUBACK is lost."""
        self.repeat_pubacks = 0
        """So many PUBACKs come twice."""
        self.lose_acknowledgements = 0
        """So many acknowledgements by clients never arrive."""
        self.refuse: LinkError | None = None
        """What every connection attempt ends with."""
        self.silent = False
        """Connections are taken and nothing is ever answered."""
        self.published: list[Message] = []
        """All that was taken, in order."""
        self.connects: list[ConnectOptions] = []
        self._up = True
        self._held: list[Callable[[], Any]] | None = None
        self._sessions: dict[str, Session] = {}
        self._retained: dict[str, Message] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def transport(self) -> "FakeTransport":
        return FakeTransport(self)

    def connection(self, client_id: str) -> FakeConnection | None:
        session = self._sessions.get(client_id)
        return session.connection if session is not None else None

    def retained(self, topic: str) -> bytes | None:
        message = self._retained.get(topic)
        return message.payload if message is not None and self._fresh(message) else None

    def stop(self, *, forget: bool = False) -> None:
        """Go down; ``forget``: sessions and retained messages are gone."""
        self._up = False
        for client_id in list(self._sessions):
            self.cut(client_id, will=False)
        if forget:
            self._sessions.clear()
            self._retained.clear()

    def start(self) -> None:
        self._up = True

    def cut(self, client_id: str, *, will: bool = True) -> None:
        """Break a client's line; the broker sees it at once."""
        self._end(client_id, LineLostError(f"the connection to {WHERE} broke: reset"), will=will)

    def hang_up(self, client_id: str) -> None:
        """Close a client's line without a word, as Mosquitto 2.0 does when it restarts."""
        self._end(client_id, HungUpError(f"{WHERE} hung up"), will=True)

    def _end(self, client_id: str, error: LineLostError, *, will: bool) -> None:
        connection = self.connection(client_id)
        if connection is not None:
            self.release(connection, will=will)
            connection.end(error)

    def stall(self, client_id: str) -> None:
        """Make a line half-open: both sides think that it stands until their keep-alive ends."""
        connection = self.connection(client_id)
        if connection is None:
            return
        connection.stalled = True
        reason = LineLostError(f"nothing heard from {WHERE} within the keep-alive time")
        keepalive_s = connection.keepalive_s
        self._later(1.5 * keepalive_s, lambda: self.release(connection, will=True))
        self._later(2.0 * keepalive_s, lambda: connection.end(reason))

    def hold_pubacks(self) -> None:
        """Keep PUBACKs back until :meth:`let_pubacks_go`."""
        self._held = []

    def let_pubacks_go(self) -> None:
        held, self._held = self._held or [], None
        for send in held:
            send()

    def accept(self, options: ConnectOptions) -> FakeConnection:
        """Take a client in, or raise what its CONNACK says."""
        self.connects.append(options)
        if self.refuse is not None:
            raise self.refuse
        if not self._up:
            msg = f"nothing listens at {WHERE}: connection refused"
            raise UnreachableError(msg)
        if self.users is not None and (
            options.username is None or self.users.get(options.username) != options.password
        ):
            raise connect_refused(WHERE, _BAD_CREDENTIALS, "Bad user name or password")
        self._take_over(options.client_id)
        session = self._session(options)
        present = session is not None
        session = self._sessions.setdefault(options.client_id, session or Session())
        connection = FakeConnection(self, options, session, session_present=present)
        session.connection, session.expires = connection, None
        again = [(message, True) for message, _ in session.in_flight.values()]
        session.in_flight.clear()
        for message, retained in again:
            connection.deliver(message, retained=retained, duplicate=True)
        connection.pump()
        return connection

    def _take_over(self, client_id: str) -> None:
        connection = self.connection(client_id)
        if connection is not None:
            self.release(connection, will=True)
            connection.end(sent_away(WHERE, _TAKEN_OVER, "Session taken over"))

    def _session(self, options: ConnectOptions) -> Session | None:
        session = self._sessions.get(options.client_id)
        if session is None:
            return None
        over = session.expires is not None and session.expires <= self.clock.monotonic()
        if over or options.clean_start:
            del self._sessions[options.client_id]
            return None
        if session.will is not None:
            session.will.cancel()
        return session

    def release(self, connection: FakeConnection, *, will: bool) -> None:
        """The broker's side of a line ends: start the session's and the will's time."""
        session, options = connection.session, connection.options
        if session.connection is not connection:
            return
        session.connection = None
        session.expires = self.clock.monotonic() + options.session_expiry_s
        if will and options.will is not None:
            left = options.will
            message = Message(left.topic, left.payload, left.retain, options.client_id)
            delay_s = min(left.delay_s, options.session_expiry_s)
            session.will = self._later(delay_s, lambda: self.take(message))

    def take(self, message: Message) -> int:
        """Store and hand on a message; return the reason code of its PUBACK."""
        if self.denies(message.topic):
            return NOT_AUTHORISED
        self.published.append(message)
        if message.retain and message.payload:
            self._retained[message.topic] = message
        elif message.retain:
            self._retained.pop(message.topic, None)
        receivers = [
            session
            for session in self._sessions.values()
            if any(topic_matches_sub(one, message.topic) for one in session.subscriptions)
        ]
        for session in receivers:
            session.waiting.append((message, False))
            if session.connection is not None:
                session.connection.pump()
        return SUCCESS if receivers else NO_MATCHING_SUBSCRIBERS

    def denies(self, topic: str) -> bool:
        return any(topic_matches_sub(one, topic) for one in self.denied)

    def retained_for(self, topic_filter: str) -> list[Message]:
        return [
            message
            for topic, message in sorted(self._retained.items())
            if topic_matches_sub(topic_filter, topic) and self._fresh(message)
        ]

    def puback(self, send: Callable[[], Any]) -> None:
        if self.lose_pubacks > 0:
            self.lose_pubacks -= 1
            return
        if self._held is not None:
            self._held.append(send)
            return
        send()
        if self.repeat_pubacks > 0:
            self.repeat_pubacks -= 1
            send()

    def left_s(self, message: Message) -> int | None:
        if message.deadline is None:
            return None
        return round(message.deadline - self.clock.monotonic())

    def _fresh(self, message: Message) -> bool:
        return message.deadline is None or message.deadline > self.clock.monotonic()

    def next_fresh(self, waiting: deque[tuple[Message, bool]]) -> tuple[Message, bool] | None:
        while waiting:
            message, retained = waiting.popleft()
            if self._fresh(message):
                return message, retained
        return None

    def _later(self, seconds: float, action: Callable[[], Any]) -> asyncio.Task[None]:
        async def wait() -> None:
            await self.clock.sleep(seconds)
            action()

        return self._spawn(wait())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class FakeTransport:
    """:class:`~telemetry.transport.Transport` to a :class:`FakeBroker`."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    async def connect(self, options: ConnectOptions) -> FakeConnection:
        await asyncio.sleep(0)
        if self._broker.silent:
            await self._broker.clock.sleep(options.connect_timeout_s)
            msg = f"no answer from {WHERE} within {options.connect_timeout_s:g} s"
            raise UnreachableError(msg)
        return self._broker.accept(options)
