"""Lives of a command path that end by SIGKILL at any durable step: ``python -m ... SCENARIO``.

One process forks every life, so that a life costs milliseconds. A life builds the command path
from what is on disk, takes in the command (the centre repeats it until it is answered), works
until nothing is open, and ends with 0; at its ``kill_at``-th durable step it kills itself. A
durable step is the moment before or after a transaction of the ledger, a receipt stored, a file
written, or the action's effect on the world.

For each scenario all moments are tried: once, and in one life after the other. Prints one JSON
object: how many deaths were tried, and what broke the promise.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import structlog

from commands.action import Action
from commands.actions.agent_restart import agent_restart
from commands.actions.door import door_lock
from commands.actions.keys import keys_update
from commands.actions.maintenance import maintenance_on
from commands.actions.ping import ping
from commands.actions.power import reboot
from commands.actions.service import service_lock
from commands.audit import Audit
from commands.desk.desk import Desk
from commands.door import Door, SimulatedDoor
from commands.door_settings import DoorSettings
from commands.executor import Executor
from commands.ledger import Ledger
from commands.ledger_store import LedgerStore
from commands.settings import CommandSettings
from commands.trust import Trust
from contract import Stamp
from contract.command import sign_command
from contract.keys import KeySet, PrivateKey, fingerprint
from contract.receipt import TERMINAL
from telemetry.files import write_atomically
from tests.support.clock import START
from tests.support.commanded import Deed
from tests.support.operators import make_command, make_key
from tests.support.real_clock import RealClock

GOES_DOWN = 77
"""The exit status of a life whose machine goes down."""
ENDS = 78
"""The exit status of a life that is to be followed by another."""
LIVES = 6
MEMORY = Path("/dev/shm")  # noqa: S108 - fsync there costs nothing
KEYS = (make_key("li", role="supervisor"), make_key("wang", role="supervisor"))


class Mortal:
    """Counts the durable steps of one life, and ends it at one of them."""

    def __init__(self, folder: Path, kill_at: int | None):
        self.folder = folder
        self.kill_at = kill_at
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def append(self, name: str, line: str) -> None:
        """Something that cannot be taken back: a line, at once on disk."""
        self.step()
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.step()

    def write(self, path: Path, content: bytes) -> None:
        self.step()
        write_atomically(path, content)
        self.step()


@contextmanager
def mortal_transactions(mortal: Mortal):
    """Let every transaction of the ledger be a durable step."""
    genuine = LedgerStore.transaction

    @contextmanager
    def transaction(self):
        mortal.step()
        with genuine(self):
            yield
        mortal.step()

    LedgerStore.transaction = transaction
    try:
        yield
    finally:
        LedgerStore.transaction = genuine


class StillClock(RealClock):
    """The real time, on a boot that the test names; waiting takes no time."""

    def __init__(self, boot_id: str):
        super().__init__()
        self.boot_id = boot_id

    def stamp(self) -> Stamp:
        return Stamp(START, int(self.monotonic() * 1000), self.boot_id, "synced")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 1000)


class MortalMachine:
    """Goes down when it is told to: this life ends."""

    def __init__(self, mortal: Mortal):
        self._mortal = mortal

    async def reboot(self) -> None:
        self._mortal.append("effects", "reboot")
        os._exit(GOES_DOWN)

    power_off = reboot

    async def preparing_for_shutdown(self) -> bool:
        return False

    async def lock_sessions(self) -> None:
        self._mortal.append("effects", "lock")

    unlock_sessions = lock_sessions

    def missing_power(self, _kind: str) -> None:
        return None


class FileStore:
    """The desk's state in a file."""

    def __init__(self, mortal: Mortal):
        self._mortal = mortal
        self._path = mortal.folder / "desk.json"

    def load(self) -> bytes | None:
        return self._path.read_bytes() if self._path.exists() else None

    def save(self, content: bytes) -> None:
        self._mortal.write(self._path, content)


class Life:
    """A command path as it comes up from disk."""

    def __init__(self, mortal: Mortal, boot_id: str):
        self.mortal = mortal
        self.clock = StillClock(boot_id)
        settings = CommandSettings(operators=mortal.folder / "operators.json")
        self.ledger = Ledger(mortal.folder / "ledger.db", settings=settings, clock=self.clock)
        self.trust = Trust(
            settings.operators, rotated=mortal.folder / "keys.json", write=mortal.write
        )
        self.desk = Desk(clock=self.clock, publish=self.publish, store=FileStore(mortal))
        row = settings.effective_policy()["keys.update"]
        machine = MortalMachine(mortal)
        door = Door(
            driver=SimulatedDoor(),
            settings=DoorSettings(driver="simulated"),
            clock=self.clock,
            publish=self.publish,
            reasons_not_to_lock=list,
            alarms=tuple,
        )
        deed = Deed("deed")
        genuine = deed.action.run

        async def do(arguments, invocation):
            mortal.append("effects", "deed")
            return await genuine(arguments, invocation)

        actions: list[Action] = [
            ping("1.2.3"),
            Action(deed.action.arguments, run=do, group="deeds"),
            reboot(machine, self.desk, self.desk, self.clock),
            agent_restart(lambda: os._exit(ENDS), started=self.clock.stamp(), clock=self.clock),
            service_lock(self.desk),
            maintenance_on(self.desk),
            door_lock(door),
            keys_update(self.trust, policy=lambda: row, clock=self.clock),
        ]
        self.executor = Executor(
            kiosk="k-1",
            settings=settings,
            trust=self.trust,
            ledger=self.ledger,
            actions=actions,
            clock=self.clock,
            publish=self.publish,
            audit=Audit(
                kiosk="k-1",
                append=self.ledger.audit,
                head=self.ledger.audit_head,
                open_key=lambda: None,  # type: ignore[arg-type,return-value]
                publish=self.publish,
                clock=self.clock,
            ),
            serving=self.desk,
        )

    async def publish(self, data, _stamp: Stamp) -> None:
        name = "receipts" if data.SUFFIX == "up/receipt" else "events"
        self.mortal.append(name, data.model_dump_json(exclude_none=True))

    async def live(self, payload: bytes) -> None:
        await self.desk.start()
        runner = asyncio.create_task(self.executor.run())
        try:
            await self.executor.receive(payload, retained=False)
            while await self.ledger.open_commands() or await self.ledger.unpublished():
                if runner.done():
                    runner.result()
                await asyncio.sleep(0.001)
        finally:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)
            await self.ledger.close()


def live_once(folder: Path, payload: bytes, boot: int, kill_at: int | None) -> int:
    """Fork a life; returns its exit status, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        mortal = Mortal(folder, kill_at)
        with mortal_transactions(mortal):
            asyncio.run(_life(mortal, payload, boot))
        status = 0
    finally:
        os._exit(status)


async def _life(mortal: Mortal, payload: bytes, boot: int) -> None:
    await Life(mortal, f"boot-{boot}").live(payload)


def try_out(
    action: str, args: dict, keys: tuple[PrivateKey, ...], kill_at: int, *, often: bool
) -> tuple[bool, str | None]:
    """One command's story; returns whether anybody died in it, and what broke the promise."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        pinned = KeySet(keys=tuple(key.public() for key in KEYS))
        (folder / "operators.json").write_text(pinned.model_dump_json(exclude_none=True))
        if action == "keys.update":
            args = args | {"replaces": fingerprint(pinned)}
        command = make_command(action=action, args=args)
        payload = sign_command(command, keys)
        died, boot = False, 1
        for life in range(LIVES):
            deadly = kill_at if life == 0 or (often and life < LIVES - 2) else None
            status = live_once(folder, payload, boot, deadly)
            died = died or status == -signal.SIGKILL
            boot += status == GOES_DOWN
            if status == 0:
                return died, judge(folder, command.id, action)
            if status not in {-signal.SIGKILL, GOES_DOWN, ENDS}:
                return died, f"a life ended with {status}"
        return died, "never came to an end"
    finally:
        shutil.rmtree(folder)


def judge(folder: Path, command_id: str, action: str) -> str | None:
    """What broke the promise, or ``None``."""
    lines = (folder / "receipts").read_text().splitlines()
    receipts = [json.loads(line) for line in lines]
    ends = {
        line
        for line, one in zip(lines, receipts, strict=True)
        if one.get("command_id") == command_id and one["status"] in TERMINAL
    }
    if len(ends) != 1:
        return f"{len(ends)} different ends: {sorted(ends)}"
    end = json.loads(ends.pop())
    effects = (folder / "effects").read_text().split() if (folder / "effects").exists() else []
    if len(effects) > 1:
        return f"{len(effects)} effects"
    if action in {"deed", "reboot"} and end["status"] == "succeeded" and not effects:
        return "succeeded without an effect"
    if end["status"] not in {"succeeded", "failed", "expired"}:
        return f"ended as {end['status']}: {end.get('text')}"
    return None


SCENARIOS: dict[str, tuple[dict, tuple[PrivateKey, ...]]] = {
    "ping": ({}, KEYS[:1]),
    "deed": ({}, KEYS[:1]),
    "reboot": ({"grace_s": 0}, KEYS[:1]),
    "agent.restart": ({}, KEYS[:1]),
    "service.lock": ({"text": "closed", "for_s": 60}, KEYS[:1]),
    "maintenance.on": ({"for_s": 60}, KEYS[:1]),
    "door.lock": ({"for_s": 60}, KEYS[:1]),
    "keys.update": (
        {"keys": [key.public().model_dump(exclude_none=True) for key in KEYS]},
        KEYS,
    ),
}


def main(action: str) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    args, keys = SCENARIOS[action]
    deaths, faults = 0, []
    for often in (False, True):
        kill_at, died = 1, True
        while died:
            died, fault = try_out(action, args, keys, kill_at, often=often)
            deaths += died
            if fault:
                faults.append(f"killed at step {kill_at}{' each time' if often else ''}: {fault}")
            kill_at += 1
    print(json.dumps({"deaths": deaths, "faults": faults}))


if __name__ == "__main__":
    main(sys.argv[1])
