"""A signed command's round trip against two bare paho clients, on the same broker in the same run.

The broker is Mosquitto with TCP_NODELAY where it is installed: the embedded one answers only
every 40 ms (Nagle), which would hide what is measured.
"""

import asyncio
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.broker import HOST, EmbeddedBroker, free_port
from agent.log import configure
from agent.settings import LogSettings
from bench import Figures
from bench.telemetry import percentile
from console import keys
from console.courier import Courier
from console.order import Draft
from console.outcome import Outcome
from console.settings import ConsoleSettings
from contract.command import open_command
from contract.keys import KeySet, PrivateKey

KIOSK = "bench"
ROUNDS = 3
PINGS = 400
WARM_UP = 50
BURST = 1000
VERIFIED = 2000
PAYLOAD_BYTES = 700
"""About what a signed ping takes."""
_TIMEOUT_S = 120.0


@contextmanager
def broker(folder: Path) -> Iterator[tuple[str, int]]:
    """A broker of our own; yields its name and port."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        with EmbeddedBroker() as embedded:
            yield "iotcore", embedded.port
        return
    port = free_port()
    lines = ["set_tcp_nodelay true", "allow_anonymous true", f"listener {port} {HOST}"]
    lines += ["max_inflight_messages 1000", "max_queued_messages 10000"]
    lines += ["user root"] if os.geteuid() == 0 else []
    configuration = folder / "mosquitto.conf"
    configuration.write_text("\n".join(lines) + "\n")
    with subprocess.Popen(
        [program, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        time.sleep(0.5)
        try:
            yield "mosquitto", port
        finally:
            process.terminate()


@contextmanager
def agent(folder: Path, port: int, key: PrivateKey) -> Iterator[None]:
    """The agent as it is shipped, with its ledger, audit trail and outbox on disk."""
    operators = folder / "operators.json"
    operators.write_text(KeySet(keys=(key.public(),)).model_dump_json(exclude_none=True))
    settings = folder / "agent.toml"
    settings.write_text(
        f'[kiosk]\nid = "{KIOSK}"\nstate_folder = "{folder}/state"\n[link]\nport = {port}\n'
        f'[commands]\noperators = "{operators}"\n[log]\nlevel = "warning"\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "run", "--config", str(settings)],
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def _connect(port: int, name: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
    client.connect(HOST, port)
    client.socket().setsockopt(6, 1, 1)  # type: ignore[union-attr] # TCP_NODELAY
    return client


def echo(port: int) -> None:
    """Send back everything, for ever: the other end of the bare round trip."""
    client = _connect(port, "echo")

    def send_back(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        client.publish("bench/back", message.payload, qos=1)

    client.on_message = send_back
    client.subscribe("bench/there", qos=1)
    client.loop_forever()


def raw_round_trips(port: int) -> list[float]:
    """Milliseconds of each round trip between two bare paho clients in two processes."""
    other = multiprocessing.get_context("spawn").Process(target=echo, args=(port,), daemon=True)
    other.start()
    client = _connect(port, "raw")
    came = threading.Event()
    client.on_message = lambda *_: came.set()
    client.subscribe("bench/back", qos=1)
    client.loop_start()
    payload = b"x" * PAYLOAD_BYTES
    while not came.wait(0.2):  # until the other end is there
        client.publish("bench/there", payload, qos=1)
    time.sleep(0.5)
    times = []
    for _ in range(WARM_UP + PINGS):
        came.clear()
        began = time.perf_counter()
        client.publish("bench/there", payload, qos=1)
        came.wait(10)
        times.append(1000 * (time.perf_counter() - began))
    client.disconnect()
    client.loop_stop()
    other.terminate()
    return times[WARM_UP:]


async def _ping(courier: Courier, key: PrivateKey) -> tuple[float, Outcome]:
    order = Draft(KIOSK, "ping", {}, reason="benchmark").sign([key])
    began = time.perf_counter()
    ending = await courier.deliver(order, timeout_s=_TIMEOUT_S, on_receipt=lambda _: None)
    return 1000 * (time.perf_counter() - began), ending.outcome


async def pings(port: int, key: PrivateKey) -> list[float]:
    """Milliseconds from publishing a signed ping to its terminal receipt, one at a time."""
    settings = ConsoleSettings(broker=f"mqtt://{HOST}:{port}")
    async with Courier(settings, lambda _: None) as courier:
        times = [(await _ping(courier, key))[0] for _ in range(WARM_UP + PINGS)]
    return times[WARM_UP:]


async def burst(port: int, key: PrivateKey) -> tuple[float, int]:
    """Seconds for many pings in flight at once, and how many succeeded."""
    settings = ConsoleSettings(broker=f"mqtt://{HOST}:{port}")
    async with Courier(settings, lambda _: None) as courier:
        await _ping(courier, key)
        began = time.perf_counter()
        endings = await asyncio.gather(*(_ping(courier, key) for _ in range(BURST)))
        seconds = time.perf_counter() - began
    return seconds, sum(outcome is Outcome.SUCCEEDED for _, outcome in endings)


async def online(port: int) -> None:
    """Wait until the agent has said that it is there."""
    async with aiomqtt.Client(HOST, port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(f"kiosk/v1/{KIOSK}/up/state", qos=1)
        async for message in client.messages:
            if isinstance(message.payload, bytes) and b'"online"' in message.payload:
                return


def verify_us(key: PrivateKey) -> float:
    """Microseconds to check and read one signed command."""
    payload = Draft(KIOSK, "ping", {}).sign([key]).payload
    known = {key.kid: key.verifier()}
    began = time.perf_counter()
    for _ in range(VERIFIED):
        open_command(payload, known)
    return 1e6 * (time.perf_counter() - began) / VERIFIED


def run() -> Figures:
    """Measure; about a minute. The figures are explained in bench/RESULTS.md."""
    configure(LogSettings(level="error"))
    key = keys.new_key("benchmark", "operator")
    signed: list[float] = []
    raw: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        name, port = stack.enter_context(broker(folder))
        stack.enter_context(agent(folder, port, key))
        asyncio.run(asyncio.wait_for(online(port), 30))
        for _ in range(ROUNDS):
            raw += raw_round_trips(port)
            signed += asyncio.run(pings(port, key))
        seconds, succeeded = asyncio.run(burst(port, key))
    return {
        "broker": name,
        "ping_p50_ms": round(percentile(signed, 50), 2),
        "ping_p99_ms": round(percentile(signed, 99), 2),
        "raw_p50_ms": round(percentile(raw, 50), 2),
        "raw_p99_ms": round(percentile(raw, 99), 2),
        "ratio_p50": round(percentile(signed, 50) / percentile(raw, 50), 2),
        "ratio_p99": round(percentile(signed, 99) / percentile(raw, 99), 2),
        "verify_us": round(verify_us(key), 1),
        "burst_1000_s": round(seconds, 2),
        "burst_succeeded": succeeded,
    }
