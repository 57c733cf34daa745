"""One connection that carries any number of commands at once and brings back what they cause."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, repeat
from types import TracebackType
from typing import Any, Self, TypeVar

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from console.connection import Arrival, Client, arrival, cancelled, connect
from console.errors import BrokerError, DeniedError, TlsError
from console.order import Order
from console.outcome import Conversation, Ending, Outcome, read_receipt
from console.settings import ConsoleSettings
from contract import Envelope, MalformedError, Topics
from contract.receipt import Receipt
from contract.topics import split

RETRY_S = 1.0
"""Between two attempts to connect."""
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between repetitions; the last one from then on."""
_MEDIA = "up/media/"

T = TypeVar("T")
OnReceipt = Callable[[Envelope[Receipt]], None]


@dataclass(slots=True)
class _Line:
    """One connection to the broker while it lasts."""

    client: Client
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    _topics: set[str] = field(default_factory=set)
    _subscribing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def listen(self, topic: str) -> None:
        """Subscribe once, however many commands want it."""
        async with self._subscribing:
            if topic not in self._topics:
                await self.client.subscribe(topic, qos=1)
                self._topics.add(topic)


@dataclass(slots=True)
class _Letter:
    """A command on its way."""

    order: Order
    conversation: Conversation
    on_receipt: OnReceipt
    ended: asyncio.Future[Outcome]
    media: asyncio.Future[bytes] | None
    sent: float | None = None
    """When it was, first; seconds since 1970."""


class Courier:
    """Sends commands and hears their receipts, over reconnections, while its body runs.

    Args:
        settings: the broker.
        report: told why there is no connection, and ``None`` when there is one.
    """

    def __init__(self, settings: ConsoleSettings, report: Callable[[str | None], None]) -> None:
        self._settings = settings
        self._report = report
        self._letters: dict[str, _Letter] = {}

    async def __aenter__(self) -> Self:
        self._line: asyncio.Future[_Line] = asyncio.get_running_loop().create_future()
        self._carrying = asyncio.create_task(self._carry(), name="courier")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await cancelled(self._carrying)

    async def deliver(
        self,
        order: Order,
        *,
        timeout_s: float,
        on_receipt: OnReceipt,
        with_media: bool = False,
    ) -> Ending:
        """Publish and repeat until the kiosk has it, then wait for its end.

        Args:
            order: what to send.
            timeout_s: for the whole.
            on_receipt: gets each step of the command's life once.
            with_media: wait also for what the kiosk publishes for a command that succeeded.

        Raises:
            DeniedError: the broker does not take it from this user.
            TlsError: see :func:`~console.connection.connect`; only before anything was sent.
            SettingsError: see :func:`~console.connection.connect`.
        """
        loop = asyncio.get_running_loop()
        letter = _Letter(
            order,
            Conversation(order.kiosk, order.command_id, order.action),
            on_receipt,
            ended=loop.create_future(),
            media=loop.create_future() if with_media else None,
        )
        self._letters[order.command_id] = letter
        insisting = asyncio.create_task(self._insist(letter))
        outcome, media = Outcome.NO_BROKER, None
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(timeout_s):
                    outcome = await self._while_carrying(letter.ended)
                    if outcome is Outcome.SUCCEEDED and letter.media is not None:
                        media = await self._while_carrying(letter.media)
            finally:
                del self._letters[order.command_id]
                await cancelled(insisting)
        if letter.sent is not None and outcome is Outcome.NO_BROKER:
            outcome = Outcome.NO_ANSWER
        said = letter.conversation
        answered = None if letter.sent is None else said.answered_before(letter.sent)
        return Ending(order.kiosk, order.command_id, order.exp, outcome, said.last, media, answered)

    async def _carry(self) -> None:
        """Keep up the connection until cancelled, or until it is sure that there will be none."""
        reached = False
        while True:
            try:
                async with connect(self._settings) as client:
                    reached = True
                    await self._serve(_Line(client))
            except BrokerError as error:
                if isinstance(error, TlsError) and not reached:
                    raise  # nothing was sent; after a connection a command may be on its way
                self._report(str(error))
            await asyncio.sleep(RETRY_S)

    async def _serve(self, line: _Line) -> None:
        self._line.set_result(line)
        self._report(None)
        try:
            async for message in line.client.messages:
                self._take(arrival(message))
        finally:
            line.broken.set()
            self._line = asyncio.get_running_loop().create_future()

    async def _while_carrying(self, future: asyncio.Future[T]) -> T:
        either: set[asyncio.Future[Any]] = {future, self._carrying}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            self._carrying.result()
        return await future

    async def _insist(self, letter: _Letter) -> None:
        """Publish on every connection, and again until it is accepted or expired.

        Also an accepted one goes out once more after a broken line: the answer is the receipt
        that was missed.
        """
        order = letter.order
        topics = Topics(order.kiosk, self._settings.root)
        while True:
            line = await asyncio.shield(self._line)
            try:
                await line.listen(topics.up(Receipt.SUFFIX))
                if letter.media is not None:
                    await line.listen(topics.media(order.command_id))
                await _repeat(line.client, topics.command, letter)
            except aiomqtt.MqttError:
                await asyncio.sleep(RETRY_S)
            except DeniedError as error:
                if not letter.ended.done():
                    letter.ended.set_exception(error)
                return
            else:
                await line.broken.wait()

    def _take(self, arrived: Arrival) -> None:
        try:
            kiosk, suffix = split(self._settings.root, arrived.topic)
        except MalformedError:
            return
        if suffix.startswith(_MEDIA):
            letter = self._letters.get(suffix.removeprefix(_MEDIA))
            if letter and letter.media and letter.order.kiosk == kiosk and not letter.media.done():
                letter.media.set_result(arrived.payload)
            return
        message = read_receipt(arrived.payload)
        if message is None or message.kiosk != kiosk:
            return
        letter = self._letters.get(message.data.command_id or message.data.claimed_id or "")
        if letter is None or letter.ended.done():
            return
        news, outcome = letter.conversation.take(message)
        if news is not None:
            letter.on_receipt(news)
        if outcome is not None:
            letter.ended.set_result(outcome)


async def _repeat(client: Client, topic: str, letter: _Letter) -> None:
    """Publish until it is accepted, or there is no time left for it."""
    order, accepted = letter.order, letter.conversation.accepted
    for pause in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
        left_s = order.expires_s()
        if left_s <= 0:
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = math.ceil(left_s)
        letter.sent = letter.sent or time.time()
        await client.offer(topic, order.payload, retain=False, properties=properties)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await accepted.wait()
                return
