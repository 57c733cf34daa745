"""One suite for the fake broker, iotcore and Mosquitto: the fake may promise what they keep."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent.broker import EmbeddedBroker
from telemetry.transport import (
    SUCCESS,
    ClosedError,
    Connection,
    HungUpError,
    Incoming,
    LineLostError,
    LinkError,
    RetainHandling,
    SessionTakenError,
    Will,
)
from tests.support.brokers import Mosquitto
from tests.support.worlds import FakeWorld, RealWorld, World, lacks, needs

SOON_S = 5.0
A_MOMENT_S = 0.15


@pytest.fixture(scope="module", params=["fake", "iotcore", "mosquitto"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    if request.param == "fake":
        yield None
    elif request.param == "iotcore":
        with EmbeddedBroker() as running:
            yield running
    else:
        with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
            yield running


@pytest.fixture
async def world(broker: Any) -> AsyncIterator[World]:
    world: FakeWorld | RealWorld
    if broker is None:
        world = FakeWorld()
    else:
        kind = "mosquitto" if isinstance(broker, Mosquitto) else "iotcore"
        world = RealWorld(kind, broker.host, broker.port)
    yield world
    await world.aclose()


@pytest.fixture
def root() -> str:
    """A part of the topic tree that no other test uses."""
    return f"test/{uuid.uuid4().hex[:8]}"


async def send(connection: Connection, topic: str, payload: bytes, **options: Any) -> int:
    """Publish and wait for the PUBACK's reason code."""
    acked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    connection.publish(topic, payload, on_ack=acked.set_result, **options)
    return await asyncio.wait_for(acked, SOON_S)


async def receive(connection: Connection) -> Incoming:
    """Take and acknowledge the next message."""
    message = await asyncio.wait_for(connection.next_message(), SOON_S)
    connection.acknowledge(message)
    return message


async def nothing_for(world: World, connection: Connection, seconds: float = A_MOMENT_S) -> bool:
    """Whether no message comes for a while."""
    coming = asyncio.create_task(connection.next_message())
    await world.wait(seconds)
    if coming.done():
        return False
    coming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await coming
    return True


async def test_message_reaches_a_subscriber(world: World, root: str):
    """A message arrives as it was sent, and its PUBACK says success."""
    one, two = await world.connect("one"), await world.connect("two")
    await two.subscribe(f"{root}/a")
    assert await send(one, f"{root}/a", b"\x00\xffhello") == SUCCESS
    got = await receive(two)
    assert (got.topic, got.payload) == (f"{root}/a", b"\x00\xffhello")
    assert not got.retained
    assert got.expiry_s is None


@pytest.mark.parametrize(
    ("topic_filter", "hit", "miss"),
    [
        ("+/up/state", "k1/up/state", "k1/up/health"),
        ("k1/up/#", "k1/up/event/camera.lost", "k2/up/event/camera.lost"),
        ("+/up/event/+", "k2/up/event/x", "k2/up/event/x/y"),
        ("k1/down/#", "k1/down", "k1/up"),
    ],
)
async def test_wildcards(world: World, root: str, topic_filter: str, hit: str, miss: str):
    """``+`` stands for one level, ``#`` for the rest and the level above it."""
    one = await world.connect("one")
    await one.subscribe(f"{root}/{topic_filter}")
    await send(one, f"{root}/{miss}", b"miss")
    await send(one, f"{root}/{hit}", b"hit")
    assert (await receive(one)).payload == b"hit"


async def test_puback_comes_after_publish_returned(world: World, root: str):
    """The answer is never given before the call returns, and once only."""
    one = await world.connect("one")
    answers: list[int] = []
    one.publish(f"{root}/a", b"1", on_ack=answers.append)
    assert answers == []
    await send(one, f"{root}/a", b"2")
    assert len(answers) == 1


async def test_many_in_flight_in_order(world: World, root: str):
    """Hundreds may be on the way at once; all are answered and arrive in order."""
    one, two = await world.connect("one"), await world.connect("two", receive_maximum=1000)
    await two.subscribe(f"{root}/a")
    answers: list[int] = []
    for number in range(500):
        one.publish(f"{root}/a", b"%d" % number, on_ack=answers.append)
    got = [int((await receive(two)).payload) for _ in range(500)]
    assert got == list(range(500))
    await send(one, f"{root}/b", b"last")
    assert len(answers) == 500


async def test_large_payload(world: World, root: str):
    """The largest media payload of the contract passes."""
    one = await world.connect("one", maximum_packet_size=1024 * 1024)
    await one.subscribe(f"{root}/a")
    payload = bytes(range(256)) * 2048
    await send(one, f"{root}/a", payload)
    assert (await receive(one)).payload == payload


async def test_retained_message_comes_with_the_subscription(world: World, root: str):
    """The last retained message of each topic is handed to a new subscriber, and marked."""
    one = await world.connect("one")
    await send(one, f"{root}/k1/state", b"old", retain=True)
    await send(one, f"{root}/k1/state", b"new", retain=True)
    await one.subscribe(f"{root}/+/state")
    got = await receive(one)
    assert (got.payload, got.retained) == (b"new", True)
    assert await nothing_for(world, one)


async def test_empty_payload_clears_a_retained_message(world: World, root: str):
    """A retained message without payload removes the one before it."""
    one = await world.connect("one")
    await send(one, f"{root}/state", b"old", retain=True)
    await send(one, f"{root}/state", b"", retain=True)
    await one.subscribe(f"{root}/state")
    assert await nothing_for(world, one)


async def test_live_message_is_not_marked_retained(world: World, root: str):
    """Who is subscribed already gets a retained message as an ordinary one."""
    one = await world.connect("one")
    await one.subscribe(f"{root}/state")
    await send(one, f"{root}/state", b"now", retain=True)
    assert not (await receive(one)).retained


async def test_retain_handling_never(world: World, root: str):
    """A subscription can decline retained messages: commands are never taken from the store."""
    needs(world, "retain handling")
    one = await world.connect("one")
    await send(one, f"{root}/command", b"stale", retain=True)
    await one.subscribe(f"{root}/command", retain_handling=RetainHandling.NEVER)
    await send(one, f"{root}/command", b"fresh")
    assert (await receive(one)).payload == b"fresh"


async def test_retain_handling_if_new(world: World, root: str):
    """A subscription that stands already brings no retained messages again, if so asked."""
    needs(world, "retain handling")
    one = await world.connect("one")
    await send(one, f"{root}/config", b"stored", retain=True)
    for _ in range(2):
        await one.subscribe(f"{root}/config", retain_handling=RetainHandling.SEND_IF_NEW)
    assert (await receive(one)).payload == b"stored"
    assert await nothing_for(world, one)


async def test_session_survives_the_line(world: World, root: str):
    """With a session expiry, subscriptions stay and messages wait for the client."""
    one = await world.connect("one", session_expiry_s=60)
    assert not one.session_present
    await one.subscribe(f"{root}/command")
    await one.disconnect()
    two = await world.connect("two")
    for number in range(3):
        await send(two, f"{root}/command", b"%d" % number)
    one = await world.connect("one", session_expiry_s=60)
    assert one.session_present
    assert [(await receive(one)).payload for _ in range(3)] == [b"0", b"1", b"2"]


async def test_without_expiry_the_session_ends_with_the_line(world: World, root: str):
    """Session expiry zero leaves nothing behind."""
    needs(world, "session expiry")
    one = await world.connect("one")
    await one.subscribe(f"{root}/a")
    await one.disconnect()
    assert not (await world.connect("one")).session_present


async def test_session_expires(world: World, root: str):
    """After its expiry a session is forgotten."""
    needs(world, "session expiry")
    one = await world.connect("one", session_expiry_s=1)
    await one.subscribe(f"{root}/a")
    await one.disconnect()
    await world.wait(2.2)
    assert not (await world.connect("one", session_expiry_s=1)).session_present


async def test_clean_start_forgets(world: World, root: str):
    """A clean start throws away what the session held."""
    one = await world.connect("one", session_expiry_s=60)
    await one.subscribe(f"{root}/a")
    await one.disconnect()
    one = await world.connect("one", session_expiry_s=60, clean_start=True)
    assert not one.session_present
    await send(one, f"{root}/a", b"unheard")
    assert await nothing_for(world, one)


async def test_unacknowledged_message_comes_again(world: World, root: str):
    """What was not acknowledged by hand is delivered again on the next line, marked."""
    one = await world.connect("one", session_expiry_s=60)
    await one.subscribe(f"{root}/command")
    await send(one, f"{root}/command", b"first")
    await send(one, f"{root}/command", b"second")
    await receive(one)
    assert (await one.next_message()).payload == b"second"
    await send(one, f"{root}/unheard", b"by now the first acknowledgement arrived")
    await world.cut("one")
    await one.wait_closed()
    one = await world.connect("one", session_expiry_s=60)
    again = await receive(one)
    assert again.payload == b"second"
    assert again.duplicate or lacks(world, "duplicate flag")
    assert await nothing_for(world, one)


async def test_receive_maximum_holds_the_broker_back(world: World, root: str):
    """The broker sends no more unacknowledged messages than the client allows."""
    needs(world, "receive maximum")
    one, two = await world.connect("one", receive_maximum=3), await world.connect("two")
    await one.subscribe(f"{root}/command")
    for number in range(5):
        await send(two, f"{root}/command", b"%d" % number)
    taken = [await one.next_message() for _ in range(3)]
    assert await nothing_for(world, one)
    one.acknowledge(taken[0])
    assert (await receive(one)).payload == b"3"


async def test_message_expires_while_it_waits(world: World, root: str):
    """A message whose life is over is not delivered to who comes late."""
    one = await world.connect("one", session_expiry_s=60)
    await one.subscribe(f"{root}/command")
    await one.disconnect()
    two = await world.connect("two")
    await send(two, f"{root}/command", b"short", expiry_s=1)
    await send(two, f"{root}/command", b"long", expiry_s=100)
    await world.wait(2.2)
    one = await world.connect("one", session_expiry_s=60)
    got = await receive(one)
    assert got.payload == b"long"
    assert got.expiry_s is not None
    assert got.expiry_s <= 100


async def test_twin_takes_the_session(world: World):
    """A second client with the same id sends the first away, and good brokers tell it why."""
    one = await world.connect("one")
    await world.connect("one")
    reason = await asyncio.wait_for(one.wait_closed(), SOON_S)
    assert type(reason) is (HungUpError if lacks(world, "takeover reason") else SessionTakenError)


async def test_will_on_a_broken_line(world: World, root: str):
    """When the line breaks the broker publishes the will."""
    watcher = await world.connect("watcher")
    await watcher.subscribe(f"{root}/state")
    await world.connect("one", will=Will(f"{root}/state", b"offline"))
    await world.cut("one")
    assert (await receive(watcher)).payload == b"offline"
    late = await world.connect("late")
    await late.subscribe(f"{root}/state")
    assert (await receive(late)).retained


async def test_no_will_after_a_goodbye(world: World, root: str):
    """An orderly disconnect takes the will back."""
    watcher = await world.connect("watcher")
    await watcher.subscribe(f"{root}/state")
    one = await world.connect("one", will=Will(f"{root}/state", b"offline"))
    await one.disconnect()
    assert await nothing_for(world, watcher)


async def test_goodbye_with_will(world: World, root: str):
    """A client can leave and have its will published all the same."""
    watcher = await world.connect("watcher")
    await watcher.subscribe(f"{root}/state")
    one = await world.connect("one", will=Will(f"{root}/state", b"offline"))
    await one.disconnect(send_will=True)
    assert (await receive(watcher)).payload == b"offline"


async def test_will_waits_for_its_delay(world: World, root: str):
    """A delayed will comes after its delay, if the client stays away."""
    needs(world, "will delay")
    watcher = await world.connect("watcher")
    await watcher.subscribe(f"{root}/state")
    will = Will(f"{root}/state", b"offline", delay_s=1)
    await world.connect("one", will=will, session_expiry_s=60)
    await world.cut("one")
    assert await nothing_for(world, watcher)
    await world.wait(2.2)
    assert (await receive(watcher)).payload == b"offline"


async def test_return_in_time_cancels_the_will(world: World, root: str):
    """Who is back within the delay was never gone."""
    needs(world, "will delay")
    watcher = await world.connect("watcher")
    await watcher.subscribe(f"{root}/state")
    will = Will(f"{root}/state", b"offline", delay_s=1)
    one = await world.connect("one", will=will, session_expiry_s=60)
    await world.cut("one")
    await one.wait_closed()
    await world.connect("one", will=will, session_expiry_s=60)
    assert await nothing_for(world, watcher, 2.2)


async def test_cut_line_ends_everything(world: World, root: str):
    """After a cut every call says that the line is lost, and no answer comes any more."""
    one = await world.connect("one")
    answers: list[int] = []
    waiting = asyncio.create_task(one.next_message())
    await asyncio.sleep(0)
    await world.cut("one")
    assert isinstance(await asyncio.wait_for(one.wait_closed(), SOON_S), LineLostError)
    with pytest.raises(LineLostError):
        await waiting
    with pytest.raises(LineLostError):
        await one.next_message()
    with pytest.raises(LineLostError):
        one.publish(f"{root}/a", b"", on_ack=answers.append)
    with pytest.raises(LineLostError):
        await one.subscribe(f"{root}/a")
    await one.disconnect()
    assert answers == []


async def test_goodbye_is_told_apart(world: World):
    """Who closes the line gets told so, not that it was lost."""
    one = await world.connect("one")
    await one.disconnect()
    await one.disconnect()
    assert isinstance(await one.wait_closed(), ClosedError)


async def test_waiting_for_a_message_can_be_given_up(world: World, root: str):
    """Cancelling a wait loses no message."""
    one = await world.connect("one")
    await one.subscribe(f"{root}/a")
    for number in range(5):
        waiting = asyncio.create_task(one.next_message())
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await send(one, f"{root}/a", b"%d" % number)
        assert (await receive(one)).payload == b"%d" % number


async def test_acknowledging_on_a_lost_line_does_nothing(world: World, root: str):
    """An acknowledgement that comes too late is no error: the broker repeats the message."""
    one = await world.connect("one", session_expiry_s=60)
    await one.subscribe(f"{root}/a")
    await send(one, f"{root}/a", b"1")
    message = await asyncio.wait_for(one.next_message(), SOON_S)
    await world.cut("one")
    await one.wait_closed()
    one.acknowledge(message)
    one = await world.connect("one", session_expiry_s=60)
    assert (await receive(one)).payload == b"1"


async def test_errors_say_what_happened(world: World):
    """Every reason is a sentence, and the password is in none of them."""
    one = await world.connect("one", username="kiosk", password="s3cret")
    await world.cut("one")
    reason = await one.wait_closed()
    assert isinstance(reason, LinkError)
    assert " " in str(reason)
    assert "s3cret" not in f"{reason} {world.options('one', password='s3cret')!r}"
