"""The centre's end in tests that order something: signs, publishes, and waits for answers."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from contract.command import Command, sign_command
from contract.config import DesiredConfig, sign_config
from contract.ids import uuid7
from contract.keys import PrivateKey
from contract.receipt import TERMINAL

BASE = "kiosk/v1/k1"


class OperatorLine:
    """Talks to the kiosk k1; everything that it says is in ``heard``, in order."""

    def __init__(self, port: int, *keys: PrivateKey) -> None:
        self._keys: Sequence[PrivateKey] = keys
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.media: list[bytes] = []
        self._news = threading.Condition()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="operator", protocol=paho.MQTTv5
        )
        subscribed = threading.Event()
        self._client.on_message = self._take
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(f"{BASE}/up/#", qos=1)
        assert subscribed.wait(10)

    def _take(self, _client, _data, message: paho.MQTTMessage) -> None:
        if "/up/media/" in message.topic:
            self.media.append(message.payload)
            return
        with self._news:
            self.heard.append((message.topic.removeprefix(f"{BASE}/"), json.loads(message.payload)))
            self._news.notify_all()

    def wait(
        self, topic: str, condition: Callable[[dict[str, Any]], bool], within_s: float = 30
    ) -> dict[str, Any]:
        """Return the ``data`` of the first message on a topic for which the condition holds."""
        deadline = time.monotonic() + within_s
        seen = 0
        with self._news:
            while True:
                for where, envelope in self.heard[seen:]:
                    if where == topic and condition(envelope["data"]):
                        return envelope["data"]
                seen = len(self.heard)
                if not self._news.wait(deadline - time.monotonic()):
                    said = [data["data"] for where, data in self.heard if where == topic]
                    raise AssertionError(said[-5:])

    def all(self, topic: str) -> list[dict[str, Any]]:
        with self._news:
            return [envelope["data"] for where, envelope in self.heard if where == topic]

    def order(self, action: str, within_s: float = 60, **args: Any) -> dict[str, Any]:
        """Send a command and return its last receipt; where the clock is unsynced, once more."""
        receipt = self._order(action, args, {}, within_s)
        if receipt.get("code") == "clock":
            answer = {"challenge": receipt["challenge"], "answers": receipt["command_id"]}
            receipt = self._order(action, args, answer, within_s)
        return receipt

    def _order(
        self, action: str, args: dict[str, Any], answer: dict[str, str], within_s: float
    ) -> dict[str, Any]:
        now = int(time.time())
        command = Command(
            id=uuid7(now * 1000),
            kiosk="k1",
            action=action,
            args=args,
            reason="test",
            nbf=now - 5,
            exp=now + 600,
            ttl_s=600,
            **answer,
        )
        payload = sign_command(command, self._keys)
        self._client.publish(f"{BASE}/down/command", payload, qos=1)
        return self.wait(
            "up/receipt",
            lambda data: data.get("command_id") == command.id and data["status"] in TERMINAL,
            within_s,
        )

    def push(self, version: int, settings: Mapping[str, Any], within_s: float = 60):
        """Send ``config.push`` and return its last receipt."""
        return self.order("config.push", within_s, version=version, settings=dict(settings))

    def desire(self, version: int, settings: Mapping[str, Any]) -> None:
        """Publish a desired configuration, retained."""
        desired = DesiredConfig(
            id=uuid7(int(time.time() * 1000)), kiosk="k1", version=version, settings=dict(settings)
        )
        payload = sign_config(desired, self._keys)
        self._client.publish(f"{BASE}/down/config", payload, qos=1, retain=True)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
