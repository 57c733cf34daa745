"""A kiosk that is nothing but its command path."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from commands.action import Action, Invocation, Serving
from commands.actions.keys import keys_update
from commands.actions.ping import ping
from commands.audit import Audit
from commands.executor import Executor
from commands.kiosk_key import KioskKey
from commands.ledger import Ledger
from commands.policy import Policy
from commands.settings import CommandSettings
from commands.trust import Trust
from contract import Stamp
from contract.actions import Arguments
from contract.command import Command, sign_command
from contract.keys import KeySet, PrivateKey
from contract.receipt import Receipt
from contract.state import KeysChanged
from telemetry.files import write_atomically
from tests.support.clock import ManualClock
from tests.support.operators import make_command


class Deed:
    """An action that counts how often it is done, and can be told to hang or fail."""

    def __init__(
        self,
        name: str = "deed",
        *,
        idempotent: bool = False,
        group: str | None = "deeds",
        signers: int = 1,
        missing: str | None = None,
        **policy,
    ):
        self.done = 0
        self.stopped = 0
        self.begun = asyncio.Event()
        self.hangs = False
        self.unstoppable = False
        self.error: Exception | None = None
        self.result: dict[str, Any] = {}
        self.says: list[str] = []

        class DeedArguments(Arguments):
            """Takes nothing but force."""

            ACTION = name
            force: bool = False
            alone: bool = True

        self.policy = Policy(**policy)
        self.action = Action(
            DeedArguments,
            run=self._run,
            idempotent=idempotent,
            group=group,
            missing=lambda: missing,
            signers=lambda given: signers if given.alone else 2,
        )

    async def _run(self, _arguments: Arguments, invocation: Invocation) -> dict[str, Any]:
        self.done += 1
        self.begun.set()
        for word in self.says:
            await invocation.progress(word, 50)
        if self.unstoppable:
            invocation.no_return()
        if self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.stopped += 1
                raise
        if self.error:
            raise self.error
        return self.result


def pin(path: Path, keys: Sequence[PrivateKey]) -> None:
    """Write the operators' file."""
    document = KeySet(keys=tuple(key.public() for key in keys)).model_dump_json(exclude_none=True)
    path.write_text(document, encoding="utf-8")


class TestedSettings(CommandSettings):
    """Settings whose policy table has the rows of deeds, too."""

    __test__ = False
    rows: dict[str, Policy] = Field(default_factory=dict)

    def effective_policy(self) -> dict[str, Policy]:
        return super().effective_policy() | self.rows


class CommandedKiosk:
    """Everything a command meets between the link and the outbox; state in ``folder``."""

    def __init__(
        self,
        folder: Path,
        keys: Sequence[PrivateKey],
        *,
        deeds: Sequence[Deed] = (),
        actions: Sequence[Action[Any]] = (),
        clock: ManualClock | None = None,
        serving: Serving | None = None,
        rows: dict[str, Policy] | None = None,
        rows_of: dict[str, dict[str, Any]] | None = None,
        with_keys_update: bool = False,
        **settings: Any,
    ):
        self.folder = folder
        self.keys = keys
        self.clock = clock or ManualClock()
        self.operators = folder / "operators.json"
        self.ledger_path = folder / "ledger.db"
        self.receipts: list[Receipt] = []
        self.stamps: list[Stamp] = []
        self.faults: list[tuple[str, str | None]] = []
        self.key_changes: list[KeysChanged] = []
        self.publishing = True
        self._published = asyncio.Event()
        self.serving = serving
        self._actions = [ping("1.2.3"), *actions, *(deed.action for deed in deeds)]
        rows = {**(rows or {}), **{deed.action.name: deed.policy for deed in deeds}}
        for name, changes in (rows_of or {}).items():
            rows[name] = replace(rows[name], **changes)
        self._with_keys_update = with_keys_update
        self._settings = TestedSettings(operators=self.operators, rows=rows, **settings)
        pin(self.operators, keys)
        self.boot()

    def boot(self) -> None:
        """Start afresh from what is on disk."""
        self.ledger = Ledger(
            self.ledger_path,
            settings=self._settings,
            clock=self.clock,
            on_fault=lambda *told: self.faults.append(told),
        )
        self.trust = Trust(
            self.operators,
            rotated=self.folder / "keys.json",
            write=write_atomically,
            on_fault=lambda *told: self.faults.append(told),
            on_change=self.key_changes.append,
        )
        self.audit = Audit(
            kiosk="k-1",
            append=self.ledger.audit,
            head=self.ledger.audit_head,
            open_key=self._no_key,
            publish=self.publish,
            clock=self.clock,
        )
        self.executor = Executor(
            kiosk="k-1",
            settings=self._settings,
            trust=self.trust,
            ledger=self.ledger,
            actions=[*self._actions, *self._keys_update()],
            clock=self.clock,
            publish=self.publish,
            audit=self.audit,
            serving=self.serving,
        )

    def _no_key(self) -> KioskKey:
        msg = "heads are not published here"
        raise NotImplementedError(msg)

    def _keys_update(self) -> list[Action[Any]]:
        if not self._with_keys_update:
            return []
        row = self._settings.effective_policy()["keys.update"]
        return [keys_update(self.trust, policy=lambda: row, clock=self.clock)]

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

    async def order(self, action: str, *keys: PrivateKey, **args: Any) -> Receipt:
        """Order something; returns its last receipt."""
        command = make_command(action=action, args=args)
        await self.send(command, *keys)
        await self.ended(command)
        return self.receipts[-1]

    async def kept(self) -> bytes:
        """What is on disk once the agent has ended; it starts afresh then."""
        await self.ledger.close()
        kept = b"".join(file.read_bytes() for file in self.folder.glob("ledger.db*"))
        self.boot()
        return kept

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
