"""The whole agent with plates: a process, a broker, operators."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.broker import EmbeddedBroker
from console.keys import new_key
from tests.agent.conftest import BIN, AgentProcess
from tests.support.operator_line import OperatorLine
from vision.models.manifest import load_manifest

TRAINED = bool(load_manifest().model)


@pytest.fixture(scope="session")
def broker():
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def keys():
    return new_key("Wang Lei", "operator"), new_key("Zhao Min", "supervisor")


@pytest.fixture
def agent(tmp_path: Path, broker: EmbeddedBroker, keys):
    cameras = (
        f'\n[[camera]]\nname = "street"\nsource = "{tmp_path}/nothing.mp4"\n'
        "[camera.plates]\nenabled = true\n"
    )
    process = AgentProcess(tmp_path, broker.port, cameras, keys=keys)
    process.start()
    yield process
    process.close()


@contextmanager
def operator(agent, *keys):
    line = OperatorLine(agent.port, *keys)
    try:
        yield line
    finally:
        line.close()


def test_the_state_of_plate_reading_is_told(agent: AgentProcess):
    """Health says how the reading of plates is, and why where it fails."""

    def settled(status):
        plates = status["cameras"][0]["plates"]
        return plates["state"] != "starting" and status["link"]["state"] == "online"

    plates = agent.status_when(settled)["cameras"][0]["plates"]
    assert plates["state"] == ("watching" if TRAINED else "failed")
    assert TRAINED or "no model for the task" in plates["text"]


def test_watch_lists_by_command(agent: AgentProcess, keys):
    """Two persons put a list, it outlives a restart, one removes it; no receipt names a plate."""
    agent.status_when(lambda status: status["link"]["state"] == "online")
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400))
    args = {
        "name": "stolen",
        "purpose": "case 7",
        "expires": expires,
        "entries": [{"text": "蒙BK2345", "code": "stolen"}],
    }
    with operator(agent, keys[0]) as one:
        assert one.order("plates.watchlist.put", **args)["code"] == "second_signature"
    with operator(agent, *keys) as both:
        assert both.order("plates.watchlist.put", **args)["status"] == "succeeded"
        assert "K2345" not in json.dumps(both.heard, ensure_ascii=False)
    assert agent.stop() == 0
    agent.start()
    agent.status_when(lambda status: status["link"]["state"] == "online")
    with operator(agent, keys[0]) as one:
        [kept] = one.order("plates.watchlist.list")["result"]["lists"]
        assert (kept["name"], kept["entries"]) == ("stolen", 1)
        assert one.order("plates.watchlist.remove", name="stolen")["result"] == {"entries": 1}
    state = b"".join(file.read_bytes() for file in (agent.folder / "state").glob("watch-lists*"))
    assert b"K2345" not in state
    assert "K2345" not in agent.log.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not TRAINED, reason="there are no trained models yet")
@pytest.mark.timeout(200)
def test_the_demo_reads_its_car(tmp_path: Path):
    """The car of the demo drives up, and its plate is among the events."""
    done = subprocess.run(
        [BIN / "kiosk-agent", "demo", "--seconds", "45", "--json"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages"]["kiosk.event.plate.read.v1"] >= 1
