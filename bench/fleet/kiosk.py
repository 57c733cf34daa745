"""One simulated kiosk: the real contract and the agent's own line to the broker, no hardware.

Real: topics, messages and their numbers, commands and their signatures, birth and will, what a
PUBACK frees, transport and pauses between connections. Simulated: there is nothing to measure and
nothing to move, and the outbox is in memory.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from joserfc.jwk import OKPKey

from agent import VERSION
from bench.fleet.sayings import unasked
from contract import Clock, ContractError, Topics
from contract.command import open_command
from contract.message import CONTENT_TYPE, Data, seal
from contract.receipt import Receipt, ReceiptStatus
from telemetry.backoff import Backoff
from telemetry.link import STABLE_S
from telemetry.settings import LinkSettings
from telemetry.transport import (
    Connection,
    ConnectOptions,
    Incoming,
    LinkError,
    RetainHandling,
    TlsOptions,
    Transport,
    Will,
)
from telemetry.voice import Birth, Voice

MAX_ROWS = 2_000
"""In the outbox; more are not said at all."""
_REMEMBERED = 100
"""Commands that are known when they are repeated."""
_JITTER = 0.2
_PING_STEPS: Sequence[ReceiptStatus] = ("accepted", "running", "succeeded")


@dataclass(slots=True)
class Rules:
    """What all kiosks of a fleet share."""

    host: str
    port: int
    transport: Transport
    clock: Clock
    began: datetime
    keys: Mapping[str, OKPKey]
    every_s: float
    """On the average so long between two messages that nobody asked for."""
    chance: random.Random
    link: LinkSettings
    at_once: asyncio.Semaphore
    """So many connect at the same moment: all of them share one process and its threads."""
    tls: TlsOptions | None = None
    on_change: Callable[["SimulatedKiosk"], None] = lambda _: None
    """Called when a kiosk came online, or is not any more."""


class SimulatedKiosk:
    """Keep :meth:`run` running."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.topics = Topics(name)
        self.online = False
        self.sequence = 0
        """The highest number given out."""
        self.unsaid = 0
        """Messages for which there was no room."""
        self.denied = 0
        """Messages that the broker would not take."""
        self._rules = rules
        self._session = 0
        self._connection: Connection | None = None
        self._outbox: OrderedDict[int, tuple[str, bytes]] = OrderedDict()
        self._done: OrderedDict[str, None] = OrderedDict()
        self._backoff = Backoff(
            rules.link.reconnect_min_s, rules.link.reconnect_max_s, rules.chance.random
        )
        self._voice = Voice(
            topics=self.topics,
            clock=rules.clock,
            birth=lambda: Birth(VERSION, rules.began, ("ping",), ()),
            report=None,
            last_sequence=lambda: self.sequence,
        )
        self._next: asyncio.TimerHandle | None = None

    @property
    def rows(self) -> int:
        """Messages that the broker has not acknowledged."""
        return len(self._outbox)

    async def run(self) -> None:
        """Talk, connect and connect again until cancelled."""
        rules = self._rules
        self._plan(rules.chance.uniform(0, rules.every_s))
        try:
            while True:
                began = rules.clock.monotonic()
                error = await self._session_ended()
                if rules.clock.monotonic() - began >= STABLE_S:
                    self._backoff.reset()
                pause = self._backoff.next_s() if error.retryable else self._backoff.slow_s()
                await rules.clock.sleep(pause)
        finally:
            self.be_silent()

    def be_silent(self) -> None:
        """Say nothing more unasked."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    async def hang_up(self) -> None:
        """End the connection; the next one comes after the usual pause."""
        if self._connection is not None:
            await self._connection.disconnect()

    # -- the line --------------------------------------------------------------------------

    async def _session_ended(self) -> LinkError:
        """Live through one connection; returns why it ended."""
        self._session += 1
        try:
            async with self._rules.at_once:
                connection = await self._rules.transport.connect(self._options())
        except LinkError as error:
            return error
        listening = asyncio.create_task(self._listen(connection))
        try:
            await connection.subscribe(self.topics.command, retain_handling=RetainHandling.NEVER)
            refusal = await self._voice.say_state(connection, "online", self._session)
            if refusal is not None:
                return refusal
            self._connection = connection
            self._change(online=True)
            for number in self._outbox:
                self._offer(connection, number)
            return await connection.wait_closed()
        except LinkError as error:
            return error
        finally:
            self._connection = None
            self._change(online=False)
            listening.cancel()
            await connection.disconnect()

    def _change(self, *, online: bool) -> None:
        if self.online != online:
            self.online = online
            self._rules.on_change(self)

    def _options(self) -> ConnectOptions:
        rules, link = self._rules, self._rules.link
        will = self._voice.state("offline", self._session)
        return ConnectOptions(
            host=rules.host,
            port=rules.port,
            client_id=self.topics.kiosk,
            keepalive_s=link.keepalive_s,
            session_expiry_s=link.session_expiry_s,
            will=Will(self.topics.state, will, delay_s=link.will_delay_s),
            tls=rules.tls,
            connect_timeout_s=link.connect_timeout_s,
        )

    # -- what goes out ---------------------------------------------------------------------

    def _plan(self, pause_s: float) -> None:
        self._next = asyncio.get_running_loop().call_later(pause_s, self._talk)

    def _talk(self) -> None:
        rules = self._rules
        uptime_s = int(rules.clock.monotonic())
        self.say(unasked(rules.chance, uptime_s))
        self._plan(rules.every_s * rules.chance.uniform(1 - _JITTER, 1 + _JITTER))

    def say(self, data: Data) -> None:
        """Put a message into the outbox, and offer it where there is a line."""
        if len(self._outbox) >= MAX_ROWS:
            self.unsaid += 1
            return
        self.sequence += 1
        stamp = self._rules.clock.stamp()
        sealed = seal(data, kiosk=self.topics.kiosk, stamp=stamp, sequence=self.sequence)
        self._outbox[self.sequence] = self.topics.up(data.SUFFIX), sealed.payload
        if self._connection is not None:
            self._offer(self._connection, self.sequence)

    def _offer(self, connection: Connection, number: int) -> None:
        topic, payload = self._outbox[number]
        try:
            connection.publish(
                topic, payload, on_ack=partial(self._answered, number), content_type=CONTENT_TYPE
            )
        except LinkError:
            return  # whoever waits for the end of the line says why

    def _answered(self, number: int, reason: int) -> None:
        if reason < 0x80:
            self._outbox.pop(number, None)
        else:
            self.denied += 1

    # -- what comes in ---------------------------------------------------------------------

    async def _listen(self, connection: Connection) -> None:
        while True:
            try:
                message = await connection.next_message()
            except LinkError:
                return
            self._obey(message)
            connection.acknowledge(message)

    def _obey(self, message: Incoming) -> None:
        """Check the signature and do it once; it is always a ping."""
        try:
            command = open_command(message.payload, self._rules.keys).command
        except ContractError:
            return
        if command.kiosk != self.topics.kiosk or command.id in self._done:
            return
        self._done[command.id] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        for status in _PING_STEPS:
            self.say(Receipt(command_id=command.id, action=command.action, status=status))
