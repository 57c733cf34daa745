"""Settings pushed to a real agent on a real broker: what is not good comes back by itself."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from agent.broker import EmbeddedBroker, free_port
from agent.local.client import ask
from console.keys import new_key, write_private
from contract.keys import KeySet, PrivateKey
from tests.agent.conftest import BIN, AgentProcess
from tests.support.operator_line import OperatorLine

PATIENT_S, HASTY_S = 40.0, 6.0
"""For settings that are good, and for those that are not."""
NOWHERE = "rtsp://127.0.0.1:1/nothing"


class Kiosk(AgentProcess):
    """An agent whose operator may push settings, on a broker of its own."""

    def __init__(self, folder: Path, port: int, confirm_s: float, cameras: str) -> None:
        super().__init__(folder, port, f"[config]\nconfirm_s = {confirm_s}\n{cameras}")
        self.key: PrivateKey = new_key("Test Supervisor", "supervisor")
        self.second: PrivateKey = new_key("Test Maintainer", "maintainer")
        self.key_file.unlink()
        write_private(self.key, self.key_file)
        keys = KeySet(keys=(self.key.public(), self.second.public())).model_dump_json(
            exclude_none=True
        )
        (folder / "operators.json").write_text(keys)

    def status(self) -> dict[str, Any]:
        """What ``kiosk-agent status --json`` says, without its process."""
        return asyncio.run(ask(self.folder / "state/agent.sock", "GET", "/v1/status"))

    def words_until(self, word: str) -> list[str]:
        """All that the service manager hears until it hears this."""
        words: list[str] = []
        while word not in words:
            words += self._manager.recv(4096).decode().split("\n")
        return words

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def captures(self) -> set[int]:
        """Process ids of the cameras' capture processes."""
        children = psutil.Process(self.pid).children()
        return {child.pid for child in children if "vision.capture" in child.cmdline()}

    def all_online(self) -> dict[str, Any]:
        return self.status_when(
            lambda status: (
                status["link"]["state"] == "online"
                and all(camera["state"] == "online" for camera in status["cameras"])
            )
        )


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of moving pictures."""
    path = tmp_path_factory.mktemp("clip") / "second.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (160, 96))
    for index in range(20):
        frame = np.full((96, 160, 3), 90, np.uint8)
        cv2.rectangle(frame, (5 * index, 30), (5 * index + 20, 60), (250, 240, 230), -1)
        video.write(frame)
    video.release()
    return path


Start = Callable[..., tuple[Kiosk, OperatorLine]]


@pytest.fixture
def start(tmp_path: Path, broker: EmbeddedBroker) -> Iterator[Start]:
    """Start the kiosk, with cameras of these names and sources; returns it and an operator."""
    running: list[Kiosk | OperatorLine] = []

    def begin(confirm_s: float = PATIENT_S, **sources: object) -> tuple[Kiosk, OperatorLine]:
        tables = [
            f'[[camera]]\nname = "{name}"\nsource = "{source}"\n'
            for name, source in sources.items()
        ]
        kiosk = Kiosk(tmp_path, broker.port, confirm_s, "".join(tables))
        running.append(kiosk)
        operator = OperatorLine(broker.port, kiosk.key, kiosk.second)
        running.append(operator)
        kiosk.start()
        kiosk.all_online()
        return kiosk, operator

    yield begin
    for one in running:
        one.close()


def cameras(**sources: object) -> dict[str, Any]:
    return {"camera": [{"name": name, "source": str(one)} for name, one in sources.items()]}


def test_broken_settings_change_nothing(start: Start):
    """Settings that are wrong or not to be pushed are refused with the key that is at fault."""
    kiosk, operator = start()
    before = kiosk.status()["link"]
    broken = operator.push(1, {"link": {"port": 0}})
    assert (broken["status"], broken["code"]) == ("failed", "action_failed")
    assert "link.port" in broken["text"]
    forbidden = operator.push(2, {"commands": {"operators": "/srv/mine.json"}})
    assert "only a person on site" in forbidden["text"]
    report = operator.wait("up/config", lambda data: data.get("failed_version") == 2)
    assert (report["version"], report["state"]) == (0, "confirmed")
    assert kiosk.status()["link"] == before


def test_settings_that_cut_the_line_come_back(start: Start):
    """A broker that is not there: the old line is back within ``confirm_s``, and it is said why."""
    kiosk, operator = start(HASTY_S)
    began = time.monotonic()
    receipt = operator.push(1, {"link": {"port": free_port()}})
    took = time.monotonic() - began
    assert receipt["status"] == "failed"
    assert "went back: not confirmed within 6 s: no line to the broker: " in receipt["text"]
    assert HASTY_S <= took < HASTY_S + 6
    report = operator.wait("up/config", lambda data: data.get("failed_version") == 1)
    assert (report["version"], report["state"]) == (0, "confirmed")
    event = operator.wait("up/event/config.changed", lambda _: True)
    assert (event["outcome"], event["changed"]) == ("rolled_back", ["link"])
    assert event["signers"] == [kiosk.key.kid, kiosk.second.kid]
    assert kiosk.status()["link"]["state"] == "online"
    trail = subprocess.run(
        [BIN / "kiosk-agent", "audit", "show", "-c", kiosk.settings],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "config.changed" in trail.stdout


def test_camera_that_does_not_open_comes_back(start: Start, clip: Path):
    """A camera that was good and would be lost by the new settings is as it was, and online."""
    kiosk, operator = start(HASTY_S, a=clip, b=clip)
    captures = kiosk.captures()
    receipt = operator.push(1, cameras(a=NOWHERE, b=clip))
    assert receipt["status"] == "failed"
    assert "no picture of camera a" in receipt["text"]
    kiosk.all_online()
    assert len(kiosk.captures() & captures) == 1, "the other one was left alone"


def test_only_what_changed_restarts(start: Start, clip: Path):
    """One camera's new settings leave the other camera and the line untouched."""
    kiosk, operator = start(a=clip, b=clip)
    before, captures = kiosk.all_online(), kiosk.captures()
    pushed = cameras(a=clip, b=clip)
    pushed["camera"][0]["frames_per_s"] = 2
    receipt = operator.push(1, pushed)
    assert receipt["status"] == "succeeded", receipt
    assert receipt["result"]["changed"] == ["camera"]
    after = kiosk.all_online()
    assert after["link"]["session"] == before["link"]["session"]
    assert len(kiosk.captures() & captures) == 1
    assert len(kiosk.captures()) == 2
    report = operator.wait("up/config", lambda data: data["version"] == 1)
    assert report["settings"]["camera"][0]["frames_per_s"] == 2
    birth = operator.wait("up/state", lambda data: data.get("config_version") == 1)
    assert birth["session"] == before["link"]["session"]


def test_cameras_come_and_go(start: Start, clip: Path):
    """A camera that is left out is gone, with its process; one that is new is watched."""
    kiosk, operator = start(a=clip, b=clip)
    assert operator.push(1, cameras(b=clip))["status"] == "succeeded"
    assert [camera["name"] for camera in kiosk.status()["cameras"]] == ["b"]
    assert len(kiosk.captures()) == 1
    kept = kiosk.captures()
    assert operator.push(2, cameras(a=clip, b=clip))["status"] == "succeeded"
    assert [camera["name"] for camera in kiosk.all_online()["cameras"]] == ["a", "b"]
    assert kept < kiosk.captures()


def test_settings_that_change_nothing_of_the_line(start: Start):
    """Health, alarms and log level come in force without a restart of anything else."""
    kiosk, operator = start()
    before = kiosk.status()["link"]["session"]
    pushed = {
        "health": {"sample_s": 0.5},
        "alarms": {"rules": {"memory.low": {"raise_at": 1, "clear_at": 0, "raise_after_s": 0}}},
        "log": {"level": "debug"},
    }
    receipt = operator.push(1, pushed)
    assert receipt["result"]["changed"] == ["health", "alarms", "log"]
    kiosk.status_when(lambda status: "memory.low" in {one["code"] for one in status["alarms"]})
    assert kiosk.status()["link"]["session"] == before
    without = {"alarms": {"rules": {"memory.low": {"enabled": False}}}}
    assert operator.push(2, without)["status"] == "succeeded"
    kiosk.status_when(lambda status: status["alarms"] == [])


def test_shortest_time_takes_pushes(start: Start):
    """A kiosk that gives trials the least time can still be given more, from afar."""
    kiosk, operator = start(5.0)
    before = kiosk.status()["link"]["session"]
    receipt = operator.push(1, {"config": {"confirm_s": 40}})
    assert receipt["status"] == "succeeded", receipt
    assert kiosk.status()["link"]["session"] == before


def test_document_that_needs_a_restart(start: Start):
    """A retained document with settings of the outbox: the process starts anew and confirms them.

    For the service manager it is the same process all the time.
    """
    kiosk, operator = start()
    pid = kiosk.pid
    operator.desire(1, {"outbox": {"max_rows": 500}})
    report = operator.wait(
        "up/config", lambda data: data["version"] == 1 and data["state"] == "confirmed"
    )
    assert report["settings"]["outbox"]["max_rows"] == 500
    assert "STOPPING=1" not in kiosk.words_until("READY=1")
    assert psutil.pid_exists(pid)
    assert kiosk.status()["task_restarts"] == {}
    # The document comes again at the next connect: nothing happens.
    kiosk.stop()
    kiosk.start()
    kiosk.all_online()
    time.sleep(1)
    assert kiosk.status()["config"]["version"] == 1
    assert [one["outcome"] for one in operator.all("up/event/config.changed")] == ["confirmed"]


def test_command_that_needs_a_restart(start: Start):
    """The command that pushed them ends after the restart; settings that are bad go back by two."""
    kiosk, operator = start(HASTY_S)
    good = operator.push(1, {"outbox": {"max_rows": 500}})
    assert (good["status"], good["result"]["changed"]) == ("succeeded", ["outbox"])
    bad = operator.push(2, {"outbox": {"max_rows": 600}, "link": {"port": free_port()}})
    assert bad["status"] == "failed"
    assert "went back: not confirmed within 6 s" in bad["text"]
    report = operator.wait("up/config", lambda data: data.get("failed_version") == 2)
    assert (report["version"], report["settings"]["outbox"]["max_rows"]) == (1, 500)
    assert kiosk.all_online()["safe_mode"] is None


def test_killed_while_on_trial(start: Start):
    """An agent that is killed during a trial starts with the old settings, and says so."""
    kiosk, operator = start()
    operator.desire(1, {"link": {"port": free_port()}})
    kiosk.status_when(lambda status: status["config"]["state"] == "trying")
    kiosk.status_when(lambda status: status["link"]["state"] != "online")
    kiosk.stop(signal.SIGKILL)
    kiosk.start()
    kiosk.all_online()
    event = operator.wait("up/event/config.changed", lambda _: True)
    assert event["outcome"] == "rolled_back"
    assert "the agent stopped while they were on trial" in event["text"]
    time.sleep(1)
    assert kiosk.status()["config"]["version"] == 0


def test_restart_on_command(start: Start):
    """``agent.restart`` gives a new life in the same process, and the command ends in it."""
    kiosk, operator = start()
    before, pid = kiosk.status(), kiosk.pid
    receipt = operator.order("agent.restart")
    assert receipt["status"] == "succeeded"
    after = kiosk.all_online()
    assert kiosk.pid == pid
    assert after["started"] > before["started"]
    assert operator.all("up/event/agent.started")[-1]["clean"]
    assert kiosk.stop() == 0


def test_safe_mode(start: Start, clip: Path):
    """An agent that is killed over and over starts with cameras at rest and the line up."""
    kiosk, operator = start(a=clip)
    for _ in range(5):
        kiosk.stop(signal.SIGKILL)
        kiosk.start()
    status = kiosk.all_online()
    assert "6 times" in status["safe_mode"]
    assert kiosk.captures() == set()
    assert operator.wait("up/event/agent.started", lambda data: data.get("safe_mode"))
    birth = operator.wait(
        "up/state", lambda data: any("safe mode" in s.get("reason", "") for s in data["services"])
    )
    assert [s["name"] for s in birth["services"] if not s["available"]] == ["camera.a"]
    operator.wait("up/event/alarm.raised", lambda data: data["code"] == "agent.safe_mode")
    assert operator.order("ping")["status"] == "succeeded"
