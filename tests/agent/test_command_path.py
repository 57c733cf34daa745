"""What the command path tells of itself, whatever its disk does."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.boot import boot
from agent.command_path import CommandPath
from agent.supervisor import LAST_PAUSE_S, Supervisor
from commands.errors import LedgerError
from console.keys import new_key
from contract.keys import KeySet
from tests.support.clock import ManualClock


async def test_key_change_outlives_a_fault_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Keys that somebody put in place are told of once they can be recorded, not before."""
    operators = tmp_path / "operators.json"

    def trust(*names: str) -> None:
        keys = tuple(new_key(name, "supervisor").public() for name in names)
        operators.write_text(KeySet(keys=keys).model_dump_json(exclude_none=True))

    trust("Li Wei")
    file = tmp_path / "agent.toml"
    file.write_text(
        f'[kiosk]\nid = "k1"\nstate_folder = "{tmp_path}/s"\n'
        f'[commands]\noperators = "{operators}"\n'
    )
    clock, told, broken = ManualClock(), [], True
    unused: Any = SimpleNamespace(link=None, reconnect=None, frames={}, identity={})

    async def publish(data, stamp) -> None:
        told.append((data.KIND, stamp.monotonic_ms))

    path = CommandPath(
        await asyncio.to_thread(boot, file),
        clock=clock,
        publish=publish,
        parts=unused,
        watch_lists=unused,
        alarms=lambda: (),
        status=unused,
        stage=unused,
        wellness=unused,
        restart=lambda: None,
        on_fault=lambda *_: None,
    )
    await path.trust.refresh()
    sound = path.audit.record

    async def record(*args: Any) -> None:
        if broken:
            msg = "disk I/O error"
            raise LedgerError(msg)
        await sound(*args)

    monkeypatch.setattr(path.audit, "record", record)
    supervisor = Supervisor(clock)
    supervisor.start("keys", path.tasks["keys"])
    running = asyncio.create_task(supervisor.run())
    trust("Zhao", "Wang")
    await path.trust.refresh()
    changed = clock.stamp().monotonic_ms
    await clock.advance(5)
    assert (told, supervisor.restarts["keys"] > 0) == ([], True)
    broken = False
    await clock.advance(LAST_PAUSE_S)
    while not told:
        await asyncio.sleep(0.01)
    assert told == [("keys.changed", changed)]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await path.close()
