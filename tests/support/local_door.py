"""The local door on a real Unix socket, and how its users talk to it."""

import asyncio
import json
import os
import pwd
import socket
from pathlib import Path
from typing import Any, Self

from agent.local.client import ask
from agent.local.door import LocalDoor
from agent.local.http_message import Limits
from contract.health import Health
from tests.support.desks import DeskOnFile
from tests.support.persons import FakePersons

ME = f"local:{pwd.getpwuid(os.getuid()).pw_name}"


class Door:
    """A door that is open, and what it was told."""

    def __init__(self, folder: Path, limits: Limits | None = None, group: str | None = None):
        self.life = DeskOnFile(folder, idle_timeout_s=60)
        self.desk = self.life.desk
        self.path = folder / "s"
        self.health: Health | None = Health(cause="interval", agent_uptime_s=5, agent_loop_lag_ms=1)
        self.acts: list[tuple[str, str]] = []
        self.persons = FakePersons()
        self.record_fails = False
        self._door = LocalDoor(
            self.path,
            desk=self.desk,
            status=self._status,
            health=lambda: self.health,
            on_local_act=self._on_local_act,
            persons=self.persons,
            clock=self.life.clock,
            group=group,
            limits=limits,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def _status(self) -> dict[str, Any]:
        return {"alive": True, "kiosk": "k1"}

    async def _on_local_act(self, what: str, by: str) -> None:
        if self.record_fails:
            msg = "the audit trail cannot be written"
            raise RuntimeError(msg)
        self.acts.append((what, by))

    async def open(self) -> None:
        self._tasks = [asyncio.create_task(part.run()) for part in (self._door, self.desk)]
        while not self._answers():
            await asyncio.sleep(0.001)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.path))
            except OSError:
                return False
        return True

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, method: str, target: str, body: object = None) -> dict[str, Any]:
        return await ask(self.path, method, target, body)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)

    async def talk(self, words: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send raw bytes; returns status, headers and body of the answer, once they hang up."""
        reader, writer = await self.connect()
        try:
            writer.write(words)
            async with asyncio.timeout(10):
                return parse(await reader.read())
        finally:
            writer.close()

    async def talk_json(self, words: bytes) -> dict[str, Any]:
        status, headers, body = await self.talk(words)
        answer = json.loads(body)
        if status >= 400:
            assert headers["content-type"] == "application/problem+json"
            assert answer["status"] == status
        return answer


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    return int(line.split()[1]), dict(field.split(": ", 1) for field in fields), body


def http(method: str, target: str, body: bytes = b"", *fields: str) -> bytes:
    """A request after whose answer they hang up."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Events:
    """A follower of ``/v1/events``, as a browser would be one."""

    def __init__(self, door: Door):
        self._door = door

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await self._door.connect()
        self.writer.write(http("GET", "/v1/events"))
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        assert " 200 " in head.splitlines()[0]
        assert "content-type: text/event-stream" in head
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def block(self) -> str:
        """The next event or comment."""
        async with asyncio.timeout(10):
            size = int(await self.reader.readline(), 16)
            chunk = await self.reader.readexactly(size + 2)
        return chunk.decode().removesuffix("\r\n").removesuffix("\n\n")

    async def next(self) -> tuple[str, Any]:
        event, data = (await self.block()).split("\n")
        return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))
