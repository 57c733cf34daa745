"""The link through real brokers and a line that cuts, stalls, delays and half-closes."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from agent.broker import EmbeddedBroker
from bench.rig.proxy import TcpProxy
from contract import Priority, Topics
from telemetry.clock import SystemClock
from telemetry.link import Link
from telemetry.mqtt import MqttTransport
from telemetry.outbox import Outbox
from telemetry.settings import LinkSettings, OutboxSettings
from telemetry.transport import LinkError, SessionTakenError
from telemetry.voice import Birth
from tests.support.brokers import Mosquitto
from tests.support.centre import Centre
from tests.support.clock import START
from tests.support.messages import message

MESSAGES = 1_500


@pytest.fixture(params=["iotcore", "mosquitto"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedBroker | Mosquitto]:
    if request.param == "iotcore":
        with EmbeddedBroker() as running:
            yield running
    else:
        with Mosquitto(tmp_path_factory.mktemp("mosquitto"), persistence=True) as running:
            yield running


class RunningKiosk:
    """An outbox and a link in real time."""

    def __init__(self, folder: Path, port: int, name: str) -> None:
        self.clock = SystemClock()
        self.errors: list[LinkError] = []
        settings = OutboxSettings(backlog_per_s=0)
        topics = Topics(name)
        self.outbox = Outbox(
            folder,
            topics=topics,
            settings=settings,
            clock=self.clock,
            on_fault=lambda *_: None,
        )
        self.link = Link(
            transport=MqttTransport(),
            outbox=self.outbox,
            topics=topics,
            settings=LinkSettings(
                port=port,
                keepalive_s=5,
                connect_timeout_s=2,
                reconnect_min_s=0.05,
                reconnect_max_s=0.3,
            ),
            outbox_settings=settings,
            clock=self.clock,
            birth=lambda: Birth("test", START, (), ()),
            on_change=lambda _, error: self.errors.append(error) if error else None,
        )

    async def __aenter__(self) -> Self:
        await self.outbox.start()
        self._tasks = [
            asyncio.create_task(self.outbox.run()),
            asyncio.create_task(self.link.run()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in reversed(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.outbox.close()

    async def put(self, count: int) -> None:
        """Put events over some seconds."""
        for _ in range(count // 10):
            await asyncio.gather(
                *(self.outbox.put(message(Priority.EVENT), self.clock.stamp()) for _ in range(10))
            )
            await asyncio.sleep(0.03)


async def test_chaos_on_the_line(tmp_path: Path, broker: EmbeddedBroker | Mosquitto):
    """Whatever happens to the line while it publishes, every message arrives."""
    name = f"chaos-{type(broker).__name__.lower()}"
    centre = await asyncio.to_thread(Centre, broker.port, name)
    chance = random.Random(7)
    async with (
        TcpProxy("127.0.0.1", broker.port) as proxy,
        RunningKiosk(tmp_path, proxy.port, name) as kiosk,
    ):
        putting = asyncio.create_task(kiosk.put(MESSAGES))
        faults = [proxy.cut, proxy.half_close, lambda: proxy.delay(0.02)]
        while not putting.done():
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            chance.choice(faults)()
        proxy.delay(0)
        proxy.stall()
        await kiosk.put(20)
        proxy.cut()
        proxy.resume()
        assert await asyncio.to_thread(centre.has, range(1, MESSAGES + 21), 30)
        assert kiosk.link.reconnects > 3
    await asyncio.to_thread(centre.close)


async def test_broker_restarts(tmp_path: Path, broker: EmbeddedBroker | Mosquitto):
    """A broker that is killed and comes back gets everything, the old and the new."""
    name = f"restart-{type(broker).__name__.lower()}"
    async with RunningKiosk(tmp_path, broker.port, name) as kiosk:
        await kiosk.put(100)
        for _ in range(2):
            await asyncio.to_thread(broker.stop)
            await kiosk.put(100)
            await asyncio.to_thread(broker.start)
        centre = await asyncio.to_thread(Centre, broker.port, name)
        new = range(kiosk.outbox.last_sequence + 1, kiosk.outbox.last_sequence + 51)
        await kiosk.put(50)
        assert await asyncio.to_thread(centre.has, new, 20)
        async with asyncio.timeout(20):
            while kiosk.outbox.rows:
                await asyncio.sleep(0.05)
        assert kiosk.outbox.lost == 0
        await asyncio.to_thread(centre.close)


async def test_twin_is_noticed(tmp_path: Path, broker: EmbeddedBroker | Mosquitto):
    """Two boxes with one id: it is noticed also where the broker only hangs up, and said."""
    name = f"twin-{type(broker).__name__.lower()}"
    async with (
        RunningKiosk(tmp_path / "one", broker.port, name) as one,
        RunningKiosk(tmp_path / "two", broker.port, name) as two,
        asyncio.timeout(20),
    ):
        while not any(isinstance(error, SessionTakenError) for error in one.errors + two.errors):
            await asyncio.sleep(0.05)
