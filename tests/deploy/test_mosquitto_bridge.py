"""The shipped bridge: a field network's broker and the centre's, both real, both as shipped."""

import contextlib
from asyncio import to_thread
from collections.abc import AsyncIterator

import pytest

from telemetry.transport import TlsOptions, Will
from tests.support.deployed_broker import DEPLOY, Authorities, Client, DeployedBroker

ROOT = "kiosk/v1"
STATE = "$SYS/broker/connection/bridge.north-example/state"


class Site:
    """Kiosk k1 in the field, people at the centre, and a bridge between two brokers."""

    def __init__(self, folder) -> None:
        centre, field = Authorities(folder / "centre-ca"), Authorities(folder / "field-ca")
        self.operator = centre.certify("wang", "operator")
        self.service = centre.certify("store", "service")
        self.bridge = centre.certify("north-example", "bridge")
        self.k1 = field.certify("k1")
        self.centre = DeployedBroker(folder / "centre", centre)
        self.field = DeployedBroker(folder / "field", field)
        text = (DEPLOY / "mosquitto" / "bridge.conf").read_text(encoding="utf-8")
        there = f"{self.centre.host}:{self.centre.port}"
        text = self.field.relocated(text.replace("broker.centre.example:8883", there))
        (self.field.conf_d / "bridge.conf").write_text(text)
        for name, path in (
            ("centre-roots.pem", self.bridge.ca),
            ("bridge.pem", self.bridge.certificate),
            ("bridge.key", self.bridge.key),
        ):
            assert path is not None
            (self.field.files / name).write_bytes(path.read_bytes())

    def __enter__(self):
        self.centre.start()
        self.field.start()
        return self

    def __exit__(self, *_):
        self.field.kill()
        self.centre.kill()


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        yield site


@pytest.fixture
async def connect(site) -> AsyncIterator[object]:
    async with contextlib.AsyncExitStack() as stack:

        async def connect(port: int, tls: TlsOptions, **options) -> Client:
            client = await Client.connect(port, tls, **options)
            stack.push_async_callback(client.close)
            return client

        yield connect


async def test_up_goes_up_and_down_goes_down(site, connect):
    """With what belongs to a message: retained or not, expiry; and nothing else is carried."""
    service = await connect(site.centre.ports.people, site.service)
    await service.listen(STATE)
    await service.hear(b"1")
    operator = await connect(site.centre.ports.people, site.operator)
    await operator.listen("#")
    k1 = await connect(site.field.ports.kiosks, site.k1)
    await k1.listen("#")
    await k1.say(f"{ROOT}/k1/up/state", b"online", retain=True)
    k1.connection.publish(f"{ROOT}/k1/up/health", b"h", on_ack=lambda _: None, expiry_s=600)
    state, health = await operator.receive(b"h")
    assert (state.topic, state.payload) == (f"{ROOT}/k1/up/state", b"online")
    assert (health.topic, health.retained) == (f"{ROOT}/k1/up/health", False)
    assert 590 <= health.expiry_s <= 600
    late = await connect(site.centre.ports.people, site.operator)
    await late.listen(f"{ROOT}/+/up/#")
    assert [message.retained for message in await late.receive(b"online")] == [True]
    operator.connection.publish(
        f"{ROOT}/k1/down/command", b"order", on_ack=lambda _: None, expiry_s=600
    )
    await operator.say(f"{ROOT}/k1/down/config", b"desired", retain=True)
    order, desired = await k1.receive(b"desired")
    assert (order.topic, order.payload, order.retained) == (
        f"{ROOT}/k1/down/command",
        b"order",
        False,
    )
    assert 590 <= order.expiry_s <= 600
    again = await connect(site.field.ports.kiosks, site.k1)
    await again.listen(f"{ROOT}/k1/down/#")
    assert [message.retained for message in await again.receive(b"desired")] == [True]
    assert desired.topic == f"{ROOT}/k1/down/config"


async def test_what_waits_while_the_line_is_down(site, connect):
    """What goes up, a will as well; of what goes down, the settings."""
    service = await connect(site.centre.ports.people, site.service)
    await service.listen(STATE)
    await service.hear(b"1")
    will = Will(f"{ROOT}/k1/up/state", b"offline")
    k1 = await connect(
        site.field.ports.kiosks, site.k1, client_id="k1", will=will, session_expiry_s=3600
    )
    await k1.listen(f"{ROOT}/k1/down/#")
    operator = await connect(site.centre.ports.people, site.operator)
    await operator.say(f"{ROOT}/k1/down/command", b"before")
    await k1.hear(b"before")
    await to_thread(site.centre.stop)
    await k1.say(f"{ROOT}/k1/up/event/alarm.raised", b"meanwhile")
    await k1.connection.disconnect(send_will=True)
    await to_thread(site.centre.start)
    operator = await connect(site.centre.ports.people, site.operator)
    await operator.listen(f"{ROOT}/+/up/#")
    assert await operator.hear(b"offline") == [
        (f"{ROOT}/k1/up/event/alarm.raised", b"meanwhile"),
        (f"{ROOT}/k1/up/state", b"offline"),
    ]
    # What goes down is not kept for a bridge: settings come again, an order has to be repeated.
    await to_thread(site.field.stop)
    await operator.say(f"{ROOT}/k1/down/command", b"lost")
    await operator.say(f"{ROOT}/k1/down/config", b"desired", retain=True)
    await to_thread(site.field.start)
    k1 = await connect(site.field.ports.kiosks, site.k1, client_id="k1", session_expiry_s=3600)
    assert k1.connection.session_present
    assert await k1.hear(b"desired") == [(f"{ROOT}/k1/down/config", b"desired")]
    await operator.say(f"{ROOT}/k1/down/command", b"again")
    assert await k1.hear(b"again") == [(f"{ROOT}/k1/down/command", b"again")]
