"""``kioskctl watch`` and ``events`` against a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from agent.broker import EmbeddedBroker
from contract import Data, seal
from contract.events import AlarmRaised, CameraLost
from contract.health import Health
from contract.ids import uuid7
from contract.state import State
from tests.console.conftest import TOPICS, Kioskctl
from tests.support.brokers import Mosquitto, make_certificates
from tests.support.real_clock import RealClock


class Says:
    """Publishes what a kiosk would, and what it would not."""

    def __init__(self, client: aiomqtt.Client):
        self.client = client

    async def message(self, data: Data, sequence: int | None = None, *, times: int = 1) -> None:
        sealed = seal(data, kiosk="k-1", stamp=RealClock().stamp(), sequence=sequence)
        topic = TOPICS.up(data.SUFFIX)
        for _ in range(times):
            await self.client.publish(topic, sealed.payload, qos=1, retain=data.RETAIN)

    async def noise(self) -> None:
        for payload in (b"", b"{", b"\xff" * 100, b'{"type": "kiosk.health.v1"}'):
            await self.client.publish(TOPICS.up("up/health"), payload, qos=1)
            await self.client.publish(TOPICS.up("up/event/x"), payload, qos=1)


@asynccontextmanager
async def speaking(port: int) -> AsyncIterator[Says]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        yield Says(client)


async def line(process: asyncio.subprocess.Process) -> dict:
    """The next line of JSON."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return json.loads(await process.stdout.readline())


async def end(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.communicate()


def health(cpu: float) -> Health:
    return Health(cause="interval", agent_uptime_s=1, agent_loop_lag_ms=0.1, cpu_percent=cpu)


def lost(camera: str) -> CameraLost:
    return CameraLost(camera=camera, reason="hung", text="no frame")


ONLINE = State(state="online", session=3, last_sequence=0, agent_version="0.1.0")


async def test_watch_prints_a_line_for_each_change(kioskctl, broker):
    """The kept birth comes first, then what changes; noise and repeats are no change."""
    async with speaking(broker.port) as says:
        await says.message(ONLINE)
        process = await kioskctl.start("watch", "--json")
        try:
            first = await line(process)
            assert (first["kiosk"], first["state"], first["session"]) == ("k-1", "online", 3)
            assert first["changed"] == "kiosk.state.v1"
            await says.noise()
            await says.message(health(12.5), 1, times=3)
            assert (await line(process))["cpu_percent"] == 12.5
            alarm = AlarmRaised(alarm_id=uuid7(1), code="disk.full", severity="major", text="!")
            await says.message(alarm, 2)
            assert (await line(process))["worst_severity"] == "major"
            await says.message(State(state="offline", session=2, last_sequence=0))
            await says.message(State(state="offline", session=3, last_sequence=0))
            assert (await line(process))["state"] == "offline"
        finally:
            await end(process)
        await says.client.publish(TOPICS.state, b"", retain=True)


async def test_watch_shows_a_table(kioskctl, broker):
    """Without a terminal the last picture is printed when the time is over."""
    async with speaking(broker.port) as says:
        await says.message(ONLINE)
        done = await kioskctl("watch", "--seconds", "1.5")
        await says.client.publish(TOPICS.state, b"", retain=True)
    assert done.code == 0
    assert "Worst alarm" in done.out
    assert "k-1" in done.out


async def test_events_shows_each_once_and_what_is_missing(kioskctl, broker):
    """Repeats are shown once; numbers that stay away get a line; health only where asked for."""
    async with speaking(broker.port) as says:
        process = await kioskctl.start("events", "k-1", "--json", "--seconds", "3")
        await _subscribed(says, process)
        await says.message(lost("front"), 11, times=3)
        await says.noise()
        await says.message(health(1.0), 12)
        await says.message(lost("rear"), 15)
        assert process.stdout is not None
        rest = (await process.stdout.read()).decode().splitlines()
        await process.wait()
    shown = [json.loads(text) for text in rest]
    assert [event["data"]["camera"] for event in shown if "data" in event] == ["front", "rear"]
    assert shown[-1] == {"missing": {"first": 13, "last": 14}}
    assert process.returncode == 0


async def test_events_can_be_chosen_by_kind(kioskctl, broker):
    """--kind takes patterns over the kinds of events, and health, receipt, gap, state."""
    async with speaking(broker.port) as says:
        process = await kioskctl.start("events", "k-1", "--json", "--kind", "health")
        try:
            await _subscribed(says, process, health(0.0))
            await says.message(lost("front"), 11)
            await says.message(health(7.0), 12)
            assert (await line(process))["data"]["cpu_percent"] == 7.0
        finally:
            await end(process)


async def test_watching_survives_the_broker(tmp_path):
    """A broker that goes away and comes back is said, and the watch goes on by itself."""
    broker = EmbeddedBroker()
    await asyncio.to_thread(broker.start)
    kioskctl = Kioskctl(tmp_path, broker.port)
    process = await kioskctl.start("events", "k-1", "--json")
    assert process.stderr is not None
    try:
        async with speaking(broker.port) as says:
            await _subscribed(says, process)
        await asyncio.to_thread(broker.stop)
        async with asyncio.timeout(20):
            assert b"trying again" in await process.stderr.readline()
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(30):
            while b"connected again" not in await process.stderr.readline():
                pass
        async with speaking(broker.port) as says:
            await says.message(lost("front"), 50)
            assert (await line(process))["sequence"] == 50
    finally:
        await end(process)
        await asyncio.to_thread(broker.stop)


@pytest.mark.parametrize("command", [["watch", "--json"], ["events", "k-1"]])
async def test_without_a_broker_it_says_so(kioskctl, command):
    """Nobody there: the reason once, and the exit code 6 when the time is over."""
    done = await kioskctl("--broker", "mqtt://127.0.0.1:1", *command, "--seconds", "1")
    assert done.code == 6
    assert done.errors.count("Connection refused") == 1


async def test_tls_passwords_and_the_settings_file(tmp_path: Path):
    """Address, CA, client certificate, user and password file may all come from the TOML file."""
    certificates = make_certificates(tmp_path)
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder, password="secret", tls=certificates, client_certificate=True)
    await asyncio.to_thread(broker.start)
    try:
        (tmp_path / "word").write_text("secret\n", encoding="utf-8")
        (tmp_path / ".config").mkdir()
        (tmp_path / ".config/kioskctl.toml").write_text(
            f"""
            broker = "mqtts://127.0.0.1:{broker.port}"
            user = "kiosk"
            password_file = "{tmp_path / "word"}"
            ca = "{certificates.ca}"
            certificate = "{certificates.client}"
            certificate_key = "{certificates.client_key}"
            """,
            encoding="utf-8",
        )
        kioskctl = Kioskctl(tmp_path, 0)
        url = f"mqtts://127.0.0.1:{broker.port}"
        good = await kioskctl("watch", "--json", "--seconds", "1.5", KIOSKCTL_BROKER=url)
        assert (good.code, good.errors) == (0, "")
        (tmp_path / "word").write_text("wrong", encoding="utf-8")
        bad = await kioskctl("watch", "--json", "--seconds", "1.5", KIOSKCTL_BROKER=url)
        assert bad.code == 6
        assert "this user or certificate has no access" in bad.errors
    finally:
        await asyncio.to_thread(broker.kill)


async def _subscribed(
    says: Says, process: asyncio.subprocess.Process, data: Data | None = None
) -> None:
    """Return when the console listens: it shows something that is said over and over."""
    shown = asyncio.create_task(line(process))
    probe = data or lost("probe")
    sealed = seal(probe, kiosk="k-1", stamp=RealClock().stamp(), sequence=10).payload
    while not shown.done():
        await says.client.publish(TOPICS.up(probe.SUFFIX), sealed, qos=1)
        await asyncio.wait([shown], timeout=0.1)
    await shown
