"""The telemetry path against raw paho, on the same broker in the same run."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from agent.broker import EmbeddedBroker
from agent.log import configure
from agent.settings import LogSettings
from bench import Figures
from contract import Event, Topics
from contract.wire import Text
from telemetry.clock import SystemClock
from telemetry.link import Link
from telemetry.mqtt import MqttTransport
from telemetry.outbox import Outbox
from telemetry.row import Row
from telemetry.settings import LinkSettings, OutboxSettings
from telemetry.voice import Birth

MESSAGES = 20_000
BACKLOG = 100_000
PRODUCERS = 200
PAYLOAD_BYTES = 300
WINDOW = 200
PACED_PER_S = 500
PACED_S = 6
ROUNDS = 3
IDLE_WARM_UP_S = 12
IDLE_S = 40

T = TypeVar("T")


class BenchEvent(Event, kind="bench"):
    """Padding that brings the whole message to about :data:`PAYLOAD_BYTES`."""

    text: Text


EVENT = BenchEvent(text="x" * 10)


class CountingOutbox(Outbox):
    """Tells when a number of messages was acknowledged."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.count = 0
        self.wanted = 0
        self.reached = asyncio.Event()

    def expect(self, number: int) -> None:
        """Set :attr:`reached` after so many more acknowledgements."""
        self.count, self.wanted = 0, number
        self.reached.clear()

    def delivered(self, row: Row) -> None:
        """Count."""
        super().delivered(row)
        self.count += 1
        if self.count == self.wanted:
            self.reached.set()


@asynccontextmanager
async def running_outbox(folder: Path) -> AsyncIterator[CountingOutbox]:
    """An outbox with its writer."""
    outbox = CountingOutbox(
        folder,
        topics=Topics("bench"),
        settings=OutboxSettings(in_flight=WINDOW, backlog_per_s=0),
        clock=SystemClock(),
        on_fault=lambda fault, text: print(fault, text, file=sys.stderr),
    )
    await outbox.start()
    writer = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        await outbox.close()


@asynccontextmanager
async def online(outbox: CountingOutbox, port: int) -> AsyncIterator[Link]:
    """The link for an outbox; it goes on in the background."""
    link = Link(
        transport=MqttTransport(),
        outbox=outbox,
        topics=Topics("bench"),
        settings=LinkSettings(port=port),
        outbox_settings=OutboxSettings(in_flight=WINDOW, backlog_per_s=0),
        clock=SystemClock(),
        birth=lambda: Birth("bench", datetime.now(UTC), (), ()),
    )
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def put_many(outbox: Outbox, number: int, producers: int = PRODUCERS) -> None:
    """Put messages from many tasks, each waiting until its message is stored."""
    clock = SystemClock()

    async def produce() -> None:
        for _ in range(number // producers):
            await outbox.put(EVENT, clock.stamp())

    await asyncio.gather(*(produce() for _ in range(producers)))


async def durable_per_s(folder: Path, port: int) -> float:
    """Messages a second from put to PUBACK, each on disk before it is offered."""
    async with running_outbox(folder) as outbox, online(outbox, port):
        outbox.expect(1_000)
        await put_many(outbox, 1_000)
        await outbox.reached.wait()
        outbox.expect(MESSAGES)
        began = time.perf_counter()
        await put_many(outbox, MESSAGES)
        await outbox.reached.wait()
        return MESSAGES / (time.perf_counter() - began)


async def backlog_drain_per_s(folder: Path, port: int) -> float:
    """Messages a second from a backlog, without the rate limit of the settings."""
    async with running_outbox(folder) as outbox:
        await put_many(outbox, BACKLOG, 500)
    async with running_outbox(folder) as outbox:
        outbox.expect(BACKLOG)
        began = time.perf_counter()
        async with online(outbox, port):
            await outbox.reached.wait()
            return BACKLOG / (time.perf_counter() - began)


async def paced(folder: Path, port: int) -> Figures:
    """Latency of a put and of the loop at a steady rate, well above a kiosk's."""
    waits: list[float] = []
    lags: list[float] = []
    clock = SystemClock()

    async def put(outbox: Outbox) -> None:
        began = time.perf_counter()
        await outbox.put(EVENT, clock.stamp())
        waits.append(time.perf_counter() - began)

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - began - 0.001)

    async with running_outbox(folder) as outbox, online(outbox, port):
        await put_many(outbox, 1_000)
        watcher = asyncio.create_task(watch())
        began = time.perf_counter()
        tasks = []
        for number in range(PACED_PER_S * PACED_S):
            tasks.append(asyncio.create_task(put(outbox)))
            await asyncio.sleep(max(0.0, began + number / PACED_PER_S - time.perf_counter()))
        watcher.cancel()
        await asyncio.gather(*tasks)
    return {
        "enqueue_p50_ms": round(1000 * percentile(waits, 50), 2),
        "enqueue_p99_ms": round(1000 * percentile(waits, 99), 2),
        "loop_held_p99_ms": round(1000 * percentile(lags, 99), 2),
        "loop_held_max_ms": round(1000 * max(lags), 2),
    }


def percentile(values: list[float], percent: int) -> float:
    """A percentile of many values."""
    return statistics.quantiles(values, n=100)[percent - 1]


def paho_qos1_per_s(port: int) -> float:
    """Raw paho with its own thread: pipelined, nothing stored."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="raw", protocol=paho.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    done, ready = threading.Event(), threading.Event()
    acknowledged = 0

    def on_publish(*_: object) -> None:
        nonlocal acknowledged
        acknowledged += 1
        if acknowledged == MESSAGES:
            done.set()

    client.on_publish = on_publish
    client.on_connect = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.socket().setsockopt(6, 1, 1)  # type: ignore[union-attr] # TCP_NODELAY
    client.loop_start()
    ready.wait(10)
    payload = b"x" * PAYLOAD_BYTES
    began = time.perf_counter()
    for _ in range(MESSAGES):
        client.publish("kiosk/v1/bench/up/event/bench", payload, qos=1)
    done.wait(120)
    seconds = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return MESSAGES / seconds


def idle(folder: Path, port: int) -> Figures:
    """Memory and CPU of the agent as it is shipped, without cameras, with nothing to do."""
    settings = folder / "agent.toml"
    settings.write_text(
        f'[kiosk]\nid = "idle"\nstate_folder = "{folder}/state"\n[link]\nport = {port}\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "run", "--config", str(settings)],
        stderr=subprocess.DEVNULL,
    ) as agent:
        process = psutil.Process(agent.pid)
        time.sleep(IDLE_WARM_UP_S)
        before, began = process.cpu_times(), time.perf_counter()
        time.sleep(IDLE_S)
        after, seconds = process.cpu_times(), time.perf_counter() - began
        rss = process.memory_info().rss
        agent.terminate()
    spent = after.user + after.system - before.user - before.system
    return {
        "idle_rss_mib": round(rss / 2**20, 1),
        "idle_cpu_percent": round(100 * spent / seconds, 2),
    }


def run() -> Figures:
    """Measure; some two minutes. The figures are explained in bench/RESULTS.md."""
    configure(LogSettings(level="error"))
    sys.setswitchinterval(0.001)  # as the agent does
    raw: list[float] = []
    durable: list[float] = []
    for _ in range(ROUNDS):
        raw.append(on_fresh_broker(lambda _, port: paho_qos1_per_s(port)))
        durable.append(
            on_fresh_broker(lambda folder, port: asyncio.run(durable_per_s(folder, port)))
        )
    figures: Figures = {
        "durable_per_s": round(statistics.median(durable)),
        "paho_qos1_per_s": round(statistics.median(raw)),
        "ratio": round(statistics.median(durable) / statistics.median(raw), 3),
    }
    figures |= on_fresh_broker(lambda folder, port: asyncio.run(paced(folder, port)))
    figures["backlog_drain_per_s"] = round(
        on_fresh_broker(lambda folder, port: asyncio.run(backlog_drain_per_s(folder, port)))
    )
    return figures | on_fresh_broker(idle)


def on_fresh_broker(work: Callable[[Path, int], T]) -> T:
    """Run a measurement with an empty folder and a broker of its own."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker() as broker:
        return work(Path(folder), broker.port)
