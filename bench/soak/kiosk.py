"""The kiosk under soak: the agent as it is shipped, started again whenever it ends."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

KIOSK = "soak"
CONFIRM_S = 30
_RESTART_S = 1.0
_STOP_S = 20.0
_ORPHAN_S = 15.0
_LOOK_S = 0.5
_SETTINGS = """\
[kiosk]
id = "{kiosk}"
state_folder = {state}

[link]
port = {port}
reconnect_max_s = 20

[outbox]
max_mib = 16
disk_floor_mib = 4
release = {release}

[health]
sample_s = 2
interval_s = 5

[commands]
operators = {operators}
disruptive_per_hour = 1000
ledger_max_mib = 8

[commands.policy."door.lock"]
serving = "allow"

[commands.policy."service.lock"]
serving = "allow"

[config]
confirm_s = {confirm_s}

[safe_mode]
healthy_s = 60

[door]
driver = "simulated"

[identity]
liveness = "off"

[log]
format = "json"

[[camera]]
name = "street"
source = {street}

[camera.plates]
enabled = true
plain_text_purpose = "soak"

[[camera]]
name = "counter"
source = {counter}

[camera.identity]
enabled = true
"""
OUTBOX_MIB = 16
LEDGER_MIB = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything of one run lies, and how the agent reaches the broker."""

    folder: Path
    port: int
    release: str
    state: Path

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.folder / "agent.toml"

    @property
    def operators(self) -> Path:
        """Whom the agent obeys."""
        return self.folder / "operators.json"

    @property
    def log(self) -> Path:
        """What the agent said to its journal."""
        return self.folder / "agent.log"

    @property
    def socket(self) -> Path:
        """The local door."""
        return self.state / "agent.sock"

    def clip(self, scene: str) -> Path:
        """The file that a camera plays."""
        return self.folder / f"{scene}.avi"

    def write_settings(self) -> None:
        """Write the settings file."""
        quote = json.dumps  # a JSON string is a TOML string
        text = _SETTINGS.format(
            kiosk=KIOSK,
            state=quote(str(self.state)),
            port=self.port,
            release=quote(self.release),
            operators=quote(str(self.operators)),
            confirm_s=CONFIRM_S,
            street=quote(str(self.clip("street"))),
            counter=quote(str(self.clip("counter"))),
        )
        self.settings.write_text(text, encoding="utf-8")


class RunningKiosk:
    """Keeps one agent alive as a service manager does, until :meth:`stop`."""

    def __init__(self, place: Place, environment: Mapping[str, str]) -> None:
        self._place = place
        self._environment = {**os.environ, **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.lives = 0
        """Processes begun."""
        self.killed = 0
        self.unexpected_ends: list[str] = []
        """Lives that ended although nobody ended them, a sentence each."""
        self.orphans: list[str] = []
        """Programs of a killed agent that outlived it."""
        self._to_be_killed = False

    @property
    def pid(self) -> int | None:
        """Of the agent, while it lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Start the agent, and again when it ended, until it is stopped."""
        while not self._stopping:
            with self._place.log.open("ab") as output:
                self._process = process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "agent.cli", "run", "--config", str(self._place.settings)),
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=self._environment,
                )
            self.lives += 1
            status = await process.wait()
            if not self._stopping and not self._to_be_killed:
                self.unexpected_ends.append(f"the agent ended by itself with status {status}")
            self._to_be_killed = False
            if not self._stopping:
                await asyncio.sleep(_RESTART_S)

    def children(self) -> list[psutil.Process]:
        """The processes of cameras and recognisers, and whatever else the agent runs."""
        if (pid := self.pid) is None:
            return []
        with suppress(psutil.Error):
            found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
            return found
        return []

    async def kill(self) -> None:
        """End the agent as a power cut does, and see that its programs end with it."""
        pid, children = self.pid, self.children()
        if pid is None:
            return
        self._to_be_killed = True
        os.kill(pid, signal.SIGKILL)
        self.killed += 1
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, _ORPHAN_S)
        for child in alive:
            with suppress(psutil.Error):
                # One that is stopped cannot end by itself: systemd would kill it with the group.
                if child.status() != psutil.STATUS_STOPPED:
                    self.orphans.append(f"{program(child)} outlived its agent by {_ORPHAN_S:.0f} s")
                child.kill()

    async def stop(self) -> int | None:
        """End the agent in order; returns its exit status, None where it had to be killed."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return None
        process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            return None


def program(process: psutil.Process) -> str:
    """What a process of ours is called: the module that it runs."""
    words = process.cmdline()
    return str(words[words.index("-m") + 1]) if "-m" in words[:-1] else process.name()
