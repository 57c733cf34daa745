"""The transport over aiomqtt, with a new client object for every connection.

aiomqtt 2.5 hides what the link needs: manual acknowledgement, the reason code of a PUBACK, the
properties of a CONNACK, the reason of a DISCONNECT. They are there in the paho client inside it.
All access to private parts of either library is in this file and in :mod:`telemetry.dial`.
"""

import asyncio
import logging
import math
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import aiomqtt
import structlog
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from telemetry.dial import Dialled, dial, explain_tls
from telemetry.reasons import connect_refused, sent_away
from telemetry.transport import (
    NOT_AUTHORISED,
    ClosedError,
    Connection,
    ConnectOptions,
    HungUpError,
    Incoming,
    LineLostError,
    LinkError,
    NotAuthorisedError,
    RefusedError,
    RetainHandling,
    UnreachableError,
    Will,
)

_GOODBYE_S = 2.0
_DISCONNECT_WITH_WILL = 0x04
_KEEPALIVE_TIMEOUT = 0x8D
_PROTOCOL_ERROR = 0x82
_RECEIVE_MAXIMUM_UNSAID = 65_535

_log = structlog.get_logger()


class MqttTransport:
    """:class:`~telemetry.transport.Transport` over aiomqtt."""

    async def connect(self, options: ConnectOptions) -> Connection:
        """Connect and wait for the broker's answer."""
        where = f"{options.host}:{options.port}"
        connection: MqttConnection | None = None
        try:
            async with asyncio.timeout(options.connect_timeout_s):
                connection = MqttConnection(options, await dial(options))
                await connection.open()
        except TimeoutError:
            msg = (
                f"no answer from {where}"
                if connection is None
                else f"{where} took the connection but does not answer as an MQTT broker"
            )
            msg += f" within {options.connect_timeout_s:g} s"
            raise UnreachableError(msg) from None
        return connection


class MqttConnection:
    """:class:`~telemetry.transport.Connection` on a dialled line."""

    def __init__(self, options: ConnectOptions, dialled: Dialled) -> None:
        self.session_present = False
        self.receive_maximum = _RECEIVE_MAXIMUM_UNSAID
        self.maximum_packet_size: int | None = None
        self._where = f"{options.host}:{options.port}"
        self._loop = asyncio.get_running_loop()
        self._line = dialled.line
        self._socket = dialled.wire
        self._taken = False
        self._abandoned = False
        self._leaving = False
        self._watching_writes = False
        self._on_ack: dict[int, Callable[[int], None]] = {}
        self._incoming: asyncio.Queue[Incoming | None] = asyncio.Queue()
        # No broker keeps to the receive maximum strictly: with so many waiting, nothing more is
        # read, and TCP holds the broker back. What is left unread is not lost, as what is left
        # unacknowledged would be until the next connection.
        self._incoming_limit = 2 * options.receive_maximum
        self._reading = True
        self._reason: LinkError | None = None
        self._ended = asyncio.Event()
        self._client = _client(options)
        self._client._disconnected.add_done_callback(self._reader_failed)  # noqa: SLF001
        self._paho = self._client._client  # noqa: SLF001
        self._hook()

    @property
    def keepalive_s(self) -> int:
        """What is in force."""
        return self._paho.keepalive

    async def open(self) -> None:
        """Say CONNECT and wait for the answer; on failure nothing stays open."""
        try:
            await self._client.__aenter__()
        except BaseException as error:
            self._abandon()
            if isinstance(error, aiomqtt.MqttError):
                raise self._gone() from None
            raise

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        on_ack: Callable[[int], None],
        retain: bool = False,
        expiry_s: int | None = None,
        content_type: str | None = None,
    ) -> None:
        """Offer a message with QoS 1 and return at once."""
        if self._reason is not None:
            raise self._gone()
        properties = _publish_properties(expiry_s, content_type)
        info = self._paho.publish(topic, payload, 1, retain, properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            msg = f"cannot send to {self._where}: {paho.error_string(info.rc)}"
            raise LineLostError(msg)
        self._on_ack[info.mid] = on_ack

    async def subscribe(
        self, topic_filter: str, *, retain_handling: RetainHandling = RetainHandling.SEND
    ) -> None:
        """Ask for messages with QoS 1."""
        if self._reason is not None:
            raise self._gone()
        options = SubscribeOptions(qos=1, retainHandling=retain_handling.value)
        asking = self._loop.create_task(self._client.subscribe(topic_filter, options=options))
        ending = self._loop.create_task(self._ended.wait())
        try:
            await asyncio.wait((asking, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
            ending.cancel()
        if not asking.done() or asking.exception() is not None:
            raise self._gone()
        code = cast("list[ReasonCode]", asking.result())[0]
        if code.is_failure:
            error = NotAuthorisedError if code.value == NOT_AUTHORISED else RefusedError
            msg = f"the broker {self._where} denies the subscription to {topic_filter}: {code}"
            raise error(msg)

    async def next_message(self) -> Incoming:
        """Wait for a message."""
        message = await self._incoming.get()
        if message is None:
            self._incoming.put_nowait(None)
            raise self._gone()
        if not self._reading and self._incoming.qsize() <= self._incoming_limit // 2:
            self._read_on()
        return message

    def acknowledge(self, message: Incoming) -> None:
        """Tell the broker that the message is stored."""
        if message.packet_id and self._reason is None:
            self._paho.ack(message.packet_id, 1)

    async def wait_closed(self) -> LinkError:
        """Wait until the line is gone and return why."""
        await self._ended.wait()
        return self._gone()

    async def disconnect(self, *, send_will: bool = False) -> None:
        """Say goodbye and close."""
        if self._reason is not None:
            return
        self._leaving = True
        code = ReasonCode(PacketTypes.DISCONNECT, identifier=_DISCONNECT_WITH_WILL)
        self._paho.disconnect(code if send_will else None)
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._ended.wait()
        except TimeoutError:
            self._abandon()
            self._end(ClosedError(f"closed the connection to {self._where}"))

    def _hook(self) -> None:
        inner = self._paho
        inner.disable_logger()
        inner.manual_ack_set(True)
        inner._create_socket = self._take_socket  # type: ignore[method-assign] # noqa: SLF001
        inner.on_socket_register_write = self._on_want_write
        inner.on_socket_unregister_write = None
        inner.on_socket_close = _before(self._on_close, inner.on_socket_close)
        inner.on_connect = _before(self._on_connect, inner.on_connect)
        inner.on_disconnect = self._on_disconnect
        inner.on_publish = self._on_publish
        inner.on_message = self._on_message

    def _take_socket(self) -> "paho.SocketLike":
        # In a thread of aiomqtt's, which may come to it when nobody waits for it any more.
        if self._abandoned:
            raise ConnectionAbortedError
        self._taken = True
        return self._socket

    def _abandon(self) -> None:
        self._abandoned = True
        if self._taken:
            self._line.abandon()
        else:
            self._line.close()

    def _on_want_write(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._write)

    def _write(self) -> None:
        self._paho.loop_write()
        self._flush()

    def _flush(self) -> None:
        blocked = not self._line.flush()
        if blocked and not self._watching_writes:
            self._loop.add_writer(self._line.fileno(), self._flush)
        elif self._watching_writes and not blocked:
            self._loop.remove_writer(self._line.fileno())
        self._watching_writes = blocked

    def _on_close(self, *_: Any) -> None:
        if self._watching_writes:
            self._loop.remove_writer(self._line.fileno())
            self._watching_writes = False

    def _on_connect(
        self, _client: Any, _data: Any, flags: paho.ConnectFlags, code: ReasonCode, props: Any
    ) -> None:
        if code.is_failure:
            self._end(connect_refused(self._where, code.value, str(code)))
            return
        self.session_present = flags.session_present
        self.receive_maximum = getattr(props, "ReceiveMaximum", _RECEIVE_MAXIMUM_UNSAID)
        self.maximum_packet_size = getattr(props, "MaximumPacketSize", None)

    def _on_disconnect(
        self, _client: Any, _data: Any, flags: paho.DisconnectFlags, code: ReasonCode, _props: Any
    ) -> None:
        connected = self._client._connected  # noqa: SLF001
        if self._leaving:
            self._end(ClosedError(f"closed the connection to {self._where}"))
        elif flags.is_disconnect_packet_from_server:
            self._end(sent_away(self._where, code.value, str(code)))
        else:
            self._end(self._broken(code.value, answered=connected.done()))
        if not connected.done() and not self._abandoned:
            # Else aiomqtt would go on waiting for a CONNACK.
            connected.set_exception(aiomqtt.MqttError("the line broke before the CONNACK"))
            connected.exception()  # it may have stopped waiting: then nobody else asks

    def _broken(self, code: int, *, answered: bool) -> LinkError:
        if isinstance(self._line.error, ssl.SSLError):
            return explain_tls(self._where, self._line.error)
        if code == _PROTOCOL_ERROR:
            return RefusedError(f"{self._where} sent something that is not MQTT 5")
        if not answered:
            return UnreachableError(
                f"{self._where} closed the connection without an answer: perhaps it expects "
                "TLS, or does not speak MQTT 5"
            )
        if code == _KEEPALIVE_TIMEOUT:
            return LineLostError(f"nothing heard from {self._where} within the keep-alive time")
        if self._line.error is None:
            return HungUpError(f"the broker {self._where} closed the connection without a reason")
        return LineLostError(f"the connection to {self._where} broke: {self._line.error}")

    def _on_publish(
        self, _client: Any, _data: Any, packet_id: int, code: ReasonCode, _props: Any
    ) -> None:
        on_ack = self._on_ack.pop(packet_id, None)
        if on_ack is not None:
            on_ack(code.value)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        incoming = Incoming(
            topic=message.topic,
            payload=bytes(message.payload),
            retained=message.retain,
            duplicate=message.dup,
            expiry_s=getattr(message.properties, "MessageExpiryInterval", None),
            packet_id=message.mid if message.qos else 0,
        )
        self._incoming.put_nowait(incoming)
        if self._reading and self._incoming.qsize() >= self._incoming_limit:
            self._reading = False
            self._loop.remove_reader(self._line.fileno())
            _log.debug("mqtt_held_back", broker=self._where, waiting=self._incoming_limit)

    def _read_on(self) -> None:
        """Read again after a flood, as aiomqtt did before it."""
        if self._reason is None:
            self._reading = True
            self._loop.add_reader(self._line.fileno(), self._read)
            self._loop.call_soon(self._read)  # the socket says nothing of what the line has read

    def _read(self) -> None:
        try:
            self._paho.loop_read()
            while self._reading and self._line.pending():
                self._paho.loop_read()
        except Exception as error:  # noqa: BLE001 - as aiomqtt has it: the line is broken
            if not self._client._disconnected.done():  # noqa: SLF001
                self._client._disconnected.set_exception(error)  # noqa: SLF001

    def _reader_failed(self, disconnected: asyncio.Future[None]) -> None:
        error = disconnected.exception()
        if self._reason is None:
            _log.error("mqtt_reader_failed", exc_info=error)
            self._end(RefusedError(f"cannot read what {self._where} sent: {error!r}"))
            self._abandon()

    def _end(self, reason: LinkError) -> None:
        if self._reason is None:
            self._reason = reason
            self._on_ack.clear()
            self._incoming.put_nowait(None)
            self._ended.set()

    def _gone(self) -> LinkError:
        reason = self._reason or LineLostError(f"the connection to {self._where} broke")
        return type(reason)(*reason.args)


def _client(options: ConnectOptions) -> aiomqtt.Client:
    properties = _properties(
        PacketTypes.CONNECT,
        SessionExpiryInterval=options.session_expiry_s,
        ReceiveMaximum=options.receive_maximum,
        MaximumPacketSize=options.maximum_packet_size,
    )
    return aiomqtt.Client(
        options.host,
        options.port,
        identifier=options.client_id,
        username=options.username,
        password=options.password,
        protocol=aiomqtt.ProtocolVersion.V5,
        keepalive=options.keepalive_s,
        clean_start=options.clean_start,
        properties=properties,
        will=_will(options.will) if options.will is not None else None,
        # No limit: those who send keep to the receive maximum, and paho must hold nothing back.
        max_inflight_messages=0,
        timeout=math.inf,
        logger=logging.getLogger(__name__),
    )


def _will(will: Will) -> aiomqtt.Will:
    properties = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=will.delay_s)
    return aiomqtt.Will(will.topic, will.payload, 1, will.retain, properties)


class _Packed:
    """Properties that are packed once; paho does it for every message, at some cost."""

    def __init__(self, properties: Properties) -> None:
        self._bytes: bytes = properties.pack()  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        return self._bytes


@lru_cache(maxsize=64)
def _publish_properties(expiry_s: int | None, content_type: str | None) -> Properties:
    values = {"MessageExpiryInterval": expiry_s, "ContentType": content_type}
    properties = _properties(PacketTypes.PUBLISH, **values)
    return cast("Properties", _Packed(properties))


def _properties(packet_type: int, **values: Any) -> Properties:
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def _before(ours: Callable[..., None], theirs: Any) -> Callable[..., None]:
    """Chain a callback of ours before aiomqtt's own."""

    def both(*args: Any) -> None:
        ours(*args)
        theirs(*args)

    return both
