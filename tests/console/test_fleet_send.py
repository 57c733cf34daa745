"""``kioskctl send`` to several kiosks: one connection, a limit, a line and a code for each."""

from contextlib import AsyncExitStack

import pytest

from contract.command import Command
from tests.support.scripted_kiosk import ScriptedKiosk, reject, silence, succeed

ROOT = "fleet/v1"


@pytest.fixture
async def fleet(broker, li):
    """Five kiosks: f-3 is silent, f-4 rejects, the others do as they are told."""
    scripts = {"f-1": succeed, "f-2": succeed, "f-3": silence, "f-4": reject, "f-5": succeed}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                ScriptedKiosk(broker.port, kiosk, [li], script, root=ROOT).online()
            )
            for kiosk, script in scripts.items()
        ]


async def test_every_kiosk_that_is_online_is_asked(kioskctl, fleet, key_file):
    """--all finds them at the broker; each has its own outcome, the exit code is the worst."""
    done = await kioskctl(
        *("--root", ROOT, "send", "--all", "ping", "--key", key_file),
        *("--timeout", "2", "--json"),
    )
    ends = {line["kiosk"]: line for line in done.lines if "outcome" in line}
    assert {kiosk: end["outcome"] for kiosk, end in ends.items()} == {
        "f-1": "succeeded",
        "f-2": "succeeded",
        "f-3": "no_answer",
        "f-4": "rejected",
        "f-5": "succeeded",
    }
    assert ends["f-4"]["code"] == "busy"
    assert done.code == 5
    for kiosk in fleet:
        assert {signed.command.kiosk for signed in kiosk.heard} == {kiosk.kiosk}
        assert len({signed.command.id for signed in kiosk.heard}) == 1


async def test_a_person_reads_a_line_for_each_and_a_sum(kioskctl, fleet, key_file):
    """Where there is no terminal to draw a table on, each end is a line, the sum the last."""
    names = [part for kiosk in ("f-1", "f-4") for part in ("--kiosk", kiosk)]
    done = await kioskctl("--root", ROOT, "send", "ping", *names, "--key", key_file)
    lines = done.out.splitlines()
    assert len(lines) == 3
    assert any("f-4" in line and "a citizen is being served" in line for line in lines[:2])
    assert lines[-1] == "1 succeeded, 1 rejected"
    assert done.code == 3


async def test_no_more_than_so_many_at_once(kioskctl, broker, li, key_file):
    """A kiosk's turn comes when another one has ended."""
    under_way: list[str] = []
    most = 0

    async def slow(kiosk: ScriptedKiosk, command: Command) -> None:
        nonlocal most
        under_way.append(kiosk.kiosk)
        most = max(most, len(under_way))
        await kiosk.receipt(command, "accepted")
        under_way.remove(kiosk.kiosk)
        await kiosk.receipt(command, "succeeded")

    async with AsyncExitStack() as stack:
        for number in range(4):
            kiosk = ScriptedKiosk(broker.port, f"s-{number}", [li], slow, root="slow/v1")
            await stack.enter_async_context(kiosk.online())
        done = await kioskctl(
            *("--root", "slow/v1", "send", "--all", "ping", "--at-once", "1", "--key", key_file)
        )
    assert (done.code, most) == (0, 1)


async def test_nobody_online_is_said(kioskctl, key_file):
    """--all without any kiosk is an error, not a success of zero commands."""
    done = await kioskctl("--root", "empty/v1", "send", "--all", "ping", "--key", key_file)
    assert done.code == 2
    assert "no kiosk is online" in done.errors
