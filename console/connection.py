"""The console's connection: aiomqtt, MQTT 5, nothing kept between two of them."""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from console.errors import BrokerError, DeniedError, TlsError
from console.settings import ConsoleSettings
from console.tls import explain_tls, tls_context

CONNECT_TIMEOUT_S = 10.0
_QUEUE = 20_000
"""Messages waiting to be shown; beyond them new ones are dropped."""
_PAUSE_MIN_S, _PAUSE_MAX_S = 0.5, 30.0
# What a broker says with these codes will not change by itself soon.
_REFUSALS: Final = {
    134: "user name or password are wrong",
    135: "this user or certificate has no access",
    138: "this client is banned",
    140: "the broker wants another way to authenticate",
}
_NOT_AUTHORISED = 135
_NO_ANSWER = "it closed the connection without an answer"
_REFUSED_TOPIC = "this user or certificate may not write there"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came from the broker."""

    topic: str
    payload: bytes
    retained: bool


class Client(aiomqtt.Client):
    """Knows what the library keeps to itself: what the broker did not take, and that it hung up."""

    _refusals = 0
    _refusal: ReasonCode | None = None

    async def offer(
        self, topic: str, payload: bytes, *, retain: bool, properties: Properties | None = None
    ) -> None:
        """Publish with QoS 1.

        Raises:
            DeniedError: the broker does not let this user write there, or takes no more.
            aiomqtt.MqttError: the line broke.
        """
        before = self._refusals
        await self.publish(topic, payload, qos=1, retain=retain, properties=properties)
        if self._refusals > before:  # of a message beside this one perhaps: one right for all
            code = self._refusal
            why = _REFUSED_TOPIC if code is not None and code.value == _NOT_AUTHORISED else code
            msg = f"the broker did not take what was to go to {topic}: {why}"
            raise DeniedError(msg)

    def _on_publish(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        if reason_code.is_failure:
            self._refusals += 1
            self._refusal = reason_code
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():  # else the library would wait all the same
            self._connected.set_exception(aiomqtt.MqttError(_NO_ANSWER))
            self._connected.exception()  # who waited may be gone: then nobody else asks
        super()._on_disconnect(client, userdata, flags, reason_code, properties)


@asynccontextmanager
async def connect(settings: ConsoleSettings) -> AsyncIterator[Client]:
    """Connect for the time of the body.

    Raises:
        TlsError: the broker and we do not agree on certificates.
        BrokerError: there is no connection, or it broke during the body.
        SettingsError: a certificate or the password's file is unusable.
    """
    address = settings.address
    password = await asyncio.to_thread(settings.read_password)
    failures: list[ssl.SSLError] = []
    tls = None
    if address.tls:
        tls = await asyncio.to_thread(tls_context, settings, failures.append)
    client = Client(
        address.host,
        address.port,
        username=settings.user,
        password=password,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        timeout=CONNECT_TIMEOUT_S,
        keepalive=30,
        tls_context=tls,
        transport="websockets" if address.websocket_path else "tcp",
        websocket_path=address.websocket_path,
        socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        max_queued_incoming_messages=_QUEUE,
        logger=_quiet_logger(),
    )
    try:
        async with client:
            yield client
    except aiomqtt.MqttCodeError as error:
        code = getattr(error.rc, "value", error.rc)
        reason = _REFUSALS.get(code) if isinstance(code, int) else None
        msg = f"broker {address}: {reason or error}"
        raise BrokerError(msg) from None
    except aiomqtt.MqttError as error:
        if failures:
            raise explain_tls(settings, failures[0]) from None
        msg = f"broker {address}: {_in_words(str(error), settings)}"
        raise BrokerError(msg) from None


async def follow(
    settings: ConsoleSettings,
    filters: Sequence[str],
    receive: Callable[[Arrival], None],
    report: Callable[[str | None], None],
) -> None:
    """Hand on what is published, over all reconnections, until cancelled.

    Args:
        settings: the broker.
        filters: what to subscribe to.
        receive: gets every message.
        report: told why there is no connection, and ``None`` when there is one.

    Raises:
        TlsError: see :func:`connect`; not any more once there was a connection.
        SettingsError: see :func:`connect`.
    """
    reached = False
    pause = _PAUSE_MIN_S
    while True:
        try:
            async with connect(settings) as client:
                await client.subscribe([(name, 1) for name in filters])
                report(None)
                reached, pause = True, _PAUSE_MIN_S
                async for message in client.messages:
                    receive(arrival(message))
        except BrokerError as error:
            if isinstance(error, TlsError) and not reached:
                raise
            report(str(error))
        await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter
        pause = min(2 * pause, _PAUSE_MAX_S)


def arrival(message: aiomqtt.Message) -> Arrival:
    """Return what the rest of the console needs of a message."""
    payload = message.payload if isinstance(message.payload, bytes) else b""
    return Arrival(message.topic.value, payload, message.retain)


def _in_words(text: str, settings: ConsoleSettings) -> str:
    late = "timed out" in text.lower()
    if not late and text != _NO_ANSWER:
        return text
    if not settings.address.tls:
        hint = "; it may want TLS (mqtts://)"
    else:
        hint = "" if settings.certificate else "; it may want a client certificate (--certificate)"
    return f"{f'no answer within {CONNECT_TIMEOUT_S:.0f} s' if late else text}{hint}"


def _quiet_logger() -> logging.Logger:
    """Let the library keep its warnings to itself: what matters becomes a sentence here."""
    logger = logging.getLogger("console.mqtt")
    logger.setLevel(logging.CRITICAL)
    return logger


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; raises what it raised."""
    while not task.done():
        task.cancel()
        # aiomqtt waits with wait_for, which before Python 3.12 may swallow a cancellation.
        await asyncio.wait({task}, timeout=0.1)
    if not task.cancelled():
        task.result()
