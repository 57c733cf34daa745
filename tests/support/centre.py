"""The centre's end in tests: takes in everything that a kiosk says."""

import json
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


class Centre:
    """Collects sequence numbers, in a thread of its own."""

    def __init__(self, port: int, kiosk: str) -> None:
        self.sequences: list[int] = []
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"centre-{kiosk}", protocol=paho.MQTTv5
        )
        subscribed = threading.Event()
        self._client.on_message = self._take
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        for suffix in ("event/#", "gap", "health", "receipt"):
            self._client.subscribe(f"kiosk/v1/{kiosk}/up/{suffix}", qos=1)
        assert subscribed.wait(10)

    def _take(self, _client, _data, message: paho.MQTTMessage) -> None:
        self.sequences.append(json.loads(message.payload)["sequence"])

    def has(self, wanted: range, within_s: float) -> bool:
        """Whether all of these numbers arrive in time."""
        deadline = time.monotonic() + within_s
        while not set(wanted) <= set(self.sequences) and time.monotonic() < deadline:
            time.sleep(0.02)
        return set(wanted) <= set(self.sequences)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
