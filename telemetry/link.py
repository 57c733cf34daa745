"""The line to the broker: a state machine that keeps one connection after the other alive."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from contract import Clock, Topics
from contract.config import ConfigReport
from telemetry.backoff import Backoff
from telemetry.outbox import Outbox
from telemetry.sender import OnDenied, Sender
from telemetry.settings import LinkSettings, OutboxSettings
from telemetry.transport import (
    Connection,
    ConnectOptions,
    HungUpError,
    Incoming,
    LineLostError,
    LinkError,
    RefusedError,
    RetainHandling,
    SessionTakenError,
    TlsOptions,
    Transport,
    Will,
)
from telemetry.voice import Birth, Voice

TWIN_HANG_UPS = 3
TWIN_WINDOW_S = 600.0
"""So many hang-ups in so long look like a second client with our id."""
HANDLE_AGAIN_S = 5.0
STABLE_S = 30.0
"""A connection that lived this long was a good one: the next pause starts small again."""
MEDIA_LINES = 3
"""A picture with which so many lines broke is given up: it may be what breaks them."""
_GOODBYE_S = 2.0

log = structlog.get_logger()


class LinkState(StrEnum):
    """Where the link is in its life."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    ONLINE = "online"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to do with the messages of a topic below the kiosk's own."""

    topic: str
    handle: Callable[[Incoming], Awaitable[None]]
    """The message is acknowledged when this returns; where it raises, it is tried again."""
    retain_handling: RetainHandling = RetainHandling.SEND


class Link:
    """Connects, subscribes, says who it is, sends the outbox, and does so again for ever.

    Args:
        transport: makes connections.
        outbox: what there is to send.
        topics: the kiosk's topics.
        settings: the broker and the pauses.
        outbox_settings: window and rate.
        clock: the time of pauses and stamps.
        birth: tells what to say on ``up/state``.
        report: tells what to say on ``up/config``; without it nothing is said there.
        identity: gives the files to use where the settings name none; blocks, once a connection.
        subscriptions: what to listen to.
        on_change: called on the loop when the state changed; ``error`` says why it ended.
        on_denied: told of messages that the broker would not take.
        jitter: gives a number from 0 to 1.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        outbox: Outbox,
        topics: Topics,
        settings: LinkSettings,
        outbox_settings: OutboxSettings,
        clock: Clock,
        birth: Callable[[], Birth],
        report: Callable[[], ConfigReport] | None = None,
        identity: Callable[[], TlsOptions] = TlsOptions,
        subscriptions: tuple[Subscription, ...] = (),
        on_change: Callable[[LinkState, LinkError | None], None] = lambda *_: None,
        on_denied: OnDenied = lambda *_: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._topics = topics
        self._clock = clock
        self._identity = identity
        self._handlers: Mapping[str, Subscription] = {s.topic: s for s in subscriptions}
        self._on_change = on_change
        self._on_denied = on_denied
        self._jitter = jitter
        self._voice = Voice(
            topics=topics,
            clock=clock,
            birth=birth,
            report=report,
            last_sequence=lambda: outbox.last_sequence,
        )
        self._connection: Connection | None = None
        self._hang_ups: deque[float] = deque(maxlen=TWIN_HANG_UPS)
        self._changed = asyncio.Event()
        self._handled = 0
        """Messages from the broker, over all connections."""
        self.state = LinkState.WAITING
        self.session = 0
        self.connects = 0
        """Connections made since the start."""
        self.last_error: LinkError | None = None
        self.use(settings, outbox_settings)

    def use(self, settings: LinkSettings, outbox_settings: OutboxSettings) -> None:
        """Take other settings. Not while :meth:`run` runs: it uses them when it begins."""
        self._settings = settings
        self._outbox_settings = outbox_settings
        self._backoff = Backoff(settings.reconnect_min_s, settings.reconnect_max_s, self._jitter)

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connects - 1)

    async def run(self) -> None:
        """Hold the line until cancelled; then say ``stopping`` and leave in order."""
        self._backoff.reset()
        self._hang_ups.clear()
        self.last_error = None
        try:
            while True:
                began = self._clock.monotonic()
                error = await self._session()
                if self._clock.monotonic() - began >= STABLE_S:
                    self._backoff.reset()
                else:
                    error = self._suspect_twin(error)
                pause = self._backoff.next_s() if error.retryable else self._backoff.slow_s()
                self._change(LinkState.WAITING, error)
                log.warning("link down", reason=str(error), retry_in_s=round(pause, 1))
                await self._clock.sleep(pause)
        finally:
            self._change(LinkState.STOPPED, None)

    def _suspect_twin(self, error: LinkError) -> LinkError:
        """Tell a twin from a bad line where the broker does not.

        MQTT 5 wants a DISCONNECT with 0x8E for a client whose session is taken over; Mosquitto 2.0
        and rumqttd just hang up. Two boxes throw each other out within seconds; a line that stood
        for longer was not ended by a twin but by a broker that restarts.
        """
        if not isinstance(error, HungUpError):
            return error
        now = self._clock.monotonic()
        self._hang_ups.append(now)
        if len(self._hang_ups) < TWIN_HANG_UPS or now - self._hang_ups[0] > TWIN_WINDOW_S:
            return error
        msg = (
            f"the broker hung up {TWIN_HANG_UPS} times within {now - self._hang_ups[0]:.0f} s, as "
            f"it does when a second box connects with the id {self._topics.kiosk}, or when "
            "its own list of sessions is damaged: then it wants a restart"
        )
        return SessionTakenError(msg)

    # -- what others let it say ------------------------------------------------------------

    async def announce(self) -> None:
        """Say the birth message again: a service or capability changed."""
        if (connection := self._standing) is not None:
            with suppress(LinkError):
                await self._voice.say_state(connection, "online", self.session)

    async def report(self) -> None:
        """Say on ``up/config`` what is in force; while the line is down the next connect does."""
        if (connection := self._standing) is not None:
            with suppress(LinkError):
                await self._say_config(connection)

    async def prove(self) -> None:
        """Say the birth again and return when the broker has it; waits for a line where needed.

        Raises:
            LinkError: the broker does not take it.
        """
        await self._until_answered(
            lambda connection: self._voice.say_state(connection, "online", self.session)
        )

    async def send_media(self, command_id: str, payload: bytes, content_type: str) -> None:
        """Hand a picture or archive to the broker, which has it when this returns.

        Waits for a line, and tries again on the next one where that broke: bound it from outside.

        Raises:
            LinkError: the broker does not take it, it is too large, or line after line broke.
        """
        lines = 0

        async def say(connection: Connection) -> LinkError | None:
            nonlocal lines
            lines += 1
            try:
                return await self._voice.send_media(connection, command_id, payload, content_type)
            except LinkError as error:
                if lines < MEDIA_LINES:
                    raise
                msg = f"the line broke {lines} times while {len(payload)} bytes were sent: {error}"
                return RefusedError(msg)

        await self._until_answered(say)

    async def _until_answered(
        self, say: Callable[[Connection], Awaitable[LinkError | None]]
    ) -> None:
        connection = None
        while True:
            connection = await self._next_line(connection)
            try:
                refusal = await say(connection)
            except LinkError:
                continue
            if refusal is not None:
                raise refusal
            return

    async def _next_line(self, but: Connection | None) -> Connection:
        """Wait for a line other than that one."""
        while (connection := self._standing) is None or connection is but:
            self._changed.clear()
            await self._changed.wait()
        return connection

    @property
    def _standing(self) -> Connection | None:
        """The line, once the birth was said on it."""
        return self._connection if self.state is LinkState.ONLINE else None

    # -- one connection --------------------------------------------------------------------

    async def _session(self) -> LinkError:
        """Live through one connection; returns why it ended."""
        self._change(LinkState.CONNECTING, None)
        self.session = await self._outbox.next_session()
        try:
            connection = await self._transport.connect(await self._options())
        except LinkError as error:
            return error
        self._connection = connection
        try:
            return await self._hold(connection)
        except asyncio.CancelledError:
            await self._leave(connection)
            raise
        finally:
            self._connection = None
            await connection.disconnect()

    async def _hold(self, connection: Connection) -> LinkError:
        sender = Sender(
            outbox=self._outbox,
            connection=connection,
            settings=self._outbox_settings,
            clock=self._clock,
            on_denied=self._on_denied,
        )
        ended = asyncio.create_task(connection.wait_closed(), name="link-ended")
        try:
            async with asyncio.TaskGroup() as tasks:
                work = [
                    tasks.create_task(self._listen(connection), name="link-listen"),
                    tasks.create_task(self._greet(connection, sender), name="link-send"),
                ]
                error = await ended
                for task in work:
                    task.cancel()
        except* LinkError as group:
            first = group.exceptions[0]
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            error = first if isinstance(first, LinkError) else LinkError(str(first))
        finally:
            ended.cancel()
        if (me := asyncio.current_task()) is not None and me.cancelling():
            # Told to end as the line broke: a task group then raises the one, not the other.
            raise asyncio.CancelledError
        return error

    async def _greet(self, connection: Connection, sender: Sender) -> None:
        """Subscribe, say hello, then send."""
        for subscription in self._handlers.values():
            await self._subscribe(connection, subscription)
        refusal = await self._voice.say_state(connection, "online", self.session)
        if refusal is not None:
            raise refusal
        await self._say_config(connection)
        self.connects += 1
        self._change(LinkState.ONLINE, None)
        log.info(
            "link up",
            broker=f"{self._settings.host}:{self._settings.port}",
            session=self.session,
            session_present=connection.session_present,
        )
        await sender.run()

    async def _subscribe(self, connection: Connection, subscription: Subscription) -> None:
        """Wait for the answer as long as anything comes: what the broker kept for us comes first.

        A line that was given up in the midst of that would never get through it.
        """
        asking = asyncio.ensure_future(
            connection.subscribe(subscription.topic, retain_handling=subscription.retain_handling)
        )
        try:
            while not asking.done():
                handled = self._handled
                patience = asyncio.ensure_future(
                    self._clock.sleep(self._settings.connect_timeout_s)
                )
                try:
                    await asyncio.wait((asking, patience), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    patience.cancel()
                if not asking.done() and self._handled == handled:
                    msg = f"the broker did not answer the subscription to {subscription.topic}"
                    raise LineLostError(msg)
            await asking
        finally:
            asking.cancel()

    async def _listen(self, connection: Connection) -> None:
        while True:
            message = await connection.next_message()
            subscription = self._handlers.get(message.topic)
            if subscription is not None:
                await self._handle(subscription, message)
            connection.acknowledge(message)
            self._handled += 1

    async def _handle(self, subscription: Subscription, message: Incoming) -> None:
        """Hand a message on until it is taken: what is not acknowledged blocks those behind it."""
        while True:
            try:
                await subscription.handle(message)
            except Exception:
                log.exception("message not handled", topic=message.topic)
                await self._clock.sleep(HANDLE_AGAIN_S)
            else:
                return

    async def _leave(self, connection: Connection) -> None:
        with suppress(LinkError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._voice.say_state(connection, "stopping", self.session)

    async def _say_config(self, connection: Connection) -> None:
        refusal = await self._voice.say_config(connection)
        if refusal is not None:  # a right is missing: no reason to be without a line
            log.error("configuration not reported", reason=str(refusal))

    async def _options(self) -> ConnectOptions:
        settings = self._settings
        password = None
        if settings.password_file is not None:
            try:
                password = await asyncio.to_thread(_read_secret, settings.password_file)
            except (OSError, UnicodeDecodeError) as error:
                log.error("password file cannot be read", error=str(error))  # noqa: TRY400
        return ConnectOptions(
            host=settings.host,
            port=settings.port,
            client_id=self._topics.kiosk,
            username=settings.username or (self._topics.kiosk if password else None),
            password=password,
            keepalive_s=settings.keepalive_s,
            session_expiry_s=settings.session_expiry_s,
            will=Will(
                topic=self._topics.state,
                payload=self._voice.state("offline", self.session),
                delay_s=settings.will_delay_s,
            ),
            tls=await self._tls(),
            websocket_path=settings.websocket_path,
            connect_timeout_s=settings.connect_timeout_s,
        )

    async def _tls(self) -> TlsOptions | None:
        tls = self._settings.tls
        if tls is None:
            return None
        own = await asyncio.to_thread(self._identity)
        if tls.certificate is None:
            return TlsOptions(tls.ca or own.ca, own.certificate, own.key)
        return TlsOptions(tls.ca or own.ca, tls.certificate, tls.key)

    def _change(self, state: LinkState, error: LinkError | None) -> None:
        self.state = state
        if error is not None:
            self.last_error = error
        self._changed.set()
        self._on_change(state, error)


def _read_secret(path: Path) -> str:
    """The first line of a small file."""
    with path.open(encoding="utf-8") as file:
        return file.readline(4096).rstrip("\r\n")
