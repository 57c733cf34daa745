import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from agent.broker import EmbeddedBroker
from console.connection import cancelled
from console.keys import write_private
from contract import Data, Stamp, Topics, seal
from contract.keys import PrivateKey
from tests.support.commanded import CommandedKiosk
from tests.support.operators import make_key
from tests.support.real_clock import RealClock

ROOT = Path(__file__).parents[2]
TOPICS = Topics("k-1")


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def li() -> PrivateKey:
    return make_key("li")


@dataclass(frozen=True)
class Finished:
    """What ``kioskctl`` left behind."""

    code: int
    out: str
    errors: str

    @property
    def lines(self) -> list[Any]:
        """Every line of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class Kioskctl:
    """Runs ``kioskctl`` as an operator does, in a process of its own."""

    def __init__(self, folder: Path, port: int):
        self.folder = folder
        self.port = port

    async def start(
        self,
        *arguments: str,
        before: Sequence[str] = (),
        streams: int = asyncio.subprocess.PIPE,
        **environment: str,
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *before,
            sys.executable,
            "-c",
            "from console.cli import main; main()",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL if streams == asyncio.subprocess.PIPE else streams,
            stdout=streams,
            stderr=streams,
            cwd=self.folder,
            env={
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.folder),
                "COLUMNS": "100",
                "KIOSKCTL_BROKER": f"mqtt://127.0.0.1:{self.port}",
                **environment,
            },
        )

    async def on_terminal(
        self, *arguments: str, answers: Sequence[tuple[str, str]] = (), **environment: str
    ) -> Finished:
        """Run it on a terminal of its own; each answer is typed when its prompt is there."""
        try:
            master, slave = pty.openpty()
        except OSError as error:
            pytest.skip(f"no terminal can be had here: {error}")
        process = await self.start(
            *arguments,
            before=("setsid", "--ctty", "--wait"),
            streams=slave,
            TERM="xterm",
            **environment,
        )
        os.close(slave)
        try:
            async with asyncio.timeout(30):
                said = await asyncio.to_thread(_converse, master, answers)
                code = await process.wait()
        finally:
            os.close(master)
        return Finished(code, said, "")

    async def __call__(self, *arguments: str, **environment: str) -> Finished:
        process = await self.start(*arguments, **environment)
        out, errors = await process.communicate()
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), errors.decode())


def _converse(master: int, answers: Sequence[tuple[str, str]]) -> str:
    said = ""
    waiting = list(answers)
    while True:
        try:
            said += os.read(master, 65_536).decode(errors="replace")
        except OSError:  # the other end is closed
            return said
        if waiting and waiting[0][0] in said:
            _, answer = waiting.pop(0)
            os.write(master, f"{answer}\n".encode())


@pytest.fixture
def kioskctl(tmp_path: Path, broker: EmbeddedBroker) -> Kioskctl:
    return Kioskctl(tmp_path, broker.port)


class FakeKiosk(CommandedKiosk):
    """A kiosk on the wire: its command path is genuine, its telemetry is what the test says."""

    sequence = 0
    deaf = 0
    """Commands that it still fails to hear."""
    heard = 0
    client: aiomqtt.Client
    port = 0

    async def publish(self, data: Data, stamp: Stamp) -> None:
        await super().publish(data, stamp)
        self.sequence += 1
        sealed = seal(data, kiosk="k-1", stamp=stamp, sequence=self.sequence)
        await self.client.publish(TOPICS.up(data.SUFFIX), sealed.payload, qos=1)

    async def obey(self) -> None:
        await self.client.subscribe(TOPICS.command, qos=1)
        async for message in self.client.messages:
            self.heard += 1
            if self.heard > self.deaf:
                await self.executor.receive(message.payload, retained=message.retain)

    @asynccontextmanager
    async def online(self) -> AsyncIterator["FakeKiosk"]:
        """Obey commands while the body runs."""
        async with (
            aiomqtt.Client(
                "127.0.0.1", self.port, protocol=aiomqtt.ProtocolVersion.V5
            ) as self.client,
            self.running(),
        ):
            obeying = asyncio.create_task(self.obey())
            await self.client.publish("ready", qos=1)  # the subscription went before it
            try:
                yield self
            finally:
                await cancelled(obeying)
        await self.ledger.close()


@pytest.fixture
def kiosk(tmp_path: Path, li: PrivateKey, broker: EmbeddedBroker) -> FakeKiosk:
    folder = tmp_path / "kiosk"
    folder.mkdir()
    kiosk = FakeKiosk(folder, [li], clock=RealClock())
    kiosk.port = broker.port
    return kiosk


@pytest.fixture
def key_file(tmp_path: Path, li: PrivateKey) -> str:
    path = tmp_path / "li.key"
    write_private(li, path)
    return str(path)
