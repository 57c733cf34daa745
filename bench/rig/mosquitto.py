"""Mosquitto on this machine: brokers that can be made to fall, and come up again."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.broker import HOST, free_port

_START_S = 20.0
_STOP_S = 30.0
_LOOK_S = 0.02
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


def find_program(name: str = "mosquitto") -> str:
    """Return the path of a program of Mosquitto's. Raises :class:`NoBrokerError`."""
    program = shutil.which(name, path=_SEARCH)
    if program is None:
        msg = f"{name} is not installed (Debian: apt-get install mosquitto)"
        raise NoBrokerError(msg)
    return program


class MosquittoProcess:
    """One broker over any number of lives. All methods block.

    Args:
        folder: for its files; ``mosquitto.log`` takes what it says.
        configuration: the text of its configuration.
        port: of 127.0.0.1, at which it listens, among others perhaps.

    Raises:
        NoBrokerError: there is no Mosquitto here.
    """

    def __init__(self, folder: Path, configuration: str, port: int) -> None:
        self.host = HOST
        self.port = port
        self.log = folder / "mosquitto.log"
        self.starts = 0
        file = folder / "mosquitto.conf"
        file.write_text(configuration, encoding="utf-8")
        file.chmod(0o600)
        self._command = [find_program(), "-c", str(file)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Return when it takes connections. Raises :class:`NoBrokerError`."""
        self.starts += 1
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(_LOOK_S)
            else:
                return self
        self.kill()
        msg = f"Mosquitto does not come up:\n{self._said()[-1000:]}"
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

    def await_log(self, words: str, times: int) -> None:
        """Return when it has said something so many times. Raises :class:`NoBrokerError`."""
        deadline = time.monotonic() + _START_S
        while self._said().count(words) < times:
            if time.monotonic() > deadline:
                msg = f"Mosquitto does not say {words!r}:\n{self._said()[-1000:]}"
                raise NoBrokerError(msg)
            time.sleep(_LOOK_S)

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class PersistentMosquitto(MosquittoProcess):
    """A broker that keeps its sessions on disk.

    Args:
        folder: for its files.
        autosave: its sessions are written down after so many changes.
        settings: more lines of its configuration.
    """

    def __init__(self, folder: Path, *, autosave: int = 1, settings: Sequence[str] = ()) -> None:
        port = free_port()
        # As root it would change to a user who cannot write here.
        own = ["user root"] if os.geteuid() == 0 else []
        lines = [
            *(*_SETTINGS, *own, *settings),
            f"autosave_interval {autosave}",
            f"persistence_location {folder}/",
            f"listener {port} {HOST}",
        ]
        super().__init__(folder, "\n".join(lines) + "\n", port)
