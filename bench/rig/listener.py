"""A command centre's end: a session that the broker keeps, over any number of connections."""

import asyncio
import ssl
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_SESSION_S = 86_400
_RETRY_S = 1
_KEEPALIVE_S = 15

Take = Callable[[str, bytes], None]


class Listener:
    """Hears everything on a topic, in a thread of its own, and hands it on to the event loop.

    Args:
        client_id: of the session.
        host: of the broker.
        port: of the broker.
        topic: filter of what to hear.
        take: gets topic and payload of each message, on the loop that made the listener.
        tls: for a broker that wants it.
    """

    def __init__(
        self,
        client_id: str,
        *,
        host: str,
        port: int,
        topic: str,
        take: Take,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._topic = topic
        self._take = take
        self._loop = asyncio.get_running_loop()
        self.listening = asyncio.Event()
        """Set when the broker has confirmed the subscription for the first time."""
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5
        )
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._hand_on
        self._client.reconnect_delay_set(_RETRY_S, _RETRY_S)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _SESSION_S
        # paho's default, to start clean the first time only, does so on every connection.
        self._client.connect_async(
            host, port, keepalive=_KEEPALIVE_S, clean_start=False, properties=properties
        )

    def start(self) -> None:
        """Connect, and again for ever."""
        self._client.loop_start()

    def stop(self) -> None:
        """Hang up. Blocks."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something; what the broker does not take now is not tried again."""
        if self._client.is_connected():
            self._client.publish(topic, payload, qos=1)

    def _subscribe(self, *_: object) -> None:
        self._client.subscribe(self._topic, qos=1)

    def _subscribed(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.listening.set)

    def _hand_on(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        # paho acknowledges after this; until the loop has it, it is in this process's memory.
        payload = bytes(message.payload)
        self._loop.call_soon_threadsafe(self._take, message.topic, payload)
