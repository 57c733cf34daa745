"""The shipped Mosquitto configuration, run for real: who gets what is proved by delivery.

Mosquitto grants subscriptions that it then does not serve, so every test ends with a message
that must arrive: what should not arrive would have come before it.
"""

import contextlib
import datetime as dt
import socket
import ssl
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

from contract.limits import MAX_MEDIA_BYTES
from telemetry.transport import (
    NOT_AUTHORISED,
    HungUpError,
    LinkError,
    RefusedError,
    TlsOptions,
)
from tests.support.brokers import make_certificates
from tests.support.deployed_broker import SOON_S, Authorities, Client, DeployedBroker

ROOT = "kiosk/v1"
PEOPLE = ("viewer", "operator", "supervisor", "maintainer", "service")
_CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02k1"


@pytest.fixture(scope="module")
def identities(tmp_path_factory) -> tuple[Authorities, dict[str, TlsOptions]]:
    """Two CAs; two kiosks, and one person or program of each role."""
    authorities = Authorities(tmp_path_factory.mktemp("authorities"))
    tls = {name: authorities.certify(name) for name in ("k1", "k2")}
    tls |= {role: authorities.certify("wang", role) for role in (*PEOPLE, "bridge")}
    return authorities, tls


@pytest.fixture(scope="module")
def broker(tmp_path_factory, identities) -> Iterator[DeployedBroker]:
    folder = tmp_path_factory.mktemp("broker")
    with DeployedBroker(folder, identities[0], "websockets.conf") as broker:
        yield broker


@pytest.fixture
def tls(identities) -> dict[str, TlsOptions]:
    return identities[1]


@pytest.fixture
async def connect(broker, tls) -> AsyncIterator[Callable[..., object]]:
    """Connects one of those by name, where they belong."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(who: str, *, port: int | None = None, **options) -> Client:
            where = port or (broker.ports.people if who in PEOPLE else broker.ports.kiosks)
            client = await Client.connect(where, tls[who], **options)
            stack.push_async_callback(client.close)
            return client

        yield connect


async def broker_refuses(
    broker: DeployedBroker, port: int, tls: TlsOptions, *, websocket: bool = False
) -> None:
    """There is no connection, and the broker says that it is for the certificate."""
    verdict = "certificate verify failed"
    before = (await to_thread(broker.log.read_text)).count(verdict)
    # Whether the client hears why, or only that the line is gone, is a matter of chance.
    with pytest.raises(LinkError):
        await Client.connect(port, tls, websocket=websocket)
    if not websocket:  # of those it says nothing
        await to_thread(broker.await_log, verdict, before + 1)


async def test_a_kiosk_writes_only_under_its_own_name(connect):
    """Neither as another kiosk, nor what goes down to anybody, itself included."""
    operator, k1, k2 = await connect("operator"), await connect("k1"), await connect("k2")
    await operator.listen("#")
    await k1.listen(f"{ROOT}/k1/down/#")
    await k2.listen(f"{ROOT}/k2/down/#")
    for topic in (
        f"{ROOT}/k2/up/state",
        f"{ROOT}/k2/up/receipt",
        f"{ROOT}/k2/down/command",
        f"{ROOT}/k1/down/command",
        f"{ROOT}/k1/down/config",
        f"{ROOT}/k1/other",
        "other",
        "$SYS/broker/version",
    ):
        assert await k1.say(topic, b"forged") == NOT_AUTHORISED, topic
        assert await k1.say(topic, b"forged", retain=True) == NOT_AUTHORISED, topic
    await k1.say(f"{ROOT}/k1/up/event/camera.lost", b"true")
    await operator.say(f"{ROOT}/k1/down/command", b"last")
    await operator.say(f"{ROOT}/k2/down/command", b"last")
    assert await operator.hear(b"true") == [(f"{ROOT}/k1/up/event/camera.lost", b"true")]
    assert await k1.hear(b"last") == [(f"{ROOT}/k1/down/command", b"last")]
    assert await k2.hear(b"last") == [(f"{ROOT}/k2/down/command", b"last")]


@pytest.mark.parametrize("asked", ["#", f"{ROOT}/k1/#", f"{ROOT}/+/down/command", "$share/g/#"])
async def test_a_kiosk_reads_only_what_goes_down_to_it(connect, asked):
    """Whatever it subscribes to: not to others, not what others say, not what it says itself."""
    operator, k1, k2 = await connect("operator"), await connect("k1"), await connect("k2")
    await k2.listen(asked)
    await k2.listen(f"{ROOT}/k2/down/#")
    await operator.say(f"{ROOT}/k1/down/command", b"secret")
    await k1.say(f"{ROOT}/k1/up/health", b"secret")
    await k2.say(f"{ROOT}/k2/up/health", b"own")
    await operator.say(f"{ROOT}/k2/down/command", b"last")
    assert set(await k2.hear(b"last")) == {(f"{ROOT}/k2/down/command", b"last")}


async def test_a_user_name_counts_for_nothing(connect):
    """Who somebody is, says the certificate."""
    operator, k1 = await connect("operator"), await connect("k1")
    await operator.listen(f"{ROOT}/+/up/#")
    await k1.listen(f"{ROOT}/k1/down/#")
    liar = await connect("k2", username="k1")
    assert await liar.say(f"{ROOT}/k1/up/health", b"forged") == NOT_AUTHORISED
    liar = await connect("viewer", username="operator.wang")
    assert await liar.say(f"{ROOT}/k1/down/command", b"forged") == NOT_AUTHORISED
    await k1.say(f"{ROOT}/k1/up/health", b"last")
    await operator.say(f"{ROOT}/k1/down/command", b"last")
    assert await operator.hear(b"last") == [(f"{ROOT}/k1/up/health", b"last")]
    assert await k1.hear(b"last") == [(f"{ROOT}/k1/down/command", b"last")]


@pytest.mark.parametrize("role", ["operator", "supervisor", "maintainer"])
async def test_who_orders_cannot_speak_for_a_kiosk(connect, role):
    """Writes commands and settings; no receipts, nothing that goes up, no watermark."""
    person, witness, k1 = await connect(role), await connect("viewer"), await connect("k1")
    await witness.listen(f"{ROOT}/+/up/#")
    await k1.listen(f"{ROOT}/k1/down/#")
    for suffix in ("up/receipt", "up/state", "up/health", "up/event/alarm.cleared", "down/ack"):
        assert await person.say(f"{ROOT}/k1/{suffix}", b"forged") == NOT_AUTHORISED, suffix
    assert await person.say(f"{ROOT}/{role}.wang/up/state", b"forged") == NOT_AUTHORISED
    await person.say(f"{ROOT}/k1/down/command", b"order")
    await person.say(f"{ROOT}/k1/down/config", b"settings", retain=True)
    assert await k1.hear(b"settings") == [
        (f"{ROOT}/k1/down/command", b"order"),
        (f"{ROOT}/k1/down/config", b"settings"),
    ]
    await person.say(f"{ROOT}/k1/down/config", b"", retain=True)
    await k1.say(f"{ROOT}/k1/up/receipt", b"last")
    assert await witness.hear(b"last") == [(f"{ROOT}/k1/up/receipt", b"last")]


async def test_a_viewer_and_a_service_order_nothing(connect):
    """A viewer only looks; a service looks, and says what it has stored."""
    k1 = await connect("k1")
    await k1.listen(f"{ROOT}/k1/down/#")
    for who in ("viewer", "service"):
        watcher = await connect(who)
        await watcher.listen(f"{ROOT}/+/up/#")
        for suffix in ("down/command", "down/config", "up/receipt"):
            assert await watcher.say(f"{ROOT}/k1/{suffix}", b"forged") == NOT_AUTHORISED
        await k1.say(f"{ROOT}/k1/up/health", who.encode())
        assert await watcher.hear(who.encode()) == [(f"{ROOT}/k1/up/health", who.encode())]
    assert await (await connect("viewer")).say(f"{ROOT}/k1/down/ack", b"1") == NOT_AUTHORISED
    await (await connect("service")).say(f"{ROOT}/k1/down/ack", b"2")
    assert await k1.hear(b"2") == [(f"{ROOT}/k1/down/ack", b"2")]


async def test_a_bridge_speaks_for_kiosks_and_orders_nothing(connect):
    """A field network's broker hands on what its kiosks say, and gets what goes down to them."""
    operator, bridge, k1 = await connect("operator"), await connect("bridge"), await connect("k1")
    await operator.listen(f"{ROOT}/+/up/#")
    await bridge.listen("#")
    await k1.listen(f"{ROOT}/k1/down/#")
    assert await bridge.say(f"{ROOT}/k1/down/command", b"forged") == NOT_AUTHORISED
    await bridge.say(f"{ROOT}/k9/up/health", b"behind it")
    await operator.say(f"{ROOT}/k1/down/command", b"order")
    assert await operator.hear(b"behind it") == [(f"{ROOT}/k9/up/health", b"behind it")]
    assert await bridge.hear(b"order") == [(f"{ROOT}/k1/down/command", b"order")]
    assert await k1.hear(b"order") == [(f"{ROOT}/k1/down/command", b"order")]


async def test_consumers_share_a_subscription(connect):
    """Each message goes to one of them."""
    k1 = await connect("k1")
    pair = [await connect("service"), await connect("service")]
    for one in pair:
        await one.listen(f"$share/store/{ROOT}/+/up/#")
        await one.listen(f"{ROOT}/k1/up/event/last")
    for number in range(10):
        await k1.say(f"{ROOT}/k1/up/health", b"%d" % number)
    await k1.say(f"{ROOT}/k1/up/event/last", b"last")
    heard = [payload for one in pair for _, payload in await one.hear(b"last")]
    assert sorted(payload for payload in heard if payload != b"last") == sorted(
        b"%d" % number for number in range(10)
    )


@pytest.mark.parametrize("listener", ["kiosks", "people", "web"])
async def test_without_a_certificate_nobody_comes_in(broker, tls, listener, tmp_path):
    """None, one of a stranger, the broker's own, or no TLS at all: there is no connection."""
    port = getattr(broker.ports, listener)
    ca = tls["k1"].ca
    strange = make_certificates(tmp_path)
    for wrong in (
        TlsOptions(ca),
        TlsOptions(ca, strange.client, strange.client_key),
        TlsOptions(ca, broker.files / "server.pem", broker.files / "server.key"),
        None,
    ):
        with pytest.raises(LinkError):
            await Client.connect(port, wrong, username="k1", websocket=listener == "web")


async def test_each_to_his_own_door(broker, tls):
    """Kiosks do not come in where people do, nor the other way round."""
    for who, port, websocket in (
        ("k1", broker.ports.people, False),
        ("k1", broker.ports.web, True),
        ("operator", broker.ports.kiosks, False),
    ):
        await broker_refuses(broker, port, tls[who], websocket=websocket)


async def test_nobody_takes_another_kiosks_session(connect):
    """At the kiosks' door the client id is that of the certificate, whatever a client says."""
    operator, k1 = await connect("operator"), await connect("k1", client_id="k1")
    await k1.listen(f"{ROOT}/k1/down/#")
    thief = await connect("k2", client_id="k1")
    assert not thief.connection.session_present
    await thief.listen(f"{ROOT}/k2/down/#")
    await operator.say(f"{ROOT}/k1/down/command", b"last")
    assert await k1.hear(b"last") == [(f"{ROOT}/k1/down/command", b"last")]
    again = await connect("k1")
    assert isinstance(await k1.connection.wait_closed(), LinkError)
    await again.say(f"{ROOT}/k1/up/health", b"here")


async def test_the_largest_picture_passes_and_more_does_not(broker, connect, tls):
    """The limit is told to the client; who passes over it is thrown out, and nobody gets it."""
    operator, k1 = await connect("operator"), await connect("k1")
    await operator.listen(f"{ROOT}/+/up/#")
    limit = k1.connection.maximum_packet_size
    assert limit is not None
    assert MAX_MEDIA_BYTES < limit < 2 * MAX_MEDIA_BYTES
    picture = b"x" * MAX_MEDIA_BYTES
    await k1.say(f"{ROOT}/k1/up/media/c", picture)
    assert await operator.hear(picture) == [(f"{ROOT}/k1/up/media/c", picture)]
    k1.connection.publish(f"{ROOT}/k1/up/media/c", b"x" * limit, on_ack=lambda _: None)
    assert isinstance(await k1.connection.wait_closed(), (RefusedError, HungUpError))
    k2 = await connect("k2")
    await k2.say(f"{ROOT}/k2/up/health", b"last")
    assert await operator.hear(b"last") == [(f"{ROOT}/k2/up/health", b"last")]


async def test_as_many_may_be_on_the_way_as_an_agent_sends(connect):
    """The broker's receive maximum is the agent's default of outbox.in_flight."""
    k1 = await connect("k1")
    assert k1.connection.receive_maximum == 200


async def test_people_see_what_was_last_said(connect):
    """State and settings of a kiosk that has gone, and what it is desired to have."""
    operator, k1 = await connect("operator"), await connect("k1")
    await k1.say(f"{ROOT}/k1/up/state", b"offline", retain=True)
    await k1.say(f"{ROOT}/k1/up/config", b"in force", retain=True)
    await k1.close()
    await operator.say(f"{ROOT}/k1/down/config", b"desired", retain=True)
    late = await connect("viewer")
    await late.listen(f"{ROOT}/+/up/#")
    await late.listen(f"{ROOT}/+/down/config")
    heard = await late.receive(b"desired")
    assert all(message.retained for message in heard)
    assert {(message.topic, message.payload) for message in heard} >= {
        (f"{ROOT}/k1/up/state", b"offline"),
        (f"{ROOT}/k1/up/config", b"in force"),
    }
    k1 = await connect("k1")
    await k1.listen(f"{ROOT}/k1/down/#")
    assert await k1.hear(b"desired") == [(f"{ROOT}/k1/down/config", b"desired")]
    for suffix in ("state", "config"):
        await k1.say(f"{ROOT}/k1/up/{suffix}", b"", retain=True)
    await operator.say(f"{ROOT}/k1/down/config", b"", retain=True)


async def test_over_websocket_with_the_certificate(broker, connect):
    """The same rights as over TCP."""
    operator = await connect("operator", port=broker.ports.web, websocket=True)
    k1 = await connect("k1")
    await operator.listen(f"{ROOT}/+/up/#")
    await k1.listen(f"{ROOT}/k1/down/#")
    assert await operator.say(f"{ROOT}/k1/up/receipt", b"forged") == NOT_AUTHORISED
    await operator.say(f"{ROOT}/k1/down/command", b"order")
    assert await k1.hear(b"order") == [(f"{ROOT}/k1/down/command", b"order")]
    await k1.say(f"{ROOT}/k1/up/receipt", b"last")
    assert await operator.hear(b"last") == [(f"{ROOT}/k1/up/receipt", b"last")]


@pytest.mark.parametrize(("role", "listener"), [("kiosk", "kiosks"), ("operator", "web")])
async def test_a_certificate_that_has_run_out(broker, identities, role, listener):
    """Opens nothing."""
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=10)
    old = await to_thread(identities[0].certify_in_the_past, "wang", role, lambda: past)
    port = getattr(broker.ports, listener)
    await broker_refuses(broker, port, old, websocket=listener == "web")


@pytest.fixture
def own_broker(tmp_path) -> Iterator[DeployedBroker]:
    """For one test alone."""
    with DeployedBroker(tmp_path / "broker", Authorities(tmp_path / "authorities")) as broker:
        yield broker


@pytest.fixture
def own_web_broker(tmp_path) -> Iterator[DeployedBroker]:
    """For one test alone, with WebSocket."""
    authorities = Authorities(tmp_path / "authorities")
    with DeployedBroker(tmp_path / "broker", authorities, "websockets.conf") as broker:
        yield broker


class TestRevoked:
    """Each with a broker of its own: it reads new files."""

    @pytest.fixture
    def broker(self, own_broker) -> DeployedBroker:
        return own_broker

    async def test_nobody_comes_in_with_it(self, broker):
        """At any door; others go on, and a new certificate opens again."""
        ports = broker.ports
        k1, k2, operator = await to_thread(
            broker.certify, ("k1", "kiosk"), ("k2", "kiosk"), ("wang", "operator")
        )
        await to_thread(broker.revoke, "k1", "operator.wang")
        for tls, port in ((k1, ports.kiosks), (operator, ports.people)):
            await broker_refuses(broker, port, tls)
        other = await Client.connect(ports.kiosks, k2)
        assert await other.say(f"{ROOT}/k2/up/health", b"x") != NOT_AUTHORISED
        await other.close()
        (renewed,) = await to_thread(broker.certify, ("k1", "kiosk"))
        again = await Client.connect(ports.kiosks, renewed)
        assert await again.say(f"{ROOT}/k1/up/health", b"x") != NOT_AUTHORISED
        await broker_refuses(broker, ports.kiosks, k1)
        await again.close()

    async def test_who_was_connected_is_cut_off(self, broker):
        """And what it said last is not handed out any more: it is off the screen."""
        ports = broker.ports
        k1, k2, wang = await to_thread(
            broker.certify, ("k1", "kiosk"), ("k2", "kiosk"), ("wang", "operator")
        )
        gone, kiosk = await Client.connect(ports.kiosks, k1), await Client.connect(ports.kiosks, k2)
        for name, one in (("k1", gone), ("k2", kiosk)):
            await one.say(f"{ROOT}/{name}/up/state", name.encode(), retain=True)
        await to_thread(broker.revoke, "k1")
        with pytest.raises(LinkError):
            await gone.say(f"{ROOT}/k1/up/health", b"forged")
        await broker_refuses(broker, ports.kiosks, k1)
        late = await Client.connect(ports.people, wang)
        await late.listen(f"{ROOT}/+/up/#")
        assert await late.hear(b"k2") == [(f"{ROOT}/k2/up/state", b"k2")]
        for one in (gone, kiosk, late):
            await one.close()

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_an_old_tls_session_is_no_way_round(self, broker, version):
        """The broker takes up no session: it looks at the certificate each time."""
        (k1,) = broker.certify(("k1", "kiosk"))
        context = ssl.create_default_context(cafile=k1.ca)
        context.load_cert_chain(k1.certificate, k1.key)
        context.minimum_version = context.maximum_version = version

        def line(session=None):
            sock = socket.create_connection((broker.host, broker.port), timeout=SOON_S)
            return context.wrap_socket(sock, server_hostname=broker.host, session=session)

        with line() as first:
            first.sendall(_CONNECT)
            assert first.recv(4)[0] == 0x20
            session = first.session
        broker.revoke("k1")
        assert session is not None

        try:
            with line(session) as second:
                second.sendall(_CONNECT)
                answer = second.recv(4)
        except OSError:  # how the end of the handshake arrives is a matter of chance
            answer = b""
        assert answer == b""


async def test_over_websocket_the_revoked_are_shut_out_by_name(own_web_broker):
    """Mosquitto 2.0.11 asks no revocation list there."""
    broker = own_web_broker
    ports, authorities = broker.ports, broker.authorities
    holders = (("wang", "operator"), ("zhao", "operator"), ("k1", "kiosk"))
    wang, zhao, k1 = [await to_thread(authorities.certify, *holder) for holder in holders]
    await to_thread(authorities.people.revoke, "operator.wang")
    await to_thread(broker.write_files)
    await to_thread(broker.restart)
    kiosk = await Client.connect(ports.kiosks, k1)
    await kiosk.listen(f"{ROOT}/k1/down/#")
    gone = await Client.connect(ports.web, wang, websocket=True)
    await gone.listen(f"{ROOT}/+/up/#")
    assert await gone.say(f"{ROOT}/k1/down/command", b"forged") == NOT_AUTHORISED
    stays = await Client.connect(ports.web, zhao, websocket=True)
    await stays.listen(f"{ROOT}/+/up/#")
    await kiosk.say(f"{ROOT}/k1/up/health", b"secret")
    await stays.say(f"{ROOT}/k1/down/command", b"last")
    assert await kiosk.hear(b"last") == [(f"{ROOT}/k1/down/command", b"last")]
    assert await stays.hear(b"secret") == [(f"{ROOT}/k1/up/health", b"secret")]
    assert await gone.waiting() == []
    for one in (gone, stays, kiosk):
        await one.close()


async def test_two_roots_overlap(own_broker, tmp_path):
    """While a new CA takes over, files that hold both roots and both lists let both in."""
    old = await to_thread(own_broker.authorities.certify, "k1")
    following = await to_thread(Authorities, tmp_path / "following")
    new = await to_thread(following.certify, "k2")
    gone = await to_thread(following.certify, "k3")
    await to_thread(following.kiosks.revoke, "k3")
    for file, more in (
        ("kiosks-roots.pem", following.kiosks.root_pem),
        ("kiosks-crl.pem", await to_thread(following.kiosks.crl)),
    ):
        path = own_broker.files / file
        path.write_bytes(path.read_bytes() + more)
    await to_thread(own_broker.stop)
    await to_thread(own_broker.start)
    trusted = old.ca
    for tls, name in ((old, "k1"), (new, "k2")):
        client = await Client.connect(own_broker.ports.kiosks, replace(tls, ca=trusted))
        assert await client.say(f"{ROOT}/{name}/up/health", b"x") != NOT_AUTHORISED
        await client.close()
    await broker_refuses(own_broker, own_broker.ports.kiosks, replace(gone, ca=trusted))


async def test_what_is_queued_survives_a_restart(own_broker):
    """A kiosk that is offline gets its command afterwards, and its state is still there."""
    ports = own_broker.ports
    k1, operator = await to_thread(own_broker.certify, ("k1", "kiosk"), ("wang", "operator"))
    lasting = {"client_id": "k1", "session_expiry_s": 3600}
    kiosk = await Client.connect(ports.kiosks, k1, **lasting)
    await kiosk.listen(f"{ROOT}/k1/down/#")
    await kiosk.say(f"{ROOT}/k1/up/state", b"online", retain=True)
    await kiosk.close()
    person = await Client.connect(ports.people, operator)
    await person.say(f"{ROOT}/k1/down/command", b"order")
    await person.close()
    await to_thread(own_broker.stop)
    await to_thread(own_broker.start)
    kiosk = await Client.connect(ports.kiosks, k1, **lasting)
    assert kiosk.connection.session_present
    assert await kiosk.hear(b"order") == [(f"{ROOT}/k1/down/command", b"order")]
    person = await Client.connect(ports.people, operator)
    await person.listen(f"{ROOT}/+/up/state")
    assert await person.hear(b"online") == [(f"{ROOT}/k1/up/state", b"online")]
    await kiosk.close()
    await person.close()
