"""The whole agent as its users meet it: a process, a broker, an operator."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import VERSION
from agent.broker import EmbeddedBroker
from agent.local.client import ask
from console.keys import new_key
from tests.agent.conftest import BIN, AgentProcess
from tests.support.operator_line import OperatorLine


def test_ping_and_status(agent: AgentProcess):
    """An operator's signed ping comes back, and the person on site sees a living agent."""
    agent.start()
    status = agent.status_when(
        lambda status: status["link"]["state"] == "online" and status["health"] is not None
    )
    assert status["alive"]
    assert status["operators"] == "1 keys"
    sent = agent.kioskctl(
        "send",
        "k1",
        "ping",
        "--arg",
        "echo=你好",
        "--reason",
        "test",
        "--key",
        agent.key_file,
        "--json",
    )
    assert sent.returncode == 0, sent.stderr
    assert "你好" in sent.stdout
    shown = subprocess.run(
        [BIN / "kiosk-agent", "status", "-c", agent.settings],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "online" in shown.stdout


def test_operator_watches(agent: AgentProcess):
    """``kioskctl watch`` and ``events`` show the kiosk as JSON lines."""
    agent.start()
    watched = agent.kioskctl("watch", "--json", "--seconds", "5")
    rows = [json.loads(line) for line in watched.stdout.splitlines()]
    assert rows[-1]["kiosk"] == "k1"
    assert rows[-1]["state"] == "online"
    assert any(row["cpu_percent"] is not None for row in rows)
    seen = agent.kioskctl("events", "k1", "--kind", "*", "--json", "--seconds", "4")
    types = {json.loads(line).get("type") for line in seen.stdout.splitlines()}
    assert "kiosk.health.v1" in types
    assert not [line for line in seen.stdout.splitlines() if "missing" in json.loads(line)]


def test_unclean_end_is_reported(agent: AgentProcess):
    """A killed agent starts again, says so, and goes on with its numbers."""
    agent.start()
    before = agent.status_when(lambda status: status["link"]["state"] == "online")
    assert agent.stop(signal.SIGKILL) == -signal.SIGKILL
    agent.start()
    after = agent.status_when(lambda status: status["link"]["state"] == "online")
    assert after["outbox"]["last_sequence"] > before["outbox"]["last_sequence"]
    assert after["link"]["session"] > before["link"]["session"]
    assert agent.stop() == 0
    log = agent.log.read_text()
    assert '"level": "error"' not in log, log


async def test_a_kill_while_a_citizen_is_served(agent: AgentProcess):
    """What the life before left open is told at the start, and does not stand in its way."""
    await asyncio.to_thread(agent.start)
    agent.status_when(lambda status: status["alive"])
    wish = {"business": "violation.pay", "mode": "self_service"}
    await ask(agent.folder / "state" / "agent.sock", "POST", "/v1/sessions", wish)
    agent.stop(signal.SIGKILL)
    await asyncio.to_thread(agent.start)
    agent.status_when(lambda status: status["alive"] and status["outbox"]["rows"] == 0)
    assert agent.stop() == 0


async def test_ready_means_that_the_local_door_is_open(agent: AgentProcess):
    """The business application is started after the agent."""
    await asyncio.to_thread(agent.start)
    answer = await ask(agent.folder / "state" / "agent.sock", "GET", "/v1/service")
    assert answer["state"] == "open"


async def test_ready_without_the_local_door(agent: AgentProcess):
    """The agent is of use without it: orders come over the line."""
    (agent.folder / "state" / "agent.sock").mkdir(parents=True)
    await asyncio.to_thread(agent.start)


def test_watchdog_is_fed(agent: AgentProcess):
    """The running agent gives systemd its sign of life."""
    agent.start()
    agent.wait_for_word("WATCHDOG=1")


def test_broken_settings_end_with_a_sentence(agent: AgentProcess):
    """An agent whose settings are wrong says line and reason, and exits with 1."""
    agent.settings.write_text("[link]\nport = 'x'\n")
    for command in (["run", "-c", agent.settings], ["check", agent.settings]):
        done = subprocess.run(
            [BIN / "kiosk-agent", *command], check=False, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert f"{agent.settings}:2: link.port: " in done.stderr
        assert "Traceback" not in done.stderr


def test_second_agent_on_one_folder(agent: AgentProcess):
    """A second agent leaves the first one's database and socket alone, and says why it ends."""
    agent.start()
    second = subprocess.run(
        [BIN / "kiosk-agent", "run", "-c", agent.settings],
        check=False,
        capture_output=True,
        text=True,
    )
    assert second.returncode == 1
    assert "another agent runs already" in second.stderr
    assert agent.status()["alive"]


def test_check_accepts_a_good_file(agent: AgentProcess):
    """``kiosk-agent check`` says that a good file is good."""
    done = subprocess.run(
        [BIN / "kiosk-agent", "check", agent.settings], check=True, capture_output=True, text=True
    )
    assert "good (kiosk k1, broker 127.0.0.1:" in done.stdout
    assert " without TLS, " in done.stdout
    assert "kiosk.id" not in done.stderr


def test_check_says_what_is_missing(tmp_path: Path):
    """A file that names neither kiosk nor broker is good, and most likely not meant."""
    (tmp_path / "agent.toml").write_text("[link.tls]\n")
    done = subprocess.run(
        [BIN / "kiosk-agent", "check", tmp_path / "agent.toml"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "broker 127.0.0.1:1883 with TLS" in done.stdout
    assert done.stderr.count("warning: ") == 2
    for name in ("kiosk.id", "link.host"):
        assert f"{name} is not set" in done.stderr


@pytest.mark.parametrize("option", ["--version", "version"])
def test_its_version_and_its_name(option):
    """Also where the launcher starts it as a module."""
    command = [sys.executable, "-m", "agent.cli"]
    done = subprocess.run([*command, option], check=True, capture_output=True, text=True)
    assert done.stdout == f"kiosk-agent {VERSION}\n"
    command += ["status", "--help"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert told.stdout.split()[:3] == ["Usage:", "kiosk-agent", "status"]


def test_nobody_at_the_socket(agent: AgentProcess):
    """Without a running agent, ``status`` says so in one sentence."""
    done = subprocess.run(
        [BIN / "kiosk-agent", "status", "-c", agent.settings],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no agent answers on ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_state_folder_not_writable(agent: AgentProcess):
    """Where nothing can be stored, the agent runs in memory, and says so."""
    (agent.folder / "state").mkdir(mode=0o500)
    agent.start()
    agent.status_when(lambda status: status["link"]["state"] == "online")


def test_state_folder_unusable(agent: AgentProcess, tmp_path: Path):
    """Where the state folder cannot even be made, the agent still runs and raises an alarm."""
    (agent.folder / "state").write_text("a file where a folder should be")
    text = agent.settings.read_text()
    agent.settings.write_text(text.replace("[kiosk]", f'[kiosk]\nsocket = "{tmp_path}/s"'))
    agent.start()
    status = agent.status_when(
        lambda status: status["link"]["state"] == "online" and status["alarms"] != []
    )
    assert "outbox.storage" in {alarm["code"] for alarm in status["alarms"]}


def test_locked_door_is_opened_on_the_way_out(tmp_path: Path, broker: EmbeddedBroker):
    """An agent that is told to end while the door is locked opens it, says so, and ends."""
    key = new_key("Test Supervisor", "supervisor")
    agent = AgentProcess(tmp_path, broker.port, '[door]\ndriver = "simulated"\n', keys=(key,))
    operator = OperatorLine(broker.port, key)
    try:
        agent.start()
        assert operator.order("door.lock", for_s=600)["status"] == "succeeded"
        assert agent.stop() == 0
        agent.start()
        opened = operator.wait("up/event/door.unlocked", lambda _: True)
        assert opened["reason"] == "agent_stopped"
    finally:
        agent.close()
        operator.close()


def test_missing_camera_is_an_event(tmp_path: Path, broker):
    """A camera that is not there is reported and tried again; everything else goes on."""
    cameras = f'\n[[camera]]\nname = "street"\nsource = "{tmp_path}/nothing.mp4"\n'
    agent = AgentProcess(tmp_path, broker.port, cameras)
    try:
        agent.start()
        status = agent.status_when(lambda status: status["cameras"][0]["state"] == "lost")
        assert status["alive"]
    finally:
        agent.close()


@pytest.mark.timeout(100)
def test_demo_does_the_main_job(tmp_path: Path):
    """``kiosk-agent demo --seconds N --json`` shows health, camera events and commands; exit 0."""
    began = time.monotonic()
    done = subprocess.run(
        [BIN / "kiosk-agent", "demo", "--seconds", "14", "--json"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["complete"]
    assert summary["lost_sequence_numbers"] == 0
    assert summary["messages"]["kiosk.event.camera.online.v1"] == 2
    assert summary["commands_failed"] == 0
    assert time.monotonic() - began < 90
