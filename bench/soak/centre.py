"""The command centre's end: hears everything over all connections, and says what it has stored."""

import asyncio
import json
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.broker import HOST

_DAY_S = 86_400
_RETRY_S = 1


class Centre:
    """A session that the broker keeps while we are away; a thread of its own, which hands on.

    Args:
        port: of the broker on this machine.
        base: what all topics of the kiosk begin with.
        take: gets topic and payload of each message, on the event loop that made the centre.
    """

    def __init__(
        self, port: int, base: str, take: Callable[[str, bytes | bytearray], None]
    ) -> None:
        self._base = base
        self._take = take
        self._loop = asyncio.get_running_loop()
        self.connected = asyncio.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="centre", protocol=paho.MQTTv5
        )
        self._client.on_connect = self._listen
        self._client.on_subscribe = self._listening
        self._client.on_message = self._hand_on
        self._client.reconnect_delay_set(_RETRY_S, _RETRY_S)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _DAY_S
        self._client.connect_async(HOST, port, keepalive=15, properties=properties)

    def start(self) -> None:
        """Connect, and again for ever."""
        self._client.loop_start()

    def stop(self) -> None:
        """Hang up. Blocks."""
        self._client.disconnect()
        self._client.loop_stop()

    def acknowledge(self, sequence: int) -> None:
        """Say that every message up to this number is stored."""
        self.publish("down/ack", json.dumps({"sequence": sequence}).encode())

    def publish(self, suffix: str, payload: bytes) -> None:
        """Say something to the kiosk; what the broker does not take now is not tried again."""
        if self._client.is_connected():
            self._client.publish(f"{self._base}/{suffix}", payload, qos=1)

    def _listen(self, *_: object) -> None:
        self._client.subscribe(f"{self._base}/up/#", qos=1)

    def _listening(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.connected.set)

    def _hand_on(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        # paho acknowledges after this; until the loop has it, it is in this process's memory.
        self._loop.call_soon_threadsafe(self._take, message.topic, message.payload)
