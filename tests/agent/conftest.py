"""A real agent in a process of its own, on a real broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.broker import EmbeddedBroker
from console.keys import new_key, write_private
from contract.keys import KeySet, PrivateKey

BIN = Path(sys.executable).parent


class AgentProcess:
    """``python -m agent.run`` with a settings file, and what it tells the service manager."""

    def __init__(
        self,
        folder: Path,
        port: int,
        more: str = "",
        *,
        kiosk: str = "k1",
        keys: Sequence[PrivateKey] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = port
        self.settings = folder / "agent.toml"
        self.key_file = folder / "operator.jwk"
        self.log = folder / "agent.log"
        key = new_key("Test Operator", "operator")
        write_private(key, self.key_file)
        trusted = KeySet(keys=tuple(one.public() for one in (key, *keys)))
        operators = trusted.model_dump_json(exclude_none=True)
        (folder / "operators.json").write_text(operators)
        self.settings.write_text(
            f"""
[kiosk]
id = "{kiosk}"
state_folder = "{folder}/state"
[link]
port = {port}
reconnect_min_s = 0.1
[health]
sample_s = 1
interval_s = 2
[commands]
operators = "{folder}/operators.json"
{more}"""
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        self._manager.settimeout(20)

    def start(self) -> None:
        """Return when the agent says that it is ready."""
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": "10000000",
        }
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent.run", self.settings],
                stdout=output,
                stderr=output,
                env=environment,
            )
        self.wait_for_word("READY=1")

    def wait_for_word(self, word: str) -> None:
        """Wait until the service manager hears a word."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if word in self._manager.recv(4096).decode().split("\n"):
                return
        raise AssertionError(self.log.read_text())

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it and return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        return process.wait(15)

    def status(self) -> dict[str, Any]:
        """What ``kiosk-agent status --json`` says."""
        done = subprocess.run(
            [BIN / "kiosk-agent", "status", "--json", "-c", self.settings],
            check=True,
            capture_output=True,
        )
        return json.loads(done.stdout)

    def status_when(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask until a condition holds."""
        deadline = time.monotonic() + 30
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            if condition(status := self.status()):
                return status
            time.sleep(0.2)
        raise AssertionError(status)

    def kioskctl(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the operator's command line on our broker."""
        return subprocess.run(
            [BIN / "kioskctl", "--broker", f"mqtt://127.0.0.1:{self.port}", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self._manager.close()


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def agent(tmp_path: Path, broker: EmbeddedBroker) -> Iterator[AgentProcess]:
    """An agent without cameras, not yet started."""
    process = AgentProcess(tmp_path, broker.port)
    yield process
    process.close()
