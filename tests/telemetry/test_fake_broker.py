"""The faults that the fake broker makes on demand."""

import asyncio
from typing import Any

import pytest

from telemetry.transport import (
    NOT_AUTHORISED,
    Connection,
    ConnectOptions,
    LineLostError,
    NotAuthorisedError,
    RefusedError,
    ServerBusyError,
    UnreachableError,
    Will,
)
from tests.support.clock import ManualClock
from tests.support.fake_broker import FakeBroker


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(clock: ManualClock) -> FakeBroker:
    return FakeBroker(clock)


async def connect(broker: FakeBroker, client_id: str = "kiosk-1", **options: Any) -> Connection:
    return await broker.transport().connect(ConnectOptions("fake", 1883, client_id, **options))


async def publish(connection: Connection, clock: ManualClock, *payloads: bytes) -> list[int]:
    """Publish and return the answers that came."""
    codes: list[int] = []
    for payload in payloads:
        connection.publish("up/event", payload, on_ack=codes.append)
    await clock.settle()
    return codes


async def test_lost_puback(broker: FakeBroker, clock: ManualClock):
    """The message arrived, and its sender never hears of it."""
    connection = await connect(broker)
    broker.lose_pubacks = 1
    assert len(await publish(connection, clock, b"1", b"2")) == 1
    assert [message.payload for message in broker.published] == [b"1", b"2"]


async def test_repeated_puback(broker: FakeBroker, clock: ManualClock):
    """A PUBACK that comes twice is told once."""
    connection = await connect(broker)
    broker.repeat_pubacks = 1
    assert len(await publish(connection, clock, b"1")) == 1


async def test_held_pubacks(broker: FakeBroker, clock: ManualClock):
    """PUBACKs can be kept back, and come when they are let go."""
    connection = await connect(broker)
    broker.hold_pubacks()
    codes = await publish(connection, clock, b"1", b"2")
    assert codes == []
    broker.let_pubacks_go()
    await clock.settle()
    assert len(codes) == 2


async def test_lost_acknowledgement(broker: FakeBroker, clock: ManualClock):
    """A message whose acknowledgement was lost comes again on the next line."""
    connection = await connect(broker, session_expiry_s=60)
    await connection.subscribe("up/#")
    broker.lose_acknowledgements = 1
    await publish(connection, clock, b"1")
    connection.acknowledge(await connection.next_message())
    broker.cut("kiosk-1")
    again = await (await connect(broker, session_expiry_s=60)).next_message()
    assert (again.payload, again.duplicate) == (b"1", True)


async def test_denied(broker: FakeBroker, clock: ManualClock):
    """A denied message is answered with the code that says so and goes nowhere."""
    connection = await connect(broker)
    broker.denied = ["up/#"]
    assert await publish(connection, clock, b"1") == [NOT_AUTHORISED]
    assert broker.published == []
    with pytest.raises(NotAuthorisedError, match="denies the subscription to up/event"):
        await connection.subscribe("up/event")


async def test_passwords(clock: ManualClock):
    """Who does not know the password stays outside."""
    broker = FakeBroker(clock, users={"kiosk-1": "right"})
    await connect(broker, username="kiosk-1", password="right")
    for credentials in ({"username": "kiosk-1", "password": "wrong"}, {}):
        with pytest.raises(NotAuthorisedError, match="user name or password"):
            await connect(broker, **credentials)


async def test_refused(broker: FakeBroker):
    """Any failure to connect can be put on."""
    broker.refuse = ServerBusyError("the broker is busy")
    with pytest.raises(ServerBusyError):
        await connect(broker)


async def test_silent(broker: FakeBroker, clock: ManualClock):
    """A broker that never answers costs the connection timeout."""
    broker.silent = True
    attempt = asyncio.create_task(connect(broker, connect_timeout_s=15))
    await clock.advance(14.9)
    assert not attempt.done()
    await clock.advance(0.2)
    with pytest.raises(UnreachableError):
        await attempt


async def test_stalled_line(broker: FakeBroker, clock: ManualClock):
    """A half-open line swallows everything until both sides' keep-alive is over."""
    watcher = await connect(broker, "watcher")
    await watcher.subscribe("state")
    connection = await connect(broker, keepalive_s=30, will=Will("state", b"offline"))
    broker.stall("kiosk-1")
    assert await publish(connection, clock, b"1") == []
    ending = asyncio.create_task(connection.wait_closed())
    await clock.advance(46)
    assert (await watcher.next_message()).payload == b"offline"
    assert not ending.done()
    await clock.advance(15)
    assert isinstance(await ending, LineLostError)
    assert [message.payload for message in broker.published] == [b"offline"]


@pytest.mark.parametrize("forget", [False, True])
async def test_restart(broker: FakeBroker, forget: bool):  # noqa: FBT001 - a parameter of the test
    """A restart breaks every line; what was stored is there again, or forgotten."""
    connection = await connect(broker, session_expiry_s=60)
    connection.publish("state", b"online", on_ack=lambda _code: None, retain=True)
    await asyncio.sleep(0)
    broker.stop(forget=forget)
    assert isinstance(await connection.wait_closed(), LineLostError)
    with pytest.raises(UnreachableError, match="connection refused"):
        await connect(broker)
    broker.start()
    connection = await connect(broker, session_expiry_s=60)
    assert connection.session_present is not forget
    assert broker.retained("state") == (None if forget else b"online")


async def test_limits_are_enforced(clock: ManualClock):
    """Who goes beyond the limits of the CONNACK is sent away."""
    broker = FakeBroker(clock, receive_maximum=2, maximum_packet_size=1000, keepalive_s=9)
    connection = await connect(broker)
    assert (connection.receive_maximum, connection.maximum_packet_size) == (2, 1000)
    assert connection.keepalive_s == 9
    await publish(connection, clock, b"x" * 2000)
    assert isinstance(await connection.wait_closed(), RefusedError)
    connection = await connect(broker)
    broker.hold_pubacks()
    await publish(connection, clock, b"1", b"2", b"3")
    assert isinstance(await connection.wait_closed(), RefusedError)
