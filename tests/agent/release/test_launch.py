"""The launcher as a program: it becomes the release that is to run, and never fails to."""

import json
import os
import pwd
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import VERSION
from agent.release.install import Installation
from agent.release.launch import _find
from agent.release.launched import VARIABLE
from agent.service_user import STATE_FOLDER
from agent.settings import KioskSettings
from tests.support.releases import pack, tiny_tree
from tests.support.slots import Box

CLI = b"""
import json, os, sys
from agent import VERSION
print(json.dumps({"version": VERSION, "argv": sys.argv[1:], "environ": dict(os.environ)}))
"""
PACKAGED = f"kiosk-agent {VERSION}\n"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A kiosk whose release 9.9.9 in slot a is confirmed, and says how it was started."""
    box = Box(tmp_path / "state")
    box.packaged = VERSION
    tree = tiny_tree(tmp_path / "tree", "9.9.9", more={"agent/cli.py": CLI})
    order = box.order(pack(tree, tmp_path / "out", box.key), "9.9.9")
    manifest = Installation(order).run()
    box.releases.save(box.state.with_trial(box.trial(order, manifest, max_starts=2)))
    (tmp_path / "agent.toml").write_text(
        f'[kiosk]\nstate_folder = "{tmp_path}/state"\n[update]\nkeys = "{box.keys}"\n'
    )
    return box


def launch(box: Box, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "agent.release.launch", *arguments]
    config = ["--config", str(box.folder.parent / "agent.toml")]
    done = subprocess.run(
        [*command, *config] if arguments[0] == "run" else command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "KIOSK_AGENT_KIOSK__STATE_FOLDER": str(box.folder)}
        | {"KIOSK_AGENT_UPDATE__KEYS": str(box.keys)}
        | environment,
    )
    return done.stdout


def test_release_on_trial_is_told_how_to_come_again(box):
    """Its arguments are as they were; what an earlier image added to the environment is gone."""
    said = json.loads(launch(box, "run", GIVEN="1"))
    assert said["version"] == "9.9.9"
    assert said["argv"] == ["run", "--config", str(box.folder.parent / "agent.toml")]
    told = json.loads(said["environ"][VARIABLE])
    assert told["argv"][1:3] == ["-m", "agent.release.launch"]
    assert (told["slot"], told["packaged"]) == ("a", VERSION)
    assert told["releases"] == str(box.releases.folder)
    again = json.loads(launch(box, "run", ADDED="1", **{VARIABLE: said["environ"][VARIABLE]}))
    assert again["environ"]["GIVEN"] == "1"
    assert "ADDED" not in again["environ"]
    assert box.state.trial.starts == 2


def test_service_manager_waits_while_files_are_hashed(box, tmp_path):
    """Once a boot, and in the daemon's start alone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        for arguments in (["version"], ["run"]):
            launch(box, *arguments, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert b"EXTEND_TIMEOUT_USEC" in manager.recv(4096)
        launch(box, "run", NOTIFY_SOCKET=str(tmp_path / "notify"))
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


def test_other_commands_are_those_of_what_runs(box):
    assert launch(box, "version") == PACKAGED
    box.confirm()
    said = json.loads(launch(box, "version"))
    assert (said["version"], said["argv"]) == ("9.9.9", ["version"])
    assert VARIABLE not in said["environ"]


def test_services_user_has_the_services_folder(monkeypatch):
    """Also where a person became it (`sudo -u kiosk-agent`): what runs checks what it will read."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    service = pwd.struct_passwd(("kiosk-agent", "x", os.geteuid(), 1, "", "/nowhere", ""))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: service)
    assert _find(["check"])[0] == STATE_FOLDER / "releases"
    assert KioskSettings().state_folder == STATE_FOLDER
    monkeypatch.setattr(pwd, "getpwuid", lambda _: service.__class__(("wang", *service[1:])))
    assert _find(["check"])[0] != STATE_FOLDER / "releases"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root")
def test_releases_of_another_user_are_not_run(box):
    """Else who can write them would be root as soon as root asks for the status."""
    box.confirm()
    os.chown(box.releases.folder / "state.json", 12345, 12345)
    assert launch(box, "version") == PACKAGED


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root")
@pytest.mark.parametrize("how", ["link to the state", "link to the folder", "folder", "shared"])
def test_root_runs_nothing_that_another_user_could_exchange(box, how):
    """A file of root's proves nothing where somebody else decides which one it is."""
    box.confirm()
    releases, roots_own = box.releases.folder, box.folder.parent / "of-root"
    match how:
        case "link to the state":
            (releases / "state.json").rename(roots_own)
            (releases / "state.json").symlink_to(roots_own)
        case "link to the folder":
            releases.rename(roots_own)
            releases.symlink_to(roots_own)
        case "folder":
            os.chown(box.folder, 12345, 12345)
        case "shared":
            releases.chmod(0o777)
    assert launch(box, "version") == PACKAGED


@pytest.mark.parametrize(
    "how", ["garbage", "folder", "no slot", "no settings", "old variable", "bad variable"]
)
def test_something_runs_whatever_is_broken(box, how):
    box.confirm()
    state, environment = box.releases.folder / "state.json", {}
    match how:
        case "garbage":
            state.write_bytes(os.urandom(1000))
        case "folder":
            state.unlink()
            state.mkdir()
        case "no slot":
            (box.releases.slot("a") / "bin/python").unlink()
        case "no settings":
            environment = {"KIOSK_AGENT_KIOSK__STATE_FOLDER": "\x7f/nowhere"}
        case "old variable":
            state.unlink()
            environment = {VARIABLE: '{"argv": [], "releases": "/", "guard": 1}'}
        case "bad variable":
            state.unlink()
            environment = {VARIABLE: '{"argv": [], "releases": 1, "guard": "x", "given": [1]}'}
    assert launch(box, "version", **environment) == PACKAGED


GUARDED = """
import os, subprocess, sys, time
guard = ["-I", "-m", "agent.release.guard", str(os.getpid()), *sys.argv[1:]]
subprocess.Popen([sys.executable, *guard])
time.sleep(60)
"""


def guarded(box: Box, manifest: str) -> subprocess.Popen[bytes]:
    state = box.releases.folder / "state.json"
    return subprocess.Popen([sys.executable, "-c", GUARDED, state, manifest, "0.3"])


def test_guard_ends_what_is_on_trial_too_long(box):
    trial = box.state.trial
    assert trial is not None
    with guarded(box, trial.slot.manifest) as agent:
        assert agent.wait(30) == -9


@pytest.mark.parametrize("how", ["confirmed", "another"])
def test_guard_spares_what_is_not(box, how):
    manifest = box.state.trial.slot.manifest if how == "confirmed" else "f" * 64
    if how == "confirmed":
        box.confirm()
    with guarded(box, manifest) as agent:
        time.sleep(2)
        assert agent.poll() is None
        agent.kill()


def test_guard_dies_with_the_agent(box):
    """It would look for another process of that number."""
    state = box.releases.folder / "state.json"
    code = GUARDED.replace("time.sleep(60)", "time.sleep(1)")
    command = [sys.executable, "-c", code, state, "f" * 64, "3600"]
    subprocess.run(command, check=True, timeout=30)
    deadline = time.monotonic() + 20
    while _is_guarded(state):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_guarded(state: Path) -> bool:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"agent.release.guard" in (said := process.read_bytes()) and str(state) in str(said):
                return True
        except OSError:
            continue
    return False
