"""What Telegraf does with the shipped telegraf.conf, as far as its settings go.

Debian, PyPI and npm do not have Telegraf. This reads the same file and does what Telegraf's
sources say of each setting in it: ``mqtt_consumer`` with its topic parser, the ``value`` parser,
and ``postgresql``, which copies in PostgreSQL's binary form. A setting that it does not know is an
error.
"""

import base64
import struct
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import Empty, Queue
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.postgres import Database

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_AGENT = {
    "interval",
    "flush_interval",
    "metric_batch_size",
    "metric_buffer_limit",
    "omit_hostname",
}
_INPUT = {
    "alias",
    "startup_error_behavior",
    "servers",
    "topics",
    "client_id",
    "persistent_session",
    "qos",
    "max_undelivered_messages",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "name_override",
    "data_format",
    "data_type",
    "topic_tag",
    "topic_parsing",
}
_PARSING = {"topic", "tags"}
_OUTPUT = {
    "startup_error_behavior",
    "connection",
    "schema",
    "create_templates",
    "add_column_templates",
    "namepass",
    "taginclude",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What an input makes of a message, and an output writes."""

    name: str
    time: datetime
    tags: Mapping[str, str]
    fields: Mapping[str, str]


def _known(table: Mapping[str, Any], names: set[str]) -> None:
    unknown = table.keys() - names
    assert not unknown, f"settings that were not looked up in Telegraf's sources: {unknown}"


def read(text: str) -> dict[str, Any]:
    """Read a configuration; a setting that is not in Telegraf's sources fails the test."""
    settings = tomllib.loads(text)
    _known(settings, {"agent", "inputs", "outputs"})
    _known(settings["agent"], _AGENT)
    _known(settings["inputs"], {"mqtt_consumer"})
    _known(settings["outputs"], {"postgresql"})
    for table in settings["inputs"]["mqtt_consumer"]:
        _known(table, _INPUT)
        for parsing in table["topic_parsing"]:
            _known(parsing, _PARSING)
            assert len(parsing["topic"].split("/")) == len(parsing["tags"].split("/"))
        if table.get("persistent_session"):
            assert table.get("client_id"), "persistent_session requires client_id"
    for table in settings["outputs"]["postgresql"]:
        _known(table, _OUTPUT)
    assert settings["agent"]["omit_hostname"]
    return settings


def metric(settings: Mapping[str, Any], topic: str, payload: bytes) -> Metric:
    """Make the metric of a message, as an input with these settings does."""
    assert (settings["data_format"], settings["data_type"]) == ("value", "base64")
    tags = {settings["topic_tag"]: topic} if settings["topic_tag"] else {}
    levels = topic.split("/")
    for parsing in settings["topic_parsing"]:
        pattern = parsing["topic"].split("/")
        if len(pattern) == len(levels) and all(
            level in {"+", given} for level, given in zip(pattern, levels, strict=True)
        ):
            named = zip(parsing["tags"].split("/"), levels, strict=True)
            tags |= {name: given for name, given in named if name not in {"_", ""}}
    value = base64.b64encode(payload).decode()
    return Metric(settings["name_override"], datetime.now(UTC), tags, {"value": value})


class Output:
    """``outputs.postgresql``: one COPY a table."""

    def __init__(self, settings: Mapping[str, Any], database: Database) -> None:
        assert settings["create_templates"] == settings["add_column_templates"] == []
        self._settings = settings
        self._database = database
        words = dict(word.split("=", 1) for word in settings["connection"].split())
        self._user = words["user"]
        self._columns: dict[str, set[str]] = {}

    def write(self, metrics: Iterable[Metric]) -> None:
        """Write a batch; all of it or nothing.

        Raises:
            SqlError: it could not be written.
        """
        tables: dict[str, list[Metric]] = {}
        for item in metrics:
            if item.name in self._settings["namepass"]:
                tables.setdefault(item.name, []).append(item)
        for table, rows in tables.items():
            self._copy(table, rows)

    def _copy(self, table: str, rows: list[Metric]) -> None:
        kept = self._settings["taginclude"]
        tags = {name for row in rows for name in row.tags if name in kept}
        fields = {name for row in rows for name in row.fields}
        schema = self._settings["schema"]
        if table not in self._columns:
            self._columns[table] = self._look_up(schema, table)
        # A tag without a column would lose the message, a field without one the field.
        assert tags <= self._columns[table], "a tag has no column"
        columns = ["time", *sorted((tags | fields) & self._columns[table])]
        target = f"{schema}.{table} ({', '.join(columns)})"
        self._database.run(
            f"copy {target} from stdin (format binary)",
            user=self._user,
            stdin=_binary([_cells(row, columns, kept) for row in rows]),
        )

    def _look_up(self, schema: str, table: str) -> set[str]:
        """Ask for the columns as Telegraf does, and let them be described as its driver does."""
        said = self._database.rows(
            "select column_name, col_description(format('%I.%I', table_schema, table_name)"
            "::regclass::oid, ordinal_position) from information_schema.columns "
            f"where table_schema = '{schema}' and table_name = '{table}'",
            user=self._user,
        )
        columns = {column["column_name"] for column in said}
        described = f"select {', '.join(sorted(columns))} from {schema}.{table} \\gdesc\n"
        self._database.run(user=self._user, stdin=described.encode())
        return columns


def _cells(row: Metric, columns: list[str], kept: list[str]) -> list[bytes | None]:
    tags = {name: value for name, value in row.tags.items() if name in kept}
    texts = [{**tags, **row.fields}.get(name) for name in columns[1:]]
    moment = struct.pack(">q", (row.time - _EPOCH) // timedelta(microseconds=1))
    return [moment, *(None if text is None else text.encode() for text in texts)]


def _binary(rows: list[list[bytes | None]]) -> bytes:
    """Write rows in PostgreSQL's binary COPY format."""
    parts = [b"PGCOPY\n\xff\r\n\0", struct.pack(">ii", 0, 0)]
    for row in rows:
        parts.append(struct.pack(">h", len(row)))
        for cell in row:
            parts += (
                [struct.pack(">i", -1)] if cell is None else [struct.pack(">i", len(cell)), cell]
            )
    return b"".join([*parts, struct.pack(">h", -1)])


class Consumer:
    """``inputs.mqtt_consumer``; in a session of its own it acknowledges what is written."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._persistent = settings.get("persistent_session", False)
        self._waiting: Queue[paho.MQTTMessage] = Queue(settings["max_undelivered_messages"])
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.get("client_id", ""),
            clean_session=not self._persistent,
            protocol=paho.MQTTv311,
            manual_ack=self._persistent,
        )
        self._client.tls_set(settings["tls_ca"], settings["tls_cert"], settings["tls_key"])
        self._client.on_message = lambda _client, _data, message: self._waiting.put(message)
        self._client.on_connect = self._subscribe
        self._subscribed: Queue[bool] = Queue()
        self._client.on_subscribe = lambda *_: self._subscribed.put(True)

    def connect(self) -> None:
        address = urlsplit(self._settings["servers"][0])
        assert address.scheme == "ssl"
        assert address.hostname is not None
        assert address.port is not None
        self._client.connect(address.hostname, address.port)
        self._client.loop_start()
        self._subscribed.get(timeout=10)

    def _subscribe(
        self, client: paho.Client, _data: Any, flags: Any, reason: Any, _props: Any
    ) -> None:
        assert not reason.is_failure, reason
        if flags.session_present:
            self._subscribed.put(True)
        else:
            client.subscribe([(topic, self._settings["qos"]) for topic in self._settings["topics"]])

    @property
    def waiting(self) -> int:
        """How many messages have come and were not received yet."""
        return self._waiting.qsize()

    def receive(self, count: int, *, wait_s: float = 10.0) -> list[tuple[paho.MQTTMessage, Metric]]:
        """Return the next messages, ``count`` of them or what comes in the time."""
        batch = []
        deadline = time.monotonic() + wait_s
        while len(batch) < count:
            try:
                message = self._waiting.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            batch.append((message, metric(self._settings, message.topic, message.payload)))
        return batch

    def written(self, messages: Iterable[paho.MQTTMessage]) -> None:
        """Tell the broker that it may forget them."""
        if self._persistent:
            for message in messages:
                self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
