"""Collects what ``diagnostics`` sends: one tar.gz, in memory, of a size that is known."""

import asyncio
import io
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from commands.actions.diagnostics import Archive
from commands.errors import ActionError
from commands.journal import Journal
from contract import Clock
from contract.limits import MAX_MEDIA_BYTES

LIBRARIES = (
    "aiomqtt",
    "cryptography",
    "dbus-fast",
    "dlib-bin",
    "gpiod",
    "h11",
    "iotcore",
    "joserfc",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "paho-mqtt",
    "psutil",
    "pydantic",
    "pydantic-settings",
    "rfc8785",
    "structlog",
)
_JOURNAL_S = 86_400
_JOURNAL_LINES = 4000
_PIECE_S = 20.0
"""Nothing is waited for longer: an agent that is not well must still be able to say so."""
_MAX_FILE_BYTES = 256 * 1024
_MAX_TASKS = 256

Look = Callable[[], Awaitable[Any]]


class Diagnostics:
    """Collects; whatever fails is a problem that the archive names, never an error.

    Args:
        agent_version: this agent's.
        settings: all settings in force, without secrets.
        status: what ``kiosk-agent status`` shows.
        health: the latest sample.
        journal: where the agent's log is.
        clock: the time of the archive's files.
        limit: of the archive in bytes; older lines of the journal give way.
    """

    def __init__(
        self,
        *,
        agent_version: str,
        settings: Callable[[], Mapping[str, Any]],
        status: Callable[[], Awaitable[Mapping[str, Any]]],
        health: Callable[[], Mapping[str, Any] | None],
        journal: Journal,
        clock: Clock,
        limit: int = MAX_MEDIA_BYTES,
    ) -> None:
        self._agent_version = agent_version
        self._settings = settings
        self._status = status
        self._health = health
        self._journal = journal
        self._clock = clock
        self._limit = limit

    async def collect(self) -> Archive:
        """Look at everything and pack it."""
        looks: dict[str, Look] = {
            "versions.json": lambda: asyncio.to_thread(_versions, self._agent_version),
            "settings.json": _at_once(self._settings),
            "status.json": self._status,
            "health.json": _at_once(self._health),
            "tasks.json": _at_once(_tasks),
        }
        files: dict[str, bytes] = {}
        problems: list[str] = []
        for name, look in looks.items():
            found = await self._look(name, look, problems)
            if found is not None:
                self._add(files, name, _json(found), problems)
        lines = await self._look(
            "journal",
            lambda: self._journal.newest(since_s=_JOURNAL_S, lines=_JOURNAL_LINES),
            problems,
        )
        at = self._clock.stamp().time
        return await asyncio.to_thread(self._pack, files, lines or [], problems, at)

    async def _look(self, name: str, look: Look, problems: list[str]) -> Any:
        try:
            async with asyncio.timeout(_PIECE_S):
                return await look()
        except ActionError as error:
            problems.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 - one sick part must not hide the others
            problems.append(f"{name}: {type(error).__name__}: {error}"[:500])
        return None

    def _add(self, files: dict[str, bytes], name: str, content: bytes, problems: list[str]) -> None:
        if len(content) > _MAX_FILE_BYTES:
            problems.append(f"{name}: left out, {len(content)} bytes")
        else:
            files[name] = content

    def _pack(
        self, files: dict[str, bytes], lines: list[str], problems: list[str], at: datetime
    ) -> Archive:
        kept = len(lines)
        while True:
            left_out = len(lines) - kept
            told = [*problems, *([f"journal: {left_out} older lines left out"] if left_out else [])]
            whole = {**files, "problems.json": _json(told)}
            if kept:
                whole["journal.txt"] = "\n".join([*lines[left_out:], ""]).encode()
            content = _tar(whole, at)
            if len(content) <= self._limit or not kept:
                return Archive(content, tuple(whole), tuple(told))
            kept //= 2


def _at_once(look: Callable[[], Any]) -> Look:
    async def looking() -> Any:
        return look()

    return looking


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode()


def _versions(agent_version: str) -> dict[str, Any]:
    """What runs here; blocks."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    return {
        "agent": agent_version,
        "python": sys.version,
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().version}",
        "machine": os.uname().machine,
        "os": system,
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _tasks() -> list[dict[str, Any]]:
    """Every task of the loop and where it waits."""
    found = []
    for task in sorted(asyncio.all_tasks(), key=lambda one: one.get_name())[:_MAX_TASKS]:
        stack = task.get_stack(limit=1)
        where = [f"{frame.f_code.co_filename}:{frame.f_lineno}" for frame in stack]
        found.append({"name": task.get_name(), "at": where, "cancelling": task.cancelling()})
    return found


def _tar(files: Mapping[str, bytes], at: datetime) -> bytes:
    import tarfile  # noqa: PLC0415 - 0.3 MiB that the agent seldom has a use for

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"diagnostics/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(at.timestamp())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
