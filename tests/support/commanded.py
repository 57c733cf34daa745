"""A kiosk that is nothing but its command path."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from commands.action import Action, Invocation
from commands.actions.ping import ping
from commands.executor import Executor
from commands.ledger import Ledger
from commands.settings import CommandSettings
from commands.trust import Trust
from contract import Stamp
from contract.command import Command, sign_command
from contract.keys import ROLES, KeySet, PrivateKey
from contract.receipt import Receipt
from contract.wire import WireModel
from tests.support.clock import ManualClock


class NoArguments(WireModel):
    """An action that takes nothing."""


class Deed:
    """An action that counts how often it is done, and can be told to hang or fail."""

    def __init__(self, name: str = "deed", *, idempotent: bool = False, disruptive: bool = False):
        self.done = 0
        self.begun = asyncio.Event()
        self.hangs = False
        self.error: Exception | None = None
        self.result: dict[str, Any] = {}
        self.action = Action(
            name=name,
            arguments=NoArguments,
            roles=ROLES - {"viewer"},
            run=self._run,
            idempotent=idempotent,
            disruptive=disruptive,
        )

    async def _run(self, _arguments: NoArguments, _invocation: Invocation) -> dict[str, Any]:
        self.done += 1
        self.begun.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return self.result


def pin(path: Path, keys: Sequence[PrivateKey]) -> None:
    """Write the operators' file."""
    document = KeySet(keys=tuple(key.public() for key in keys)).model_dump_json(exclude_none=True)
    path.write_text(document, encoding="utf-8")


class CommandedKiosk:
    """Everything a command meets between the link and the outbox; state in ``folder``."""

    def __init__(
        self,
        folder: Path,
        keys: Sequence[PrivateKey],
        *,
        actions: Sequence[Action[Any]] = (),
        clock: ManualClock | None = None,
        **settings: int,
    ):
        self.folder = folder
        self.keys = keys
        self.clock = clock or ManualClock()
        self.operators = folder / "operators.json"
        self.ledger_path = folder / "ledger.db"
        self.receipts: list[Receipt] = []
        self.stamps: list[Stamp] = []
        self.faults: list[tuple[str, str | None]] = []
        self.publishing = True
        self._published = asyncio.Event()
        self._actions = [ping("1.2.3"), *actions]
        self._settings = CommandSettings(operators=self.operators, **settings)
        pin(self.operators, keys)
        self.boot()

    def boot(self) -> None:
        """Start afresh from what is on disk."""
        self.ledger = Ledger(
            self.ledger_path,
            settings=self._settings,
            on_fault=lambda *told: self.faults.append(told),
        )
        self.executor = Executor(
            kiosk="k-1",
            settings=self._settings,
            trust=Trust(self.operators, on_fault=lambda *told: self.faults.append(told)),
            ledger=self.ledger,
            actions=self._actions,
            clock=self.clock,
            publish=self.publish,
        )

    async def publish(self, data, stamp: Stamp) -> None:
        if not self.publishing:
            msg = "no outbox"
            raise OSError(msg)
        self.receipts.append(data)
        self.stamps.append(stamp)
        self._published.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Carry out what is accepted while the body runs."""
        task = asyncio.create_task(self.executor.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def send(self, command: Command, *keys: PrivateKey, retained: bool = False) -> None:
        """Deliver a command, signed by the first key where none is named."""
        payload = sign_command(command, keys or self.keys[:1])
        await self.executor.receive(payload, retained=retained)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until receipts make it true."""
        async with asyncio.timeout(10):
            while not condition():
                self._published.clear()
                await self._published.wait()

    async def ended(self, *commands: Command) -> None:
        """Wait for the last receipt of each."""
        await self.until(lambda: all(self.terminal(command) for command in commands))

    def terminal(self, command: Command) -> set[str]:
        """Statuses in which the command has ended."""
        return {
            receipt.status
            for receipt in self.receipts
            if receipt.command_id == command.id and receipt.status not in {"accepted", "running"}
        }

    @property
    def statuses(self) -> list[str]:
        """Every receipt's status, in order."""
        return [receipt.status for receipt in self.receipts]
