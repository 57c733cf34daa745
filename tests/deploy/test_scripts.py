"""The small programs that the units run."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
DAY_S = 86_400


@pytest.fixture
def pause(tmp_path):
    """Start once; returns for how long it would have waited."""
    programs, runtime = tmp_path / "programs", tmp_path / "run"
    programs.mkdir()
    runtime.mkdir()
    sleep = programs / "sleep"
    sleep.write_text('#!/bin/sh\necho "$1" >"$RUNTIME_DIRECTORY/slept"\n', encoding="ascii")
    sleep.chmod(0o755)

    def start(runtime: Path = runtime) -> int:
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "RUNTIME_DIRECTORY": str(runtime)}
        subprocess.run([DEPLOY / "bin/pause-before-start"], env=environment, check=True)
        return int((runtime / "slept").read_text())

    start.count = runtime / "starts"
    return start


def uptime_s() -> int:
    return int(Path("/proc/uptime").read_text(encoding="ascii").split(".")[0])


def test_starts_that_follow_closely_wait_longer_each_time(pause):
    assert [pause() for _ in range(10)] == [0, 0, 2, 4, 8, 16, 32, 60, 60, 60]


def test_after_ten_calm_minutes_it_begins_anew(pause):
    pause.count.write_text(f"9 {uptime_s() - 590}\n", encoding="ascii")
    assert pause() == 60
    pause.count.write_text(f"9 {uptime_s() - 610}\n", encoding="ascii")
    assert pause() == 0


@pytest.mark.parametrize(
    "content", ["", "many soon\n", "-3 5\n", "3\n", "\x00\x00\n", "3 4 5\n", "08 1\n"]
)
def test_a_count_that_cannot_be_read_holds_nothing_up(pause, content):
    pause.count.write_text(content, encoding="ascii")
    assert pause() == 0


def test_a_count_that_cannot_be_written_holds_nothing_up(pause):
    pause.count.mkdir()
    assert [pause() for _ in range(5)] == [0] * 5


@pytest.mark.parametrize(
    ("program", "module"), [("kioskctl", "console.cli"), ("kiosk-agent", "agent.cli")]
)
def test_programs_do_something(program, module):
    """What the package's commands run is a program, not only a module."""
    script = (DEPLOY / "bin" / program).read_text(encoding="utf-8")
    assert module in script or "agent.release.launch" in script
    command = [sys.executable, "-I", "-m", module, "--help"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Usage" in said


@pytest.fixture
def boxes(tmp_path):
    """The agent's two folders; called, they are tidied up."""
    state, cache = tmp_path / "state", tmp_path / "cache"
    (state / "identity").mkdir(parents=True)
    (cache / "models").mkdir(parents=True)

    def tidy() -> None:
        environment = {**os.environ, "STATE_DIRECTORY": str(state), "CACHE_DIRECTORY": str(cache)}
        subprocess.run([DEPLOY / "bin/housekeeping"], env=environment, check=True)

    tidy.state, tidy.models = state, cache / "models"
    return tidy


def old(path: Path, days: float) -> Path:
    """Make a file that was read and written so many days ago."""
    path.write_bytes(b"x")
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))
    return path


def test_networks_that_nobody_reads_and_leftovers_go(boxes):
    gone = [old(boxes.models / "old.onnx", 40), old(boxes.models / ".new-1", 3)]
    kept = [old(boxes.models / "used.onnx", 20), old(boxes.models / ".new-2", 0)]
    boxes()
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)


def test_release_that_nobody_fetches_on_goes(boxes):
    incoming = boxes.state / "releases/incoming"
    incoming.mkdir(parents=True)
    given_up, fetched = old(incoming / "1.part", 8), old(incoming / "2.part", 5)
    boxes()
    assert (given_up.exists(), fetched.exists()) == (False, True)


def test_nothing_else_of_the_state_goes_however_old(boxes):
    """What was set aside lately stays, too, whatever its own dates: it counts from then on."""
    names = ["ledger.db", "outbox.db", "kiosk-key.jwk", "identity/device.key", "gallery-key"]
    aside = ["ledger.db.corrupt-1", "outbox.db.damaged", "config.json.broken", "k.jwk.broken-2"]
    kept = [old(boxes.state / name, 400) for name in names + aside]
    boxes()
    assert all(path.exists() for path in kept)


def test_folders_that_are_not_there_are_no_fault(boxes):
    """Before the first start of the agent there is nothing to tidy up."""
    boxes.models.rmdir()
    boxes()


@pytest.fixture
def polkit():
    """What the rule answers to a user who wants something; ``None``: others decide."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("the rule's language needs node")
    rules = (DEPLOY / "polkit/50-kiosk-agent.rules").read_text(encoding="utf-8")

    def ask(user: str, action: str) -> str | None:
        wants = json.dumps([{"id": f"org.freedesktop.login1.{action}"}, {"user": user}])
        program = f"""
            let ask;
            const Result = {{YES: "yes", NO: "no"}};
            const polkit = {{Result, addRule: (rule) => {{ ask = rule; }}}};
            {rules}
            console.log(JSON.stringify(ask(...{wants}) ?? null));
        """
        said = subprocess.run([node, "-e", program], check=True, capture_output=True, text=True)
        return json.loads(said.stdout)

    return ask


def test_agents_user_may_restart_the_box_and_stay_in_no_other_way(polkit):
    """A service manager of its own would outlive the boot, and know nothing of the unit's rules."""
    assert polkit("kiosk-agent", "reboot") == "yes"
    assert polkit("kiosk-agent", "set-self-linger") == "no"
    assert polkit("kiosk-agent", "reboot-ignore-inhibit") is None
    assert polkit("wang", "reboot") is None
    assert polkit("wang", "set-self-linger") is None
