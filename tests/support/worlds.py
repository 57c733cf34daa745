"""The fake broker and real ones behind one face, so that one suite can hold them all to it."""

import asyncio
import contextlib
import uuid
from typing import Any, Protocol

import pytest

from bench.rig.proxy import TcpProxy
from telemetry.mqtt import MqttTransport
from telemetry.transport import Connection, ConnectOptions, Transport
from tests.support.clock import ManualClock
from tests.support.fake_broker import FakeBroker

LIMITS = {
    ("iotcore", "will delay"): "rumqttd delays wills inconsistently",
    ("iotcore", "duplicate flag"): "rumqttd does not mark what it sends again",
    ("iotcore", "retain handling"): "rumqttd sends retained messages whatever the handling",
    ("iotcore", "session expiry"): "rumqttd keeps a session for ever",
    ("iotcore", "takeover reason"): "rumqttd hangs up on the older client without a word",
    ("mosquitto", "takeover reason"): "Mosquitto 2.0.11 hangs up on it without a word as well",
    ("iotcore", "receive maximum"): "rumqttd sends more than the client allows",
    ("mosquitto", "receive maximum"): "Mosquitto 2.0 sends more than the client allows",
}
"""What a broker is known not to do. Nothing of the agent may depend on it."""


class World(Protocol):
    """A broker, and lines to it that can be broken."""

    kind: str
    transport: Transport

    def options(self, client_id: str, **options: Any) -> ConnectOptions: ...

    async def connect(self, client_id: str, **options: Any) -> Connection: ...

    async def cut(self, client_id: str) -> None:
        """Break the client's line without a goodbye."""
        ...

    async def wait(self, seconds: float) -> None:
        """Let so much of the broker's time pass."""
        ...


def lacks(world: World, ability: str) -> bool:
    """Whether the broker is known not to have it."""
    return (world.kind, ability) in LIMITS


def needs(world: World, ability: str) -> None:
    """Skip the test where the broker is known to lack what it is about."""
    if lacks(world, ability):
        pytest.skip(f"{world.kind}: {LIMITS[world.kind, ability]}")


class FakeWorld:
    """The broker in memory, on a clock that :meth:`wait` moves."""

    kind = "fake"

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.broker = FakeBroker(self.clock)
        self.transport = self.broker.transport()

    def options(self, client_id: str, **options: Any) -> ConnectOptions:
        return ConnectOptions("fake", 1883, client_id, **options)

    async def connect(self, client_id: str, **options: Any) -> Connection:
        return await self.transport.connect(self.options(client_id, **options))

    async def cut(self, client_id: str) -> None:
        self.broker.cut(client_id)

    async def wait(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def aclose(self) -> None:
        pass


class RealWorld:
    """A broker on this machine, a proxy before it for each client, and client ids of its own."""

    def __init__(self, kind: str, host: str, port: int) -> None:
        self.kind = kind
        self.transport = MqttTransport()
        self._broker = (host, port)
        self._run = uuid.uuid4().hex[:8]
        self._proxies: dict[str, TcpProxy] = {}
        self._stack = contextlib.AsyncExitStack()
        self._connections: list[Connection] = []

    def options(self, client_id: str, **options: Any) -> ConnectOptions:
        proxy = self._proxies[client_id]
        return ConnectOptions("127.0.0.1", proxy.port, f"{self._run}-{client_id}", **options)

    async def connect(self, client_id: str, **options: Any) -> Connection:
        if client_id not in self._proxies:
            proxy = await self._stack.enter_async_context(TcpProxy(*self._broker))
            self._proxies[client_id] = proxy
        connection = await self.transport.connect(self.options(client_id, **options))
        self._connections.append(connection)
        return connection

    async def cut(self, client_id: str) -> None:
        self._proxies[client_id].cut()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def aclose(self) -> None:
        for connection in self._connections:
            await connection.disconnect()
        await self._stack.aclose()
