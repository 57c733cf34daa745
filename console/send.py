"""Send a command and see it through: repeat it until it is accepted, then wait for its end."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain, repeat
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from console.connection import arrival, cancelled, connect
from console.errors import BrokerError
from console.settings import ConsoleSettings
from contract import ContractError, Data, Envelope, Topics, open_message
from contract.command import Command, sign_command
from contract.ids import uuid7
from contract.keys import PrivateKey
from contract.receipt import TERMINAL, Receipt
from contract.wire import validated

_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between repetitions; the last one from then on."""


class Outcome(IntEnum):
    """How it ended; the value is the exit code."""

    SUCCEEDED = 0
    FAILED = 1
    REJECTED = 3
    EXPIRED = 4
    NO_ANSWER = 5
    NO_BROKER = 6


_OUTCOMES = {
    "succeeded": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "cancelled": Outcome.FAILED,
    "rejected": Outcome.REJECTED,
    "expired": Outcome.EXPIRED,
}


@dataclass(slots=True)
class Conversation:
    """What the kiosk has said about one command so far."""

    kiosk: str
    command_id: str
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    last: Envelope[Data] | None = None
    _told: set[str] = field(default_factory=set)

    def hear(self, payload: bytes) -> tuple[Envelope[Data] | None, Outcome | None]:
        """Take in a receipt; returns it where it is news, and the outcome where it is the end.

        A refusal that only quotes the id is the end as long as nothing was accepted.
        """
        try:
            message = open_message(payload)
        except ContractError:
            return None, None
        receipt = message.data
        if not isinstance(receipt, Receipt) or message.kiosk != self.kiosk:
            return None, None
        claimed = receipt.claimed_id == self.command_id and not self.accepted.is_set()
        if receipt.command_id != self.command_id and not claimed:
            return None, None
        outcome = _OUTCOMES[receipt.status] if receipt.status in TERMINAL else None
        if not claimed:
            self.accepted.set()
        if receipt.status in self._told:
            return None, outcome
        self._told.add(receipt.status)
        self.last = message
        return message, outcome


@dataclass(frozen=True, slots=True)
class Order:
    """A signed command on its way."""

    kiosk: str
    command_id: str
    payload: bytes
    exp: int
    """When it expires: seconds since 1970."""
    expires_s: float
    """Seconds for which a broker may keep it."""


def make_order(
    kiosk: str,
    action: str,
    args: dict[str, Any],
    *,
    keys: Sequence[PrivateKey],
    ttl_s: int,
    reason: str = "",
    ticket: str | None = None,
) -> Order:
    """Make a command that is valid from now on, and sign it.

    Raises:
        ContractError: it breaks the contract, or a key may not sign.
    """
    now = time.time()
    fields = {
        "id": uuid7(int(now * 1000)),
        "kiosk": kiosk,
        "action": action,
        "args": args,
        "reason": reason,
        "ticket": ticket,
        "nbf": int(now),
        "exp": int(now) + ttl_s,
        "ttl_s": ttl_s,
    }
    command = validated(lambda: Command.model_validate(fields))
    return Order(kiosk, command.id, sign_command(command, keys), command.exp, ttl_s)


async def see_through(
    settings: ConsoleSettings,
    order: Order,
    *,
    timeout_s: float,
    on_receipt: Callable[[Envelope[Data]], None],
    report: Callable[[str | None], None],
) -> Outcome:
    """Publish and repeat, over reconnections, until a terminal receipt or the timeout.

    Args:
        settings: the broker.
        order: what to send.
        timeout_s: for the whole.
        on_receipt: gets each step of the command's life once.
        report: told why there is no connection, and ``None`` when there is one.

    Raises:
        SettingsError: see :func:`~console.connection.connect`.
    """
    conversation = Conversation(order.kiosk, order.command_id)
    reached = False

    def connected(problem: str | None) -> None:
        nonlocal reached
        reached = reached or problem is None
        report(problem)

    try:
        async with asyncio.timeout(timeout_s):
            return await _insist(settings, order, conversation, on_receipt, connected)
    except TimeoutError:
        return Outcome.NO_ANSWER if reached else Outcome.NO_BROKER


async def _insist(
    settings: ConsoleSettings,
    order: Order,
    conversation: Conversation,
    on_receipt: Callable[[Envelope[Data]], None],
    report: Callable[[str | None], None],
) -> Outcome:
    topics = Topics(order.kiosk, settings.root)
    while True:
        try:
            async with connect(settings) as client:
                await client.subscribe(topics.up(Receipt.SUFFIX), qos=1)
                report(None)
                repeating = asyncio.create_task(
                    _repeat(client, topics.command, order, conversation)
                )
                try:
                    async for message in client.messages:
                        news, outcome = conversation.hear(arrival(message).payload)
                        if news is not None:
                            on_receipt(news)
                        if outcome is not None:
                            return outcome
                finally:
                    await cancelled(repeating)
        except BrokerError as error:
            report(str(error))
        await asyncio.sleep(_PAUSES_S[0])


async def _repeat(
    client: aiomqtt.Client, topic: str, order: Order, conversation: Conversation
) -> None:
    """Publish once, and again until it is accepted; the reader notices a broken line."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = max(1, math.ceil(order.expires_s))
    for pause in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
        with contextlib.suppress(aiomqtt.MqttError):
            await client.publish(topic, order.payload, qos=1, retain=False, properties=properties)
        try:
            async with asyncio.timeout(pause):
                await conversation.accepted.wait()
        except TimeoutError:
            continue
        return
