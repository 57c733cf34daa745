"""Ways of connecting and ways of failing to, each with the right class and a sentence."""

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt import client as paho

from agent.broker import EmbeddedBroker, free_port
from bench.rig.proxy import TcpProxy
from telemetry.dial import Line
from telemetry.mqtt import MqttTransport
from telemetry.transport import (
    NOT_AUTHORISED,
    SUCCESS,
    Connection,
    ConnectOptions,
    LineLostError,
    LinkError,
    NotAuthorisedError,
    RefusedError,
    TlsDatesError,
    TlsError,
    TlsOptions,
    UnreachableError,
)
from tests.support.authority import Authority
from tests.support.brokers import Certificates, Mosquitto, make_certificates

SOON_S = 5.0

Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def iotcore() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def start_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    with contextlib.ExitStack() as stack:
        started: dict[str, Mosquitto] = {}

        def start(**options: Any) -> Mosquitto:
            if repr(options) not in started:
                broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), **options)
                started[repr(options)] = stack.enter_context(broker)
            return started[repr(options)]

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[Connection] = []

    async def connect(port: int, *, host: str = "127.0.0.1", **options: Any) -> Connection:
        transport = MqttTransport()
        connection = await transport.connect(ConnectOptions(host, port, "kiosk-1", **options))
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        await connection.disconnect()


async def round_trip(connection: Connection, payload: bytes = b"x" * 3000) -> None:
    acked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await connection.subscribe("round/trip")
    connection.publish("round/trip", payload, on_ack=acked.set_result)
    message = await asyncio.wait_for(connection.next_message(), SOON_S)
    connection.acknowledge(message)
    assert message.payload == payload
    assert await asyncio.wait_for(acked, SOON_S) == SUCCESS


async def test_password(start_mosquitto: Callable[..., Mosquitto], connect: Connect):
    """The right user name and password open the door."""
    broker = start_mosquitto(password="right")
    await round_trip(await connect(broker.port, username="kiosk", password="right"))


@pytest.mark.parametrize(
    "credentials",
    [{"username": "kiosk", "password": "wrong"}, {"username": "nobody", "password": "right"}, {}],
)
async def test_wrong_password(
    start_mosquitto: Callable[..., Mosquitto], connect: Connect, credentials: dict[str, str]
):
    """A wrong password, a wrong user and none at all are told as what they are."""
    broker = start_mosquitto(password="right")
    with pytest.raises(NotAuthorisedError, match=r"not accept user name or password|not authori"):
        await connect(broker.port, **credentials)


async def test_denied_publication_is_visible(
    start_mosquitto: Callable[..., Mosquitto], connect: Connect
):
    """A message that the broker's rights forbid is answered with the code that says so."""
    broker = start_mosquitto(password="right", acl="user kiosk\ntopic write up/#\n")
    connection = await connect(broker.port, username="kiosk", password="right")
    codes: asyncio.Queue[int] = asyncio.Queue()
    for topic in ("up/a", "down/a"):
        connection.publish(topic, b"x", on_ack=codes.put_nowait)
    got = [await asyncio.wait_for(codes.get(), SOON_S) for _ in range(2)]
    assert got[0] < 0x80
    assert got[1] == NOT_AUTHORISED


async def test_tls_with_client_certificate(
    start_mosquitto: Callable[..., Mosquitto], certificates: Certificates, connect: Connect
):
    """Mutual TLS works, with messages larger than a TLS record and many in flight."""
    broker = start_mosquitto(tls=certificates, client_certificate=True)
    tls = TlsOptions(certificates.ca, certificates.client, certificates.client_key)
    connection = await connect(broker.port, tls=tls)
    await round_trip(connection, bytes(range(256)) * 700)
    done = asyncio.Event()
    codes: list[int] = []

    def on_ack(code: int) -> None:
        codes.append(code)
        if len(codes) == 500:
            done.set()

    for _ in range(500):
        connection.publish("many", b"x" * 300, on_ack=on_ack)
    await asyncio.wait_for(done.wait(), SOON_S)


async def test_missing_client_certificate(
    start_mosquitto: Callable[..., Mosquitto], certificates: Certificates, connect: Connect
):
    """A broker that demands a certificate is not mistaken for one that does not answer."""
    broker = start_mosquitto(tls=certificates, client_certificate=True)
    with pytest.raises(NotAuthorisedError, match="client certificate"):
        await connect(broker.port, tls=TlsOptions(certificates.ca))


async def test_refused_client_certificate(
    start_mosquitto: Callable[..., Mosquitto],
    certificates: Certificates,
    tmp_path: Path,
    connect: Connect,
):
    """A certificate that the broker's CA did not sign is told as refused."""
    broker = start_mosquitto(tls=certificates, client_certificate=True)
    stranger = make_certificates(tmp_path)
    tls = TlsOptions(certificates.ca, stranger.client, stranger.client_key)
    with pytest.raises(NotAuthorisedError, match="client certificate"):
        await connect(broker.port, tls=tls)


async def test_untrusted_broker(
    start_mosquitto: Callable[..., Mosquitto], certificates: Certificates, connect: Connect
):
    """A broker whose certificate another CA signed gets nothing from us."""
    broker = start_mosquitto(tls=certificates)
    with pytest.raises(TlsError, match=r"certificate of 127\.0\.0\.1:.* is not trusted"):
        await connect(broker.port, tls=TlsOptions(certificates.other_ca))


@pytest.mark.parametrize(("days", "said"), [(365, "not yet valid"), (-365, "has expired")])
async def test_dates_by_our_clock(
    start_mosquitto: Callable[..., Mosquitto],
    tmp_path: Path,
    connect: Connect,
    days: int,
    said: str,
):
    """A kiosk whose clock is wrong says what its clock shows, and is to try again soon."""
    authority = Authority("Root")
    files = authority.broker(tmp_path / "b", since=datetime.now(UTC) + timedelta(days=days))
    broker = start_mosquitto(tls=files)
    with pytest.raises(
        TlsDatesError, match=rf"{said} by this machine's clock \(2\d{{3}}-"
    ) as error:
        await connect(broker.port, tls=TlsOptions(files.ca))
    assert error.value.retryable


async def test_certificate_of_another_name(
    start_mosquitto: Callable[..., Mosquitto], tmp_path: Path, connect: Connect
):
    """The certificate has to be for the host that the settings name."""
    elsewhere = make_certificates(tmp_path, "127.0.0.2")
    broker = start_mosquitto(tls=elsewhere)
    with pytest.raises(TlsError, match=r"is not trusted: .*127\.0\.0\.1"):
        await connect(broker.port, tls=TlsOptions(elsewhere.ca))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("missing", None, None), r"cannot read the CA certificates .*missing: No such file"),
        (("garbage", None, None), r"cannot read the CA certificates .*garbage: "),
        ((None, "missing", "garbage"), r"cannot use the client certificate .*missing"),
        ((None, "garbage", "garbage"), r"cannot use the client certificate .*garbage"),
    ],
)
async def test_unusable_files(
    garbage: Path, connect: Connect, names: tuple[str | None, ...], text: str
):
    """A file that is missing or is no certificate is named."""
    files = [garbage.with_name(name) if name else None for name in names]
    with pytest.raises(TlsError, match=text):
        await connect(free_port(), tls=TlsOptions(*files))


@pytest.fixture
def garbage(tmp_path: Path) -> Path:
    path = tmp_path / "garbage"
    path.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    return path


async def test_tls_to_a_plain_port(
    iotcore: EmbeddedBroker, certificates: Certificates, connect: Connect
):
    """TLS to a port that speaks plain MQTT is told as that."""
    with pytest.raises(LinkError, match=r"does not speak TLS|failed to shake hands"):
        await connect(iotcore.port, tls=TlsOptions(certificates.ca))


async def test_broker_that_goes_down_in_the_handshake(certificates: Certificates, connect: Connect):
    """It is tried again soon: that is how a restart looks."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(LinkError) as error:
            await connect(port, tls=TlsOptions(certificates.ca))
    assert error.value.retryable


async def test_plain_to_a_tls_port(
    start_mosquitto: Callable[..., Mosquitto], certificates: Certificates, connect: Connect
):
    """Plain MQTT to a TLS port gets the hint."""
    broker = start_mosquitto(tls=certificates)
    with pytest.raises(UnreachableError, match="perhaps it expects TLS"):
        await connect(broker.port)


async def test_websocket(start_mosquitto: Callable[..., Mosquitto], connect: Connect):
    """MQTT over WebSocket carries large messages and many in flight."""
    broker = start_mosquitto(websockets=True)
    connection = await connect(broker.port, websocket_path="/mqtt")
    await round_trip(connection, bytes(range(256)) * 40)
    codes: asyncio.Queue[int] = asyncio.Queue()
    for _ in range(200):
        connection.publish("many", b"x" * 300, on_ack=codes.put_nowait)
    for _ in range(200):
        await asyncio.wait_for(codes.get(), SOON_S)


async def test_websocket_over_tls(
    start_mosquitto: Callable[..., Mosquitto], certificates: Certificates, connect: Connect
):
    """WebSocket and TLS go together."""
    broker = start_mosquitto(websockets=True, tls=certificates)
    tls = TlsOptions(certificates.ca)
    await round_trip(await connect(broker.port, tls=tls, websocket_path="/mqtt"))


async def test_websocket_to_a_plain_port(iotcore: EmbeddedBroker, connect: Connect):
    """A port without WebSocket is told as that."""
    with pytest.raises(RefusedError, match="takes no MQTT over WebSocket at /mqtt"):
        await connect(iotcore.port, websocket_path="/mqtt")


async def test_unknown_name(connect: Connect):
    """A name that DNS does not know."""
    with pytest.raises(UnreachableError, match=r"name broker\.invalid cannot be resolved"):
        await connect(1883, host="broker.invalid")


async def test_refused_port(connect: Connect):
    """A port where nothing listens."""
    with pytest.raises(UnreachableError, match="connection refused"):
        await connect(free_port())


async def test_resolver_that_hangs(connect: Connect, monkeypatch: pytest.MonkeyPatch):
    """A hanging resolver costs the connection timeout, and holds up no shutdown."""
    released = threading.Event()

    def hang(*_args: Any, **_options: Any) -> Any:
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(UnreachableError, match=r"no answer from broker\.test:1883 within 0\.1 s"):
        await connect(1883, host="broker.test", connect_timeout_s=0.1)
    hanging = [thread for thread in threading.enumerate() if thread.name == "dial broker.test"]
    assert [thread.daemon for thread in hanging] == [True]
    released.set()


async def test_black_hole(iotcore: EmbeddedBroker, connect: Connect):
    """A line that swallows everything ends with the connection timeout."""
    async with TcpProxy(iotcore.host, iotcore.port) as proxy:
        proxy.stall()
        with pytest.raises(
            UnreachableError, match=r"does not answer as an MQTT broker within 0\.2"
        ):
            await connect(proxy.port, connect_timeout_s=0.2)


async def test_given_up_dialling_takes_no_session(
    iotcore: EmbeddedBroker, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    """A cancelled attempt whose DNS answer comes late does not end a newer connection."""
    released, resolve = threading.Event(), socket.getaddrinfo

    def slow(host: str, *args: Any, **options: Any) -> Any:
        released.wait(30)
        return resolve(host, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        attempt = asyncio.create_task(connect(iotcore.port, host="localhost"))
        await asyncio.sleep(0.05)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    connection = await connect(iotcore.port)
    released.set()
    for thread in threading.enumerate():
        if thread.name == "dial localhost":
            await asyncio.to_thread(thread.join)
    await asyncio.sleep(0.05)
    await round_trip(connection)


async def test_given_up_connection_is_reset(connect: Connect):
    """What an abandoned attempt had said is not repeated by the kernel when the line recovers."""
    with socket.socket() as frozen:
        frozen.bind(("127.0.0.1", 0))
        frozen.listen()
        with pytest.raises(UnreachableError, match="does not answer as an MQTT broker"):
            await connect(frozen.getsockname()[1], connect_timeout_s=0.1)
        await asyncio.sleep(0.05)
        late, _ = frozen.accept()
        with late:
            late.recv(1000)
            with pytest.raises(ConnectionResetError):
                late.recv(1000)


async def test_half_open_line_is_noticed(iotcore: EmbeddedBroker, connect: Connect):
    """A line that went silent is given up within twice the keep-alive time."""
    async with TcpProxy(iotcore.host, iotcore.port) as proxy:
        connection = await connect(proxy.port, keepalive_s=1)
        proxy.stall()
        reason = await asyncio.wait_for(connection.wait_closed(), 4)
        assert isinstance(reason, LineLostError)
        assert "keep-alive" in str(reason)


async def test_half_closed_line_is_noticed(iotcore: EmbeddedBroker, connect: Connect):
    """The end of the broker's direction is the end of the line."""
    async with TcpProxy(iotcore.host, iotcore.port) as proxy:
        connection = await connect(proxy.port)
        proxy.half_close()
        assert isinstance(await asyncio.wait_for(connection.wait_closed(), SOON_S), LineLostError)


async def test_goodbye_on_a_dead_line_ends(iotcore: EmbeddedBroker, connect: Connect):
    """Leaving never hangs, whatever became of the line."""
    async with TcpProxy(iotcore.host, iotcore.port) as proxy:
        connection = await connect(proxy.port)
        proxy.stall()
        for _ in range(200):
            connection.publish("a", b"x" * 60_000, on_ack=lambda _code: None)
        await asyncio.sleep(0)
        await asyncio.wait_for(connection.disconnect(), 3)


async def test_abrupt_end_makes_no_noise(
    iotcore: EmbeddedBroker, connect: Connect, caplog: pytest.LogCaptureFixture
):
    """A line that breaks while much is to be written leaves nothing in the logs."""
    for _ in range(5):
        async with TcpProxy(iotcore.host, iotcore.port) as proxy:
            connection = await connect(proxy.port)
            proxy.stall()
            for _ in range(100):
                connection.publish("a", b"x" * 60_000, on_ack=lambda _code: None)
            await asyncio.sleep(0.01)
            proxy.cut()
            await asyncio.wait_for(connection.wait_closed(), SOON_S)
            await asyncio.sleep(0)
    del connection
    gc.collect()
    assert caplog.text == ""


async def test_limits_of_the_broker_are_told(
    start_mosquitto: Callable[..., Mosquitto], connect: Connect
):
    """The CONNACK's limits are there to be kept to; a packet beyond them ends the line."""
    connection = await connect(start_mosquitto(max_packet_size=5000).port, keepalive_s=7)
    assert connection.maximum_packet_size == 5000
    assert connection.receive_maximum == 1000
    assert connection.keepalive_s == 7
    connection.publish("a", b"x" * 6000, on_ack=lambda _code: None)
    reason = await asyncio.wait_for(connection.wait_closed(), SOON_S)
    assert isinstance(reason, (RefusedError, LineLostError))


async def test_a_flood_is_held_back(iotcore: EmbeddedBroker, connect: Connect):
    """What a broker sends beyond the receive maximum waits in TCP, not in memory; none is lost."""
    connection = await connect(iotcore.port, receive_maximum=5, session_expiry_s=60)
    await connection.subscribe("flood")
    flooder = await MqttTransport().connect(ConnectOptions("127.0.0.1", iotcore.port, "flooder"))
    codes: asyncio.Queue[int] = asyncio.Queue()
    for number in range(300):
        flooder.publish("flood", b"%d" % number, on_ack=codes.put_nowait)
    for _ in range(300):
        await asyncio.wait_for(codes.get(), SOON_S)
    got: list[bytes] = []
    while len(got) < 300:
        assert connection._incoming.qsize() < 100  # the bound, and what was already read
        message = await asyncio.wait_for(connection.next_message(), SOON_S)
        got.append(message.payload)
        connection.acknowledge(message)
    assert got == [b"%d" % number for number in range(300)]
    await flooder.disconnect()


async def test_a_flood_is_read_to_its_end(iotcore: EmbeddedBroker, connect: Connect):
    """What the line had read already when it was held back comes without more from the broker."""
    flooder = await MqttTransport().connect(ConnectOptions("127.0.0.1", iotcore.port, "flooder"))
    for count in range(20, 30):
        connection = await connect(iotcore.port, receive_maximum=5, clean_start=True)
        await connection.subscribe(f"flood-{count}")
        codes: asyncio.Queue[int] = asyncio.Queue()
        for number in range(count):
            flooder.publish(f"flood-{count}", b"%d" % number, on_ack=codes.put_nowait)
        for _ in range(count):
            await asyncio.wait_for(codes.get(), SOON_S)
        for _ in range(count):
            await asyncio.wait_for(connection.next_message(), SOON_S)
        await connection.disconnect()
    await flooder.disconnect()


def test_abandoned_line_sends_nothing_more():
    """What was not sent when a line is given up never leaves, least of all in clear text."""
    ours, theirs = socket.socketpair()
    line = Line(ours)
    line.setblocking(False)
    line.send(b"before")
    line.abandon()
    line.send(b"after")
    assert line.flush()
    line.close()
    with theirs:
        assert theirs.recv(100) == b""


def test_private_parts_are_where_we_expect_them():
    """What is used of the libraries' private parts exists; a new version without it fails here."""
    assert {"_client", "_connected", "_disconnected"} <= set(vars(aiomqtt_client()))
    assert callable(paho.Client._create_socket)
    assert callable(paho._WebsocketWrapper)
    assert hasattr(paho.Client(paho.CallbackAPIVersion.VERSION2), "manual_ack_set")
    assert issubclass(ssl.SSLSocket, socket.socket)


def aiomqtt_client() -> aiomqtt.Client:
    async def make() -> aiomqtt.Client:
        return aiomqtt.Client("127.0.0.1")

    return asyncio.run(make())
