"""Releases installed on a real agent, through the real launcher: good ones stay, others go back."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.broker import EmbeddedBroker
from agent.release.slots import Releases, State
from console.keys import new_key
from contract.keys import KeySet
from tests.support.https import HttpsServer
from tests.support.operator_line import OperatorLine
from tests.support.releases import agent_tree, all_files, pack, pin_keys, release_key, variant

CONFIRM_S = 1.5
QUICK_GUARD = {"agent/release/launch.py": ("GUARD_GRACE_S = 30.0", "GUARD_GRACE_S = 0.5")}
RUN = "agent/run.py"
CRASHES = {RUN: ("import asyncio\n", "import asyncio\nraise SystemExit('it crashes')\n")}
HANGS = {RUN: ("import asyncio\n", "import asyncio, time\ntime.sleep(3600)\n")}
DIES = {
    RUN: (
        "import asyncio\n",
        "import asyncio, os, sys\nif os.path.exists(sys.argv[1] + '.bad'): os._exit(1)\n",
    )
}
CUT_OFF = {RUN: ("import os\n", "import os\nos.environ['KIOSK_AGENT_LINK__PORT'] = '1'\n")}
BAD = {
    "1.1.1": (CRASHES, "it was started 2 times and did not prove itself"),
    "1.1.2": (CUT_OFF, "it did not prove itself within 6 s: no line to the broker"),
    "1.1.3": (HANGS, "it did not prove itself within 6 s"),
}


pytestmark = pytest.mark.timeout(300)


class Service:
    """Does what systemd does: starts the agent, and again whenever it ends."""

    def __init__(self, folder: Path, port: int, deadline_s: float = 30.0) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.releases = Releases(self.state / "releases")
        self.settings = folder / "agent.toml"
        self.key, self.second = new_key("A", "supervisor"), new_key("B", "maintainer")
        self.release_key = release_key()
        pinned = KeySet(keys=(self.key.public(), self.second.public()))
        (folder / "operators.json").write_text(pinned.model_dump_json(exclude_none=True))
        pin_keys(folder / "release-keys.json", self.release_key)
        self.settings.write_text(f"""
[kiosk]
id = "k1"
state_folder = "{self.state}"
[link]
port = {port}
reconnect_min_s = 0.1
[commands]
operators = "{folder}/operators.json"
[update]
keys = "{folder}/release-keys.json"
roots = "{folder}/roots.pem"
confirm_s = {CONFIRM_S}
deadline_s = {deadline_s}
max_starts = 2
""")
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._wanted = True
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep_alive)
        self._thread.start()

    def _keep_alive(self) -> None:
        python = self.folder / "packaged/bin/python"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        while self._wanted:
            with (self.folder / "agent.log").open("ab") as log:
                self.process = subprocess.Popen(
                    [python, "-I", "-m", "agent.release.launch", "run", "--config", self.settings],
                    stdout=log,
                    stderr=log,
                    env=environment,
                    cwd="/",
                )
            self.starts += 1
            self.process.wait()

    def install_package(self, tree: Path) -> None:
        shutil.rmtree(self.folder / "packaged", ignore_errors=True)
        shutil.copytree(tree, self.folder / "packaged", symlinks=True)

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def close(self) -> None:
        self._wanted = False
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        if self._thread is not None:
            self._thread.join()


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trees of the agent by version; each made once."""
    folder = tmp_path_factory.mktemp("trees")
    base = agent_tree(folder / "base")
    made: dict[str, Path] = {}

    def tree(version: str, changes: dict[str, tuple[str, str]] | None = None) -> Path:
        if version not in made:
            made[version] = variant(base, folder / version, version, changes or {})
        return made[version]

    return tree


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpsServer]:
    server = HttpsServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def deadline_s() -> float:
    return 30.0


@pytest.fixture
def kiosk(
    tmp_path: Path, broker: EmbeddedBroker, trees: Callable[..., Path], deadline_s: float
) -> Iterator[Service]:
    """A kiosk with the packaged version 1.0.0."""
    service = Service(tmp_path, broker.port, deadline_s)
    service.install_package(trees("1.0.0", QUICK_GUARD))
    yield service
    service.close()


@pytest.fixture
def operator(kiosk: Service, broker: EmbeddedBroker) -> Iterator[OperatorLine]:
    line = OperatorLine(broker.port, kiosk.key, kiosk.second)
    kiosk.start()
    online(line, "1.0.0")
    yield line
    line.close()


def online(operator: OperatorLine, version: str) -> None:
    operator.wait(
        "up/state",
        lambda data: data["state"] == "online" and data["agent_version"] == version,
    )


def running(operator: OperatorLine) -> str:
    """The version that answers."""
    return operator.order("ping")["result"]["agent_version"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def put(kiosk: Service, tree: Path) -> dict[str, Any]:
    """Put a release of a tree into the kiosk's folder; returns the arguments to install it."""
    path = pack(tree, kiosk.folder / "out", kiosk.release_key)
    (kiosk.state / "update").mkdir(exist_ok=True)
    shutil.copyfile(path, kiosk.state / "update" / path.name)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.slow
def test_good_release_over_https_stays(kiosk, operator, server, trees):
    """Fetched over a bad line, tried, confirmed; the command ends with its version.

    It stays after a restart, and until a later package is installed.
    """
    path = pack(trees("1.1.0"), kiosk.folder / "out", kiosk.release_key)
    server.files["r"] = path.read_bytes()
    server.cuts = [100_000, 200_000]
    receipt = operator.order(
        "update.install",
        url=server.url("r"),
        sha256=hashlib.sha256(server.files["r"]).hexdigest(),
        version="1.1.0",
    )
    assert receipt["status"] == "succeeded", (receipt.get("text"), kiosk.log())
    assert receipt["result"] == {"version": "1.1.0", "before": "1.0.0"}
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", "bytes=300000-"]
    assert running(operator) == "1.1.0"
    events = operator.all("up/event/update.changed")
    assert [event["outcome"] for event in events] == ["trial", "confirmed"]
    assert {event["command_id"] for event in events} == {receipt["command_id"]}
    assert kiosk.starts == 1, "the process stayed the same for the service manager"
    assert kiosk.process is not None
    assert psutil.Process(kiosk.process.pid).children() == [], "nobody guards it any more"

    kiosk.process.kill()
    operator.heard.clear()
    online(operator, "1.1.0")
    kiosk.install_package(trees("1.2.0", QUICK_GUARD))
    operator.heard.clear()
    kiosk.process.kill()
    online(operator, "1.2.0")
    lost = operator.wait("up/event/update.changed", lambda data: data["outcome"] == "lost")
    assert (lost["version"], lost["before"]) == ("1.1.0", "1.2.0")
    assert "a package with version 1.2.0 was installed since" in lost["text"]
    wait_until(lambda: [path.name for path in kiosk.releases.folder.iterdir()] == ["state.json"])


@pytest.mark.slow
@pytest.mark.parametrize("deadline_s", [6.0])
@pytest.mark.parametrize("version", BAD, ids=["crashes", "cut_off", "hangs"])
def test_bad_release_goes_back(kiosk, operator, trees, version):
    """One that crashes at its start, never gets online, or hangs: the old one is back by itself."""
    changes, why = BAD[version]
    order = put(kiosk, trees(version, changes))
    receipt = operator.order("update.install", **order, version=version)
    assert (receipt["status"], receipt["code"]) == ("failed", "rolled_back"), receipt
    assert f"version {version} went back to 1.0.0: {why}" in receipt["text"]
    assert running(operator) == "1.0.0"
    back = operator.wait("up/event/update.changed", lambda data: data["outcome"] == "rolled_back")
    assert why in back["text"]
    state = kiosk.releases.load()
    assert (state.current, state.trial) == (None, None)


@pytest.mark.slow
def test_update_of_an_update(kiosk, operator, trees):
    """Two in a row lie in different slots; an older one takes ``allow_older``."""
    for version, slot in (("1.1.0", "a"), ("1.1.4", "b")):
        order = put(kiosk, trees(version))
        receipt = operator.order("update.install", **order, version=version)
        assert receipt["status"] == "succeeded", (receipt.get("text"), kiosk.log())
        assert kiosk.releases.load().current.name == slot
    order = put(kiosk, trees("1.1.0"))
    refused = operator.order("update.install", **order, version="1.1.0")
    assert refused["status"] == "failed"
    assert "version 1.1.0 is older than 1.1.4" in refused["text"]
    assert running(operator) == "1.1.4"
    taken = operator.order("update.install", **order, version="1.1.0", allow_older=True)
    assert taken["result"] == {"version": "1.1.0", "before": "1.1.4"}


def test_what_is_not_to_be_trusted_changes_nothing(kiosk, operator, trees):
    """Signed by another, or another file than was ordered: refused, nothing of it is left."""
    tree = trees("1.1.0")
    order = put(kiosk, tree)
    wrong = operator.order("update.install", **order | {"sha256": "0" * 64}, version="1.1.0")
    assert "not the file that was ordered" in wrong["text"]
    kiosk.release_key = release_key("Somebody Else")
    foreign = operator.order("update.install", **put(kiosk, tree), version="1.1.0")
    assert "the signature of the release does not hold" in foreign["text"]
    assert running(operator) == "1.0.0"
    assert kiosk.releases.load() == State()
    assert all_files(kiosk.releases.folder) == []


@pytest.mark.slow
def test_slot_that_was_tampered_with_is_not_run(kiosk, operator, trees):
    """A file beside the signed ones, and after the next start the packaged release runs."""
    receipt = operator.order("update.install", **put(kiosk, trees("1.1.0")), version="1.1.0")
    assert receipt["status"] == "succeeded", (receipt.get("text"), kiosk.log())
    site = next(kiosk.releases.slot("a").glob("lib/*/site-packages"))
    (site / "evil.pth").write_text("import os\n")
    operator.heard.clear()
    kiosk.process.kill()
    online(operator, "1.0.0")
    lost = operator.wait("up/event/update.changed", lambda data: data["outcome"] == "lost")
    assert "evil.pth does not belong there" in lost["text"]


@pytest.mark.slow
def test_confirmed_release_that_dies_at_every_start_gives_way(kiosk, operator, trees):
    """After ten starts; those do not count that ended in order, or at settings that are wrong."""

    def starts() -> int:
        slot = kiosk.releases.load().current
        assert slot is not None
        return slot.starts

    def started_again(act: Callable[[], object]) -> None:
        operator.heard.clear()
        act()
        online(operator, "1.1.5")

    order = put(kiosk, trees("1.1.5", DIES))
    receipt = operator.order("update.install", **order, version="1.1.5")
    assert receipt["status"] == "succeeded", (receipt.get("text"), kiosk.log())
    started_again(kiosk.process.kill)
    assert starts() == 1
    for _ in range(2):
        started_again(kiosk.process.terminate)
        assert starts() == 1
    assert operator.order("agent.restart")["status"] == "succeeded"
    assert starts() == 1

    good, before = kiosk.settings.read_text(), kiosk.starts
    kiosk.settings.write_text(good + "[nonsense]\n")
    kiosk.process.kill()
    wait_until(lambda: kiosk.starts > before + 3)
    started_again(lambda: kiosk.settings.write_text(good))
    assert starts() == 2

    Path(f"{kiosk.settings}.bad").touch()
    operator.heard.clear()
    kiosk.process.kill()
    online(operator, "1.0.0")
    lost = operator.wait("up/event/update.changed", lambda data: data["outcome"] == "lost")
    assert (lost["version"], lost["before"]) == ("1.1.5", "1.0.0")
    assert lost["text"] == "it was started 10 times and never stayed up"


def test_without_the_launcher_it_is_unavailable(tmp_path, broker):
    """An agent that was started otherwise says so, and refuses."""
    service = Service(tmp_path, broker.port)
    line = OperatorLine(broker.port, service.key, service.second)
    command = [sys.executable, "-m", "agent.run", service.settings]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            birth = line.wait("up/state", lambda data: data["state"] == "online")
            assert "update.install" not in birth["capabilities"]
            refused = line.order("update.install", file="x", sha256="0" * 64, version="9.0.0")
            assert (refused["status"], refused["code"]) == ("rejected", "unavailable")
        finally:
            process.kill()
            line.close()
