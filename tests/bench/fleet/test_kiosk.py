import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from bench.fleet.kiosk import Rules, SimulatedKiosk
from console import keys
from console.order import Draft
from contract import Topics, open_message
from contract.receipt import Receipt
from telemetry.settings import LinkSettings
from telemetry.transport import Connection, ConnectOptions
from tests.support.clock import START, ManualClock
from tests.support.fake_broker import FakeBroker

KEY = keys.new_key("fleet", "operator")
TOPICS = Topics("fleet-1")


class Fleet:
    """One simulated kiosk on a broker in memory; it talks only when it is told to."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.broker = FakeBroker(clock)
        self.changes: list[bool] = []
        rules = Rules(
            host="fake",
            port=1,
            transport=self.broker.transport(),
            clock=clock,
            began=START,
            keys={KEY.kid: KEY.verifier()},
            every_s=1e9,
            chance=random.Random(1),
            link=LinkSettings(),
            at_once=asyncio.Semaphore(1),
            on_change=lambda kiosk: self.changes.append(kiosk.online),
        )
        self.kiosk = SimulatedKiosk("fleet-1", rules)
        self.task = asyncio.create_task(self.kiosk.run())

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            await self.clock.settle()
            if condition():
                return
            await self.clock.advance(0.1)
        raise AssertionError

    async def online(self) -> None:
        await self.until(lambda: self.kiosk.online)

    async def centre(self) -> Connection:
        return await self.broker.transport().connect(ConnectOptions("fake", 1, "centre"))

    @property
    def said(self) -> list[Any]:
        """What it said with a number, in order, repeats included."""
        messages = [open_message(one.payload) for one in self.broker.published if _of_kiosk(one)]
        return [message for message in messages if message.sequence is not None]


def _of_kiosk(message: Any) -> bool:
    return message.topic.startswith(TOPICS.up("up/"))


@pytest.fixture
async def fleet():
    fleet = Fleet(ManualClock())
    yield fleet
    fleet.task.cancel()
    with suppress(asyncio.CancelledError):
        await fleet.task


async def test_it_says_birth_and_leaves_a_will(fleet: Fleet):
    await fleet.online()
    birth = json.loads(fleet.broker.retained(TOPICS.state) or b"")
    assert (birth["data"]["state"], birth["data"]["session"]) == ("online", 1)
    assert fleet.broker.connects[0].will is not None
    assert fleet.changes == [True]


async def test_what_is_not_acknowledged_is_said_again_on_the_next_line(fleet: Fleet):
    await fleet.online()
    fleet.broker.lose_pubacks = 1
    fleet.kiosk.say(Receipt(status="succeeded"))
    await fleet.until(lambda: len(fleet.said) == 1)
    fleet.broker.cut("fleet-1")
    await fleet.until(lambda: fleet.kiosk.rows == 0)
    assert [message.sequence for message in fleet.said] == [1, 1]
    assert fleet.changes == [True, False, True]


async def test_what_is_said_off_line_is_kept(fleet: Fleet):
    fleet.broker.stop()
    for _ in range(3):
        fleet.kiosk.say(Receipt(status="succeeded"))
    fleet.broker.start()
    await fleet.until(lambda: fleet.kiosk.rows == 0)
    assert [message.sequence for message in fleet.said] == [1, 2, 3]


async def test_a_signed_ping_is_done_once_however_often_it_comes(fleet: Fleet):
    await fleet.online()
    order = Draft("fleet-1", "ping", {}).sign([KEY])
    centre = await fleet.centre()
    for payload in (b"noise", order.payload, order.payload):
        centre.publish(TOPICS.command, payload, on_ack=lambda _: None)
    await fleet.until(lambda: len(fleet.said) == 3)
    await fleet.clock.advance(1)
    receipts = [message.data for message in fleet.said]
    assert [receipt.status for receipt in receipts] == ["accepted", "running", "succeeded"]
    assert {receipt.command_id for receipt in receipts} == {order.command_id}


@pytest.mark.parametrize("kiosk", ["fleet-2", "fleet-1"])
async def test_what_is_not_for_it_or_not_signed_by_its_operators_is_not_done(
    fleet: Fleet, kiosk: str
):
    await fleet.online()
    signer = KEY if kiosk == "fleet-2" else keys.new_key("stranger", "operator")
    order = Draft(kiosk, "ping", {}).sign([signer])
    (await fleet.centre()).publish(TOPICS.command, order.payload, on_ack=lambda _: None)
    await fleet.clock.advance(1)
    assert fleet.said == []


async def test_messages_that_the_broker_refuses_are_counted(fleet: Fleet):
    await fleet.online()
    fleet.broker.denied = (TOPICS.up(Receipt.SUFFIX),)
    fleet.kiosk.say(Receipt(status="succeeded"))
    await fleet.until(lambda: fleet.kiosk.denied == 1)
    assert fleet.kiosk.rows == 1


async def test_all_hang_up_and_come_back(fleet: Fleet):
    await fleet.online()
    await fleet.kiosk.hang_up()
    await fleet.until(lambda: fleet.changes == [True, False, True])
