"""``service.*``, ``maintenance.*`` and ``announce``: what their receipts say, and what they do."""

import asyncio
import os
import shutil
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.action import Action
from commands.actions.announce import announce
from commands.actions.maintenance import maintenance_off, maintenance_on
from commands.actions.service import service_lock, service_unlock
from commands.errors import ActionError
from commands.process import MAX_OUTPUT_BYTES, cut_middle, run_process
from contract.actions import (
    Announce,
    Arguments,
    MaintenanceOff,
    MaintenanceOn,
    ServiceLock,
    ServiceUnlock,
)
from tests.support.clock import START
from tests.support.desks import DeskOnFile
from tests.support.invocations import COMMAND_ID, invocation


@pytest.fixture
def life(tmp_path: Path) -> DeskOnFile:
    return DeskOnFile(tmp_path)


async def run(life: DeskOnFile, action: Action, arguments: Arguments) -> dict[str, Any]:
    """Run an action as the command path does; returns its result."""
    order = invocation(arguments, life.clock.stamp(), signers=("li", "wang"))
    return await action.run(arguments, order)


async def test_lock_and_unlock(life: DeskOnFile):
    """The receipts say until when, how many sessions go on, and what holds after it."""
    await life.desk.sessions.begin("a", "staff")
    result = await run(life, service_lock(life.desk), ServiceLock(text="Closed", for_s=60))
    assert result == {"until": "2026-11-01T08:01:00.000Z", "open_sessions": 1, "saved": True}
    assert (life.desk.service.state, life.desk.service.text) == ("locked", "Closed")
    assert life.events[1].command_id == COMMAND_ID
    assert await run(life, service_unlock(life.desk), ServiceUnlock()) == {
        "state": "open",
        "saved": True,
    }
    assert (life.events[2].reason, life.events[2].command_id) == ("command", COMMAND_ID)


async def test_screen_that_cannot_be_locked(tmp_path: Path):
    """A screen that fails is mentioned; the lock holds."""

    async def no_logind() -> None:
        msg = "no logind here"
        raise ActionError(msg)

    life = DeskOnFile(tmp_path, lock_screen=no_logind)
    result = await run(life, service_lock(life.desk), ServiceLock())
    assert result == {"open_sessions": 0, "saved": True, "screen_problem": "no logind here"}
    assert life.desk.service.state == "locked"


async def test_maintenance(life: DeskOnFile):
    """Maintenance carries its signers' names; switching it off says whether it was on."""
    result = await run(life, maintenance_on(life.desk), MaintenanceOn(text="Repair", for_s=60))
    assert result == {"until": "2026-11-01T08:01:00.000Z", "saved": True}
    assert life.events[0].by == "li, wang"
    off = maintenance_off(life.desk)
    for was_on in (True, False):
        result = await run(life, off, MaintenanceOff())
        assert result == {"was_on": was_on, "saved": True}


def speaker(folder: Path, code: str) -> str:
    """A program that stands for espeak-ng."""
    program = folder / "speaker"
    program.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
    program.chmod(0o700)
    return str(program)


async def test_announce_is_shown(life: DeskOnFile):
    """A text is on the screen at once, until its time."""
    result = await run(life, announce(life.desk), Announce(text="Hello", for_s=60))
    (shown,) = life.desk.notices.announcements.announcements
    assert result == {"announcement_id": shown.id, "until": "2026-11-01T08:01:00.000Z"}
    assert (shown.text, shown.until) == ("Hello", START + timedelta(seconds=60))


async def test_announce_is_spoken(life: DeskOnFile):
    """The text goes to the speaker's standard input, where no other user can read it."""
    heard = life.folder / "heard"
    code = f"open({str(heard)!r}, 'w').write(repr(sys.argv[1:]) + sys.stdin.read())"
    action = announce(life.desk, speaker=speaker(life.folder, code))
    result = await run(life, action, Announce(text="您好", speak=True))
    assert result["spoken"] is True
    assert heard.read_text() == "['-v', 'cmn', '--stdin']您好"


@pytest.mark.parametrize(
    ("code", "problem"),
    [("sys.exit('no sound card')", "status 1: no sound card"), ("os.kill(os.getpid(), 9)", "-9")],
)
async def test_speaker_fails(life: DeskOnFile, code: str, problem: str):
    """A speaker that fails is mentioned; the text is shown all the same."""
    action = announce(life.desk, speaker=speaker(life.folder, code))
    result = await run(life, action, Announce(text="Hello", speak=True))
    assert result["spoken"] is False
    assert problem in result["speech_problem"]
    assert life.desk.notices.announcements.announcements


async def test_no_speaker(life: DeskOnFile):
    """Where no speaker is installed the text is shown, and the receipt says that it was all."""
    action = announce(life.desk, speaker=str(life.folder / "nothing"))
    result = await run(life, action, Announce(text="Hello", speak=True))
    assert result["spoken"] is False
    assert "cannot be run" in result["speech_problem"]
    assert life.desk.notices.announcements.announcements


async def test_cancelled_announcement(life: DeskOnFile):
    """Cancelled in the middle of its speech, an announcement falls silent and is taken away."""
    begun = life.folder / "begun"
    code = f"open({str(begun)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    action = announce(life.desk, speaker=speaker(life.folder, code))
    task = asyncio.create_task(run(life, action, Announce(text="Hello", speak=True)))
    pid = await _pid(begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _lives(pid)
    assert life.desk.notices.announcements.announcements == ()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
async def test_the_real_speaker(tmp_path: Path):
    """espeak-ng takes our arguments and our Chinese."""
    done = await run_process(
        ["espeak-ng", "-v", "cmn", "--stdin", "--stdout"],
        stdin="请出示驾驶证".encode(),
        timeout_s=30,
        limit=1024,
    )
    assert (done.status, done.stdout[:4]) == (0, b"RIFF")


# -- processes -------------------------------------------------------------------------------


async def run_python(code: str, **options):
    return await run_process(
        [sys.executable, "-c", f"import os, sys, time, subprocess\n{code}"],
        **{"timeout_s": 20, **options},
    )


async def test_output_within_its_bounds(life: DeskOnFile):
    """Raw bytes up to the bound that the caller gives; more is cut out of the middle."""
    code = "sys.stdout.buffer.write(bytes(range(256)) * 400)"
    whole = await run_python(code, limit=200_000)
    assert whole.stdout == bytes(range(256)) * 400
    cut = (await run_python(code)).stdout
    assert len(cut) <= MAX_OUTPUT_BYTES
    assert cut.startswith(bytes(range(256)))
    assert cut.endswith(bytes(range(256)))


async def test_endless_output(life: DeskOnFile):
    """A program that never stops talking costs a bounded amount of memory, and its time."""
    with pytest.raises(ActionError, match=r"did not end within 1 s") as caught:
        await run_python("while True: sys.stdout.write('x' * 65536)", timeout_s=1)
    assert caught.value.code == "timed_out"


async def test_status_and_words(life: DeskOnFile):
    """What a failing program said comes back for the receipt, whatever bytes it wrote."""
    done = await run_python("os.write(2, b'bad \\xff\\n' * 9000); os.write(1, b'out'); sys.exit(3)")
    assert done.status == 3
    assert done.words.startswith("bad \ufffd\nbad")
    assert done.words.endswith("out")
    assert len(done.words.encode()) <= MAX_OUTPUT_BYTES


async def test_killed_with_all_its_children(life: DeskOnFile):
    """A time-out leaves no process behind, not even one that ignores polite signals."""
    begun = life.folder / "begun"
    child = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(begun)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    code = f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    task = asyncio.create_task(run_python(code, timeout_s=60))
    pid = await _pid(begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while _lives(pid):
        await asyncio.sleep(0.01)


async def test_child_that_will_not_go(life: DeskOnFile):
    """A child that left the group and holds the output does not hold us longer than our time."""
    code = "subprocess.Popen(['sleep', '5'], start_new_session=True)"
    with pytest.raises(ActionError, match="did not end"):
        await run_python(code, timeout_s=1)


async def test_input_that_nobody_reads(life: DeskOnFile):
    """A program need not read what it is given."""
    done = await run_python("os.close(0)", stdin=b"x" * 1_000_000)
    assert done.status == 0


async def test_environment_without_secrets(life: DeskOnFile, monkeypatch: pytest.MonkeyPatch):
    """Programs do not inherit the agent's settings."""
    monkeypatch.setenv("KIOSK_AGENT_LINK__PASSWORD", "secret")
    done = await run_python("print(dict(os.environ))")
    assert b"secret" not in done.stdout
    assert b"PATH" in done.stdout


@given(output=st.binary(max_size=600), limit=st.integers(0, 300))
def test_cut_middle(output: bytes, limit: int):
    """Never more than the limit; what fits is whole, else both ends are there and the count."""
    cut = cut_middle(output, limit)
    assert len(cut) <= limit
    if len(output) <= limit:
        assert cut == output
    elif limit >= 100:
        head, _, rest = cut.partition(b"\n[... ")
        count, _, tail = rest.partition(b" bytes left out ...]\n")
        if b"[..." not in output:
            assert output.startswith(head)
            assert output.endswith(tail)
            assert len(head) + int(count) + len(tail) == len(output)


async def _pid(file: Path) -> int:
    """Wait until a program has written its process id."""
    async with asyncio.timeout(20):
        while not file.exists() or not file.read_text():
            await asyncio.sleep(0.01)
    return int(file.read_text())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


async def test_what_is_closed_is_not_called_cancelled(tmp_path: Path):
    """Locking and unlocking, and maintenance, cannot be stopped halfway: each says so at once."""
    life, said = DeskOnFile(tmp_path), []
    for action, arguments in (
        (service_lock(life.desk), ServiceLock()),
        (service_unlock(life.desk), ServiceUnlock()),
        (maintenance_on(life.desk), MaintenanceOn()),
        (maintenance_off(life.desk), MaintenanceOff()),
    ):
        order = invocation(arguments, life.clock.stamp())
        await action.run(arguments, replace(order, no_return=lambda: said.append(True)))
    assert len(said) == 4
