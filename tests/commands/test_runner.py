"""Running: groups, time limits, progress, cancelling."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from commands.errors import LedgerError
from contract.keys import KeySet
from tests.support.commanded import Deed, pin
from tests.support.operators import NOW_S, make_command, make_key


def order(deed: Deed, **fields):
    return make_command(action=deed.action.name, **{"args": {}, **fields})


def cancel(command):
    return make_command(action="cancel", args={"command_id": command.id})


async def test_a_group_does_one_thing_at_a_time(make_kiosk):
    """What is of one group waits for its turn; what is not runs beside it."""
    slow, beside = Deed("slow"), Deed("beside", group=None)
    slow.hangs = True
    kiosk = make_kiosk(deeds=[slow, beside])
    first, second, other = order(slow), order(slow), order(beside)
    async with kiosk.running():
        for command in (first, second, other):
            await kiosk.send(command)
        await kiosk.ended(other)
        assert slow.done == 1
        slow.hangs = False
        await kiosk.send(cancel(first))
        await kiosk.ended(first, second)
    assert (kiosk.terminal(first), kiosk.terminal(second)) == ({"cancelled"}, {"succeeded"})
    assert slow.done == 2


async def test_what_takes_too_long_is_stopped(make_kiosk):
    """After its timeout an action is cancelled, and the command has failed as timed_out."""
    deed = Deed(timeout_s=5)
    deed.hangs = True
    kiosk = make_kiosk(deeds=[deed])
    command = order(deed)
    async with kiosk.running():
        await kiosk.send(command)
        await deed.begun.wait()
        await kiosk.clock.advance(5.1)
        await kiosk.ended(command)
    assert kiosk.receipts[-1].code == "timed_out"
    assert deed.stopped == 1


async def test_progress_is_told_once_a_second(make_kiosk):
    """The operator sees how far it is, not every word of it."""
    deed = Deed()
    deed.says = ["one", "two", "three"]
    kiosk = make_kiosk(deeds=[deed])
    command = order(deed)
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.ended(command)
    said = [(one.status, one.text, one.percent) for one in kiosk.receipts]
    assert said == [
        ("accepted", "", None),
        ("running", "", None),
        ("running", "one", 50.0),
        ("succeeded", "", None),
    ]


@pytest.mark.parametrize("begun", [True, False])
async def test_a_command_can_be_cancelled(make_kiosk, begun):
    """Waiting or running, it ends as cancelled, by whom is said, and it is not done afterwards."""
    deed, blocker = Deed(), Deed("blocker")
    blocker.hangs = deed.hangs = True
    wang = make_key("wang")
    kiosk = make_kiosk(keys=[wang], deeds=[deed, blocker])
    command = order(deed)
    stop = cancel(command)
    async with kiosk.running():
        if not begun:
            await kiosk.send(order(blocker))
        await kiosk.send(command)
        if begun:
            await deed.begun.wait()
        await kiosk.send(stop, wang)
        await kiosk.ended(command, stop)
    ended = next(one for one in kiosk.receipts if one.status == "cancelled")
    assert (ended.command_id, ended.code, ended.text) == (
        command.id,
        "cancelled",
        "stopped by wang",
    )
    done = next(one for one in kiosk.receipts if one.command_id == stop.id and one.result)
    assert done.result == {"command_id": command.id, "status": "cancelled"}
    assert (deed.done, deed.stopped) == ((1, 1) if begun else (0, 0))


async def test_what_has_gone_too_far_is_not_cancelled(make_kiosk):
    """After its point of no return a command goes on, and the cancelling says so."""
    deed = Deed()
    deed.hangs = deed.unstoppable = True
    kiosk = make_kiosk(deeds=[deed])
    command, stop = order(deed), None
    async with kiosk.running():
        await kiosk.send(command)
        await deed.begun.wait()
        stop = cancel(command)
        await kiosk.send(stop)
        await kiosk.ended(stop)
    assert kiosk.receipts[-1].text == "deed has gone too far to be stopped"
    assert not kiosk.terminal(command)


@pytest.mark.parametrize("ended", [True, False])
async def test_cancelling_what_is_over_fails(make_kiosk, ended):
    """There must be something to stop."""
    kiosk = make_kiosk()
    command = make_command()
    async with kiosk.running():
        if ended:
            await kiosk.send(command)
            await kiosk.ended(command)
        stop = cancel(command)
        await kiosk.send(stop)
        await kiosk.ended(stop)
    assert kiosk.receipts[-1].status == "failed"
    assert ("succeeded" if ended else "not known") in kiosk.receipts[-1].text


async def test_a_command_cannot_cancel_itself(make_kiosk):
    """Else it would wait for its own end."""
    kiosk = make_kiosk()
    command = make_command(action="cancel")
    command = command.model_copy(update={"args": {"command_id": command.id}})
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.ended(command)
    assert kiosk.receipts[-1].text == "a command cannot stop itself"


async def interrupted(make_kiosk):
    """A kiosk that was stopped while it carried out a command, and that command."""
    deed = Deed()
    deed.hangs = True
    kiosk = make_kiosk(deeds=[deed])
    command = order(deed)
    async with kiosk.running():
        await kiosk.send(command)
        await deed.begun.wait()
    return kiosk, command


async def test_the_end_of_the_agent_is_no_cancelling(make_kiosk):
    """What the agent's stop interrupts stays open; the next start ends it."""
    kiosk, command = await interrupted(make_kiosk)
    assert not kiosk.terminal(command)
    assert len(await kiosk.ledger.open_commands()) == 1


async def test_what_a_newer_agent_left_stops_nothing(make_kiosk):
    """After going back to an older version, what that cannot read waits, and the rest goes on."""
    kiosk, command = await interrupted(make_kiosk)
    with closing(sqlite3.connect(kiosk.ledger_path, isolation_level=None)) as db:
        db.execute("UPDATE command SET document = json_set(document, '$.new', 1)")
        db.execute(
            "UPDATE receipt SET published = 0, document = json_set(document, '$.code', 'new')"
        )
    later = make_command()
    async with kiosk.running():
        await kiosk.send(later)
        await kiosk.ended(later)
    assert kiosk.terminal(later) == {"succeeded"}
    assert not kiosk.terminal(command)


async def test_a_receipt_of_a_newer_agent_is_still_one(make_kiosk):
    """After going back to an older version a command that is known is not done again."""
    deed = Deed(idempotent=True)
    kiosk = make_kiosk(deeds=[deed])
    command = make_command(action="deed", args={})
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.ended(command)
        with closing(sqlite3.connect(kiosk.ledger_path, isolation_level=None)) as db:
            db.execute("UPDATE receipt SET document = json_set(document, '$.more', 1)")
        await kiosk.send(command)
        await kiosk.clock.settle()
    assert (deed.done, kiosk.statuses[-1]) == (1, "succeeded")
    assert kiosk.receipts[-1] == kiosk.receipts[-2]


async def test_a_thousand_pings_are_all_answered(make_kiosk):
    """A burst is taken in as it comes; none is lost, none is turned away."""
    kiosk = make_kiosk()
    commands = [make_command() for _ in range(1000)]
    async with kiosk.running():
        for command in commands:
            await kiosk.send(command)
        await kiosk.ended(*commands)
    assert all(kiosk.terminal(command) == {"succeeded"} for command in commands)


async def test_keys_are_replaced_by_two_persons(make_kiosk):
    """The new set counts at once and after a restart; the old signer is out."""
    seniors = [make_key(name, role="supervisor") for name in ("wang", "zhao")]
    kiosk = make_kiosk(keys=seniors, with_keys_update=True)
    await kiosk.trust.refresh()
    args = {
        "keys": [key.public().model_dump(exclude_none=True) for key in seniors],
        "replaces": kiosk.trust.fingerprint,
    }
    update = make_command(action="keys.update", args=args)
    async with kiosk.running():
        await kiosk.send(update, *seniors)
        await kiosk.ended(update)
        assert kiosk.terminal(update) == {"succeeded"}
        await kiosk.send(make_command())
    assert kiosk.receipts[-1].code == "unknown_key"
    assert [change.removed for change in kiosk.key_changes] == [("li",)]
    await kiosk.ledger.close()
    kiosk.boot()
    await kiosk.trust.refresh()
    assert set(kiosk.trust.keys) == {"wang", "zhao"}


@pytest.mark.parametrize(
    ("keep", "replaces", "said"),
    [
        (1, None, "leaves 1 of the 2 persons"),
        (2, "0" * 64, "takes the place of 000000000000"),
    ],
)
async def test_a_key_set_that_would_lock_everyone_out_is_refused(make_kiosk, keep, replaces, said):
    """Too few who could replace it again, or made from another set: the old stays in force."""
    seniors = [make_key(name, role="supervisor") for name in ("wang", "zhao")]
    kiosk = make_kiosk(keys=seniors, with_keys_update=True)
    await kiosk.trust.refresh()
    before = kiosk.trust.fingerprint
    args = {
        "keys": [key.public().model_dump(exclude_none=True) for key in seniors[:keep]],
        "replaces": replaces or before,
    }
    update = make_command(action="keys.update", args=args)
    async with kiosk.running():
        await kiosk.send(update, *seniors)
        await kiosk.ended(update)
    assert said in kiosk.receipts[-1].text
    assert kiosk.trust.fingerprint == before


async def test_a_file_put_in_place_on_site_has_the_last_word(make_kiosk, li):
    """Another operators' file ends what a command has made of the one before."""
    seniors = [make_key(name, role="supervisor") for name in ("wang", "zhao")]
    kiosk = make_kiosk(keys=seniors, with_keys_update=True)
    await kiosk.trust.refresh()
    kept = KeySet(keys=tuple(key.public() for key in seniors))
    await kiosk.trust.replace(kept, replaces=kiosk.trust.fingerprint)
    assert set(kiosk.trust.keys) == {"wang", "zhao"}
    pin(kiosk.operators, [li])
    await kiosk.trust.refresh()
    assert set(kiosk.trust.keys) == {"li"}


async def test_a_damaged_second_file_revives_nobody(make_kiosk, tmp_path):
    """Where what keys.update wrote cannot be read, nobody may: a key taken out stays out."""
    kiosk = make_kiosk()
    (tmp_path / "keys.json").write_text("{")
    await kiosk.trust.refresh()
    assert dict(kiosk.trust.keys) == {}
    assert "keys.json cannot be read" in kiosk.trust.problem


async def test_jobs_end_before_the_runner_does(make_kiosk):
    """Nothing runs on after the runner was stopped."""
    deed = Deed()
    deed.hangs = True
    kiosk = make_kiosk(deeds=[deed])
    async with kiosk.running():
        await kiosk.send(order(deed))
        await deed.begun.wait()
    assert deed.stopped == 1
    await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(12))
async def test_who_comes_late_does_not_begin_first(make_kiosk, turns):
    """While others of its group wait, a command is not recorded as running: it may expire."""
    release = asyncio.Event()

    async def run(_arguments, _invocation):
        await release.wait()
        return {}

    deed = Deed()
    kiosk = make_kiosk(deeds=[deed], actions=[replace(Deed("gate").action, run=run)])
    first, second, late = make_command(action="gate", args={}), order(deed), order(deed)
    async with kiosk.running():
        await kiosk.send(first)
        await kiosk.send(second)
        release.set()
        await kiosk.until(lambda: bool(kiosk.terminal(first)))
        for _ in range(turns):
            await asyncio.sleep(0)
        await kiosk.send(late)
        await kiosk.ended(second, late)
    steps = [(one.command_id, one.status) for one in kiosk.receipts]
    assert steps.index((second.id, "succeeded")) < steps.index((late.id, "running"))


async def test_what_comes_while_the_runner_ends_waits_for_the_next(make_kiosk):
    """A job that takes its time to stop lets no other begin, and refuses nothing."""
    release, begun, after = asyncio.Event(), asyncio.Event(), Deed("after")

    async def stubborn(_arguments, _invocation):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()

    slow = replace(Deed("slow", group="slow").action, run=stubborn)
    kiosk = make_kiosk(deeds=[after], actions=[slow])
    command = order(after)
    running = asyncio.create_task(kiosk.executor.run())
    await kiosk.send(make_command(action="slow", args={}))
    await begun.wait()
    running.cancel()
    await kiosk.clock.settle()
    await kiosk.send(command)
    release.set()
    await asyncio.gather(running, return_exceptions=True)
    assert after.done == 0
    async with kiosk.running():
        await kiosk.ended(command)
    assert (kiosk.terminal(command), after.done) == ({"succeeded"}, 1)


async def test_the_terminal_receipt_stays_the_last(make_kiosk):
    """A receipt that could not be handed on is not told after the end of its command."""
    deed, blocker = Deed(), Deed("blocker")
    blocker.hangs = True
    kiosk = make_kiosk(deeds=[deed, blocker])
    first, command = order(blocker), order(deed)
    stuck, publish = asyncio.Event(), kiosk.publish

    async def sluggish(receipt, stamp):
        if (receipt.command_id, receipt.status) == (command.id, "running") and not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        await publish(receipt, stamp)

    kiosk.publish = sluggish
    kiosk.boot()
    async with kiosk.running():
        await kiosk.send(first)
        await kiosk.send(command)
        await kiosk.send(cancel(first))
        await stuck.wait()
        stop = cancel(command)
        await kiosk.send(stop)
        await kiosk.ended(command, stop)
    await kiosk.ledger.close()
    kiosk.boot()
    another = order(deed)
    async with kiosk.running():
        await kiosk.send(another)
        await kiosk.ended(another)
    assert [one.status for one in kiosk.receipts if one.command_id == command.id] == [
        "accepted",
        "cancelled",
    ]


async def test_keys_that_are_not_valid_yet_cannot_replace_any(make_kiosk):
    """A set that nobody could use before next year would lock everybody out until then."""
    seniors = [make_key(name, role="supervisor") for name in ("wang", "zhou")]
    kiosk = make_kiosk(keys=seniors, with_keys_update=True)
    await kiosk.trust.refresh()
    later = [make_key(name, role="supervisor", nbf=NOW_S + 10**7) for name in ("sun", "wu")]
    keys = [key.public().model_dump(mode="json", exclude_none=True) for key in later]
    args = {"keys": keys, "replaces": kiosk.trust.fingerprint}
    update = make_command(action="keys.update", args=args)
    async with kiosk.running():
        await kiosk.send(update, *seniors)
        await kiosk.ended(update)
    assert kiosk.terminal(update) == {"failed"}
    assert "leaves 0 of the 2 persons" in kiosk.receipts[-1].text


@pytest.mark.parametrize("idempotent", [True, False])
async def test_what_is_done_is_not_done_again_for_its_record(make_kiosk, monkeypatch, idempotent):
    """While the disk is full the end of a command is kept, until it can be recorded."""
    deed = Deed(idempotent=idempotent)
    kiosk = make_kiosk(deeds=[deed])
    command, append = order(deed), kiosk.ledger.append

    async def on_a_full_disk(record, receipt, stamp):
        if receipt.status != "running":
            msg = "database or disk is full"
            raise LedgerError(msg)
        return await append(record, receipt, stamp)

    await kiosk.send(command)
    with monkeypatch.context() as patch:
        patch.setattr(kiosk.ledger, "append", on_a_full_disk)
        for _ in range(3):
            with pytest.raises(ExceptionGroup):
                await kiosk.executor.run()
    async with kiosk.running():
        await kiosk.ended(command)
    assert (kiosk.terminal(command), deed.done) == ({"succeeded"}, 1)
