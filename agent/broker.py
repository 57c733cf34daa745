"""A broker of our own on this machine, for the demo, benchmarks and tests: iotcore (rumqttd).

Not for production: it knows no rights per topic, keeps nothing on disk, and is unreliable with
delayed wills and session expiry.
"""

import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import iotcore

HOST = "127.0.0.1"

# Its defaults are of no use here: every interface, payloads up to 20 KB, no MQTT 5.
_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10

[v5.1]
name = "v5"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = 1048576
max_inflight_count = 100
"""


class EmbeddedBroker:
    """MQTT 5 on 127.0.0.1, in a child process that ends with this one, however that ends.

    ``port`` 0 takes a free one; it is kept over :meth:`stop` and :meth:`start`.
    Starting takes a moment and blocks: call it off the event loop.
    """

    def __init__(self, port: int = 0) -> None:
        self.host = HOST
        self.port = port or free_port()
        self._broker: iotcore.Broker | None = None

    def start(self) -> Self:
        """Return when the broker takes connections.

        Raises:
            OSError: the port is in use.
            RuntimeError: it does not come up within ten seconds.
        """
        with tempfile.TemporaryDirectory(prefix="kiosk-broker-") as folder:
            config = Path(folder, "rumqttd.toml")
            config.write_text(_CONFIG.format(host=self.host, port=self.port), encoding="utf-8")
            self._broker = iotcore.Broker(config_path=str(config)).start()
        return self

    def stop(self) -> None:
        """End it and all that it holds in memory. Safe to call twice."""
        if self._broker is not None:
            self._broker.stop()
            self._broker = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
