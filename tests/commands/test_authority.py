"""Who may order what, and when: persons, policy, dates, citizens, limits."""

import asyncio
from datetime import timedelta

import pytest

from commands.settings import CommandSettings
from contract.ids import new_challenge
from contract.receipt import Receipt
from tests.support.clock import ManualClock
from tests.support.commanded import CommandedKiosk, Deed
from tests.support.operators import NOW_S, make_command, make_key


class Counter:
    """Somebody is being served, or not."""

    def __init__(self, *, is_serving: bool = True):
        self.is_serving = is_serving
        self._free = asyncio.Event()

    def leave(self) -> None:
        self.is_serving = False
        self._free.set()

    async def wait_until_free(self) -> None:
        await self._free.wait()


def deed_command(**fields):
    return make_command(action="deed", **{"args": {}, **fields})


def answering(refusal: Receipt) -> dict:
    return {"challenge": refusal.challenge, "answers": refusal.command_id}


async def test_two_persons_must_sign_where_the_policy_says_so(make_kiosk):
    """One signature, or two of one person, are not enough; two persons are."""
    deed = Deed(signers=1)
    kiosk = make_kiosk(
        keys=[make_key("wang"), make_key("li-2", name=" LI "), make_key("zhao", role="viewer")],
        deeds=[deed],
        rows_of={"deed": {"signers": 2}},
    )
    li, wang, li_again, viewer = kiosk.keys
    async with kiosk.running():
        for keys in ((li,), (li, li_again), (li, viewer)):
            command = deed_command()
            await kiosk.send(command, *keys)
            assert kiosk.receipts[-1].code == "second_signature"
        assert "2 persons" in kiosk.receipts[-1].text
        assert "one person with several keys counts once" in kiosk.receipts[1].text
        both = deed_command()
        await kiosk.send(both, li, wang)
        await kiosk.ended(both)
    assert kiosk.terminal(both) == {"succeeded"}
    assert deed.done == 1


async def test_an_action_may_want_a_second_person_for_some_arguments(make_kiosk):
    """What is asked for decides, beside the policy."""
    kiosk = make_kiosk(deeds=[Deed()])
    await kiosk.send(deed_command())
    await kiosk.send(deed_command(args={"alone": False}))
    assert [receipt.code for receipt in kiosk.receipts] == [None, "second_signature"]


async def test_a_clock_that_is_wrong_gives_a_challenge(make_kiosk):
    """On an unsynced clock the refusal holds a challenge; signed back, the order is done, once."""
    deed = Deed(disruptive=True)
    kiosk = make_kiosk(deeds=[deed], clock=ManualClock("unsynced"))
    await kiosk.send(deed_command())
    [refusal] = kiosk.receipts
    assert (refusal.code, refusal.status) == ("clock", "rejected")
    answer = deed_command(**answering(refusal), nbf=1, exp=2)
    async with kiosk.running():
        await kiosk.send(answer)
        await kiosk.ended(answer)
        await kiosk.send(deed_command(**answering(refusal), nbf=1, exp=2))
    assert kiosk.terminal(answer) == {"succeeded"}
    assert kiosk.receipts[-1].code == "clock"
    assert deed.done == 1


def lose_memory(kiosk: CommandedKiosk) -> None:
    """The ledger's file is damaged while the agent is off."""
    for file in kiosk.folder.glob("ledger.db*"):
        file.unlink()
    kiosk.ledger_path.write_bytes(b"no ledger" * 1000)


@pytest.mark.parametrize("begun_by", ["the replay", "an earlier life", "a life that was cut off"])
async def test_a_damaged_ledger_and_a_wrong_clock_make_no_way_for_replays(make_kiosk, begun_by):
    """What was done sixty days ago is not done again by a kiosk that remembers nothing and
    cannot tell the date; who has a key still reaches it, by a challenge.
    """
    deed = Deed(idempotent=True)
    kiosk = make_kiosk(deeds=[deed])
    old = deed_command()
    async with kiosk.running():
        await kiosk.send(old)
        await kiosk.ended(old)
    await kiosk.ledger.close()
    lose_memory(kiosk)
    kiosk.clock = ManualClock("unsynced", boot_id="boot-2")
    kiosk.clock.wall_offset = timedelta(days=60)
    kiosk.boot()
    if begun_by != "the replay":
        await kiosk.ledger.knows_since()
        await kiosk.ledger.close()
        if begun_by == "a life that was cut off":
            kiosk.ledger_path.unlink()  # set aside, and the power failed before there was a new one
        kiosk.boot()
    kiosk.receipts.clear()
    async with kiosk.running():
        await kiosk.send(old)
        [refusal] = kiosk.receipts
        assert (refusal.status, refusal.code, deed.done) == ("rejected", "clock", 1)
        answer = deed_command(**answering(refusal))
        await kiosk.send(answer)
        await kiosk.ended(answer)
        again = deed_command(**answering(refusal))
        await kiosk.send(again)
        assert (kiosk.terminal(answer), kiosk.terminal(again)) == ({"succeeded"}, {"rejected"})
        ping = make_command()
        await kiosk.send(ping)
        await kiosk.ended(ping)
    assert kiosk.terminal(ping) == {"succeeded"}, "what has no effect may be done again"
    assert deed.done == 2


async def test_after_a_damaged_ledger_a_clock_that_is_right_is_enough(make_kiosk):
    """As soon as the record knows when it began, dates tell what may be a replay; also later."""
    deed = Deed()
    kiosk = make_kiosk(deeds=[deed], clock=ManualClock("unsynced"))
    lose_memory(kiosk)
    await kiosk.send(deed_command())
    kiosk.clock.quality = "synced"
    await kiosk.send(deed_command())
    fresh = {"nbf": NOW_S + 60, "exp": NOW_S + 600}
    await kiosk.clock.advance(60)
    await kiosk.send(deed_command(**fresh))
    kiosk.clock.quality = "unsynced"
    await kiosk.send(deed_command(**fresh))
    await kiosk.send(deed_command())
    told = [receipt.code or receipt.status for receipt in kiosk.receipts]
    assert told == ["clock", "expired", "accepted", "accepted", "expired"]


async def test_a_new_kiosk_has_nothing_to_remember(make_kiosk):
    """A first record asks for no challenge: nothing was done before it."""
    kiosk = make_kiosk(deeds=[Deed()], clock=ManualClock("unsynced"))
    await kiosk.send(deed_command())
    assert kiosk.statuses == ["accepted"]


async def test_a_challenge_grows_old(make_kiosk):
    """Ten minutes after it was given out a challenge is worth nothing."""
    kiosk = make_kiosk(deeds=[Deed(disruptive=True)], clock=ManualClock("unsynced"))
    await kiosk.send(deed_command())
    await kiosk.clock.advance(601)
    await kiosk.send(deed_command(**answering(kiosk.receipts[0])))
    assert kiosk.receipts[1].code == "clock"


async def test_a_challenge_is_good_for_one_refusal(make_kiosk):
    """A broker that makes up a refusal of what was done cannot have it signed and done again."""
    deed = Deed(disruptive=True)
    clock = ManualClock("unsynced")
    kiosk = make_kiosk(deeds=[deed], clock=clock)
    await kiosk.send(deed_command())
    stolen = kiosk.receipts[0].challenge
    clock.quality = "synced"
    done = deed_command()
    async with kiosk.running():
        await kiosk.send(done)
        await kiosk.ended(done)
        for challenge in (stolen, new_challenge()):
            await kiosk.send(deed_command(challenge=challenge, answers=done.id))
            assert kiosk.receipts[-1].code == "clock"
    assert deed.done == 1


async def test_what_the_machine_lacks_is_said(make_kiosk):
    """An action that cannot be done here is refused with the reason, whatever the clock says."""
    deed = Deed(missing="this kiosk has no door", disruptive=True)
    kiosk = make_kiosk(deeds=[deed], clock=ManualClock("unsynced"))
    await kiosk.send(deed_command())
    assert (kiosk.receipts[0].code, kiosk.receipts[0].text) == (
        "unavailable",
        "this kiosk has no door",
    )
    assert kiosk.executor.capabilities() == ("cancel", "ping")


async def test_a_citizen_who_is_served_comes_first(make_kiosk):
    """With serving=refuse it is turned away as busy; force goes ahead."""
    deed = Deed(serving="refuse")
    kiosk = make_kiosk(deeds=[deed], serving=Counter())
    await kiosk.send(deed_command())
    assert kiosk.receipts[0].code == "busy"
    assert "force" in kiosk.receipts[0].text
    forced = deed_command(args={"force": True})
    async with kiosk.running():
        await kiosk.send(forced)
        await kiosk.ended(forced)
    assert deed.done == 1


async def test_some_orders_wait_for_the_citizen(make_kiosk):
    """With serving=wait it stays accepted until the citizen has left."""
    counter, deed = Counter(), Deed(serving="wait")
    kiosk = make_kiosk(deeds=[deed], serving=counter)
    command = deed_command()
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.clock.advance(100)
        assert kiosk.statuses == ["accepted"]
        counter.leave()
        await kiosk.ended(command)
    assert deed.done == 1


async def test_who_waits_too_long_is_expired(make_kiosk):
    """A citizen who stays longer than ttl_s ends the command."""
    deed = Deed(serving="wait")
    kiosk = make_kiosk(deeds=[deed], serving=Counter())
    command = deed_command(ttl_s=60)
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.clock.advance(59)
        assert kiosk.statuses == ["accepted"]
        await kiosk.clock.advance(2)
        await kiosk.ended(command)
    assert (kiosk.terminal(command), deed.done) == ({"expired"}, 0)


async def test_only_so_many_interruptions_an_hour(make_kiosk):
    """The loop breaker counts over restarts and reboots, and lets go after an hour."""
    deed = Deed(disruptive=True)
    kiosk = make_kiosk(deeds=[deed], disruptive_per_hour=2)

    async def ask() -> str | None:
        command = deed_command(exp=NOW_S + 90_000)
        async with kiosk.running():
            await kiosk.send(command)
            await kiosk.ended(command)
        return kiosk.receipts[-1].code

    assert [await ask(), await ask(), await ask()] == [None, None, "loop_breaker"]
    await kiosk.ledger.close()
    kiosk.clock.boot_id = "boot-2"
    kiosk.boot()
    await kiosk.clock.advance(1800)
    assert await ask() == "loop_breaker"
    await kiosk.clock.advance(1801)
    assert await ask() is None
    assert deed.done == 3


async def test_after_a_reboot_without_a_clock_the_loop_breaker_is_careful(make_kiosk):
    """Nobody can know when earlier boots were: they count until this one has lasted an hour."""
    deed = Deed(disruptive=True)
    clock = ManualClock()
    kiosk = make_kiosk(deeds=[deed], disruptive_per_hour=1, clock=clock)
    await kiosk.send(deed_command())
    clock.boot_id, clock.quality = "boot-2", "unsynced"

    async def ask() -> str | None:
        await kiosk.send(deed_command())
        answer = deed_command(**answering(kiosk.receipts[-1]))
        await kiosk.send(answer)
        return kiosk.receipts[-1].code

    assert await ask() == "loop_breaker"
    await clock.advance(3600)
    assert await ask() is None


async def test_an_action_may_be_limited_by_itself(make_kiosk):
    """More than per_hour of one action are turned away; others are not."""
    kiosk = make_kiosk(deeds=[Deed("deed", per_hour=2), Deed("other")])
    for name in ("deed", "deed", "deed", "other"):
        await kiosk.send(make_command(action=name, args={}))
    assert [receipt.code for receipt in kiosk.receipts] == [None, None, "rate_limited", None]


def test_the_policy_is_a_setting():
    """The kiosk's file may change a row; what it leaves out stays, and a slip is an error."""
    settings = CommandSettings(policy={"reboot": {"signers": 2, "roles": {"maintainer"}}})
    row = settings.effective_policy()["reboot"]
    assert (row.signers, row.roles, row.serving) == (2, frozenset({"maintainer"}), "wait")
    with pytest.raises(ValueError, match="no action rebot"):
        CommandSettings(policy={"rebot": {"signers": 2}})
