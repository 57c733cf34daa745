"""A Mosquitto on this machine that keeps its sessions on disk and can be made to fall."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from agent.broker import HOST, free_port

_START_S = 20.0
_STOP_S = 30.0
_LOOK_S = 0.05
_SEARCH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
_SETTINGS = (
    "per_listener_settings false",
    "allow_anonymous true",
    "set_tcp_nodelay true",
    "max_inflight_messages 200",
    "max_queued_messages 0",
    "persistence true",
    "autosave_on_changes true",
)


class NoBrokerError(Exception):
    """There is no Mosquitto here, or it does not come up."""


class PersistentMosquitto:
    """One broker on one port of 127.0.0.1, over any number of lives. All methods block.

    Args:
        folder: for its files.
        autosave: its sessions are written down after so many changes.
        settings: more lines of its configuration.
    """

    def __init__(self, folder: Path, *, autosave: int = 1, settings: Sequence[str] = ()) -> None:
        program = shutil.which("mosquitto", path=_SEARCH)
        if program is None:
            msg = "Mosquitto is not installed (Debian: apt-get install mosquitto)"
            raise NoBrokerError(msg)
        self.port = free_port()
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        configuration = folder / "mosquitto.conf"
        # As root it would change to a user who cannot write here.
        own = ["user root"] if os.geteuid() == 0 else []
        lines = [
            *(*_SETTINGS, *own, *settings),
            f"autosave_interval {autosave}",
            f"persistence_location {folder}/",
            f"listener {self.port} {HOST}",
        ]
        configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._command = [program, "-c", str(configuration)]

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return when it takes connections. Raises :class:`NoBrokerError`."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
            except OSError:
                time.sleep(_LOOK_S)
            else:
                return
        self.kill()
        said = self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
        msg = f"Mosquitto does not come up:\n{said}"
        raise NoBrokerError(msg)

    def stop(self) -> None:
        """End it in order: what it keeps is written down. Without one, nothing."""
        if self._process is not None:
            self._process.terminate()
            self._reap()

    def kill(self) -> None:
        """End it as a power cut does. Without one, nothing."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
