"""A command's life through the public doors: bytes in, receipts out."""

import asyncio
from dataclasses import replace

import pytest

from commands.errors import ActionError, LedgerError
from commands.runner import MAX_RESULT_BYTES
from contract.command import MAX_DATE_S, sign_command
from contract.receipt import Receipt
from tests.support.clock import START, ManualClock
from tests.support.commanded import Deed, pin
from tests.support.operators import NOW_S, make_command, make_key


async def test_ping_is_accepted_run_and_answered(make_kiosk, li):
    """A signed ping leads to accepted, running and succeeded, with its result and its signer."""
    kiosk = make_kiosk()
    command = make_command(args={"echo": "在吗"})
    async with kiosk.running():
        await kiosk.send(command)
        assert kiosk.receipts[0].status == "accepted"
        await kiosk.ended(command)
    assert kiosk.statuses == ["accepted", "running", "succeeded"]
    last = kiosk.receipts[-1]
    assert (last.command_id, last.action, last.signers) == (command.id, "ping", ("li",))
    assert last.result == {
        "agent_version": "1.2.3",
        "monotonic_ms": 0,
        "wait_ms": 0,
        "echo": "在吗",
    }


async def test_ping_tells_how_long_it_waited(make_kiosk):
    """The time between receipt and run is in the result."""
    kiosk = make_kiosk()
    command = make_command(args={})
    await kiosk.send(command)
    await kiosk.clock.advance(2.5)
    async with kiosk.running():
        await kiosk.ended(command)
    assert kiosk.receipts[-1].result == {
        "agent_version": "1.2.3",
        "monotonic_ms": 2500,
        "wait_ms": 2500,
    }


async def test_a_repeated_command_is_done_once_and_answered_again(make_kiosk):
    """Repeats and redeliveries get the last receipt again, with its first time; nothing reruns."""
    deed = Deed()
    kiosk = make_kiosk(deeds=[deed])
    command = make_command(action="deed", args={})
    await kiosk.send(command)
    await kiosk.send(command)
    assert kiosk.statuses == ["accepted", "accepted"]
    async with kiosk.running():
        await kiosk.ended(command)
        await kiosk.clock.advance(5)
        await kiosk.send(command)
        await kiosk.send(command, retained=True)
    assert kiosk.statuses[2:] == ["running", "succeeded", "succeeded", "succeeded"]
    assert {stamp.time for stamp in kiosk.stamps} == {START}
    assert deed.done == 1


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"action": "fly"}, "unknown_action", "this kiosk knows cancel, deed, ping"),
        ({"args": {"echo": 1}}, "bad_arguments", "echo: Input should be a valid string"),
        ({"args": {"echo": "x" * 257}}, "bad_arguments", "echo"),
        ({"args": {"eco": "x"}}, "bad_arguments", "eco: Extra inputs"),
        ({"nbf": NOW_S + 31, "exp": NOW_S + 60}, "not_yet_valid", "2026-11-01T08:00:31"),
    ],
)
async def test_a_trusted_command_that_may_not_be_done_is_rejected(make_kiosk, fields, code, said):
    """Each reason has its code and names what is wrong; the refusal ends the command for good."""
    kiosk = make_kiosk(deeds=[Deed()])
    command = make_command(**fields)
    await kiosk.send(command)
    await kiosk.send(command)
    for receipt in kiosk.receipts:
        assert (receipt.command_id, receipt.status, receipt.code) == (command.id, "rejected", code)
        assert said in receipt.text
    assert len(kiosk.receipts) == 2


async def test_an_expired_command_is_expired(make_kiosk):
    """After exp, and the leeway, a command is too late while the clock is synced."""
    kiosk = make_kiosk()
    await kiosk.ledger.knows_since()
    await kiosk.clock.advance(629)
    await kiosk.send(make_command())
    await kiosk.clock.advance(1)
    await kiosk.send(make_command())
    assert kiosk.statuses == ["accepted", "expired"]
    assert "it expired at 2026-11-01T08:10:00" in kiosk.receipts[1].text


async def test_without_a_clock_dates_do_not_count(make_kiosk):
    """An unsynced clock neither expires a command nor holds it back, nor a key."""
    key = make_key("old", exp=1)
    kiosk = make_kiosk(keys=[key], clock=ManualClock("unsynced"))
    await kiosk.send(make_command(nbf=NOW_S + 1000, exp=NOW_S + 2000), key)
    await kiosk.send(make_command(nbf=1, exp=2))
    assert kiosk.statuses == ["accepted", "accepted"]


async def test_without_a_clock_nothing_disruptive_is_done(make_kiosk):
    """A disruptive command on an unsynced clock is rejected with the code clock."""
    deed = Deed(disruptive=True)
    kiosk = make_kiosk(deeds=[deed], clock=ManualClock("unsynced"))
    await kiosk.send(make_command(action="deed", args={}))
    assert [receipt.code for receipt in kiosk.receipts] == ["clock"]


async def test_the_role_decides(make_kiosk):
    """A key whose role the action does not list is rejected, unless another signer has it."""
    viewer = make_key("viewer", role="viewer")
    kiosk = make_kiosk(keys=[viewer], deeds=[Deed()])
    alone, together = (make_command(action="deed", args={}) for _ in range(2))
    await kiosk.send(alone, viewer)
    await kiosk.send(together, viewer, kiosk.keys[0])
    assert [receipt.code for receipt in kiosk.receipts] == ["not_authorised", None]
    assert kiosk.receipts[1].signers == ("viewer", "li")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("malformed", "payload"),
        ("too_large", "70000 bytes"),
        ("unknown_key", "signed by stranger"),
        ("bad_signature", "not made by key li"),
        ("key_not_valid", "key old"),
        ("wrong_kiosk", "this is k-1; the command is for k-2"),
        ("retained", "without the retain flag"),
    ],
)
async def test_what_nobody_may_send_is_turned_away_unrecorded(make_kiosk, code, said):
    """The answer names the id only as a claim, and the genuine command is done afterwards."""
    old = make_key("old", exp=NOW_S)
    kiosk = make_kiosk(keys=[old])
    command = make_command()
    match code:
        case "malformed":
            await kiosk.executor.receive(b'{"signatures": 1}', retained=False)
        case "too_large":
            await kiosk.executor.receive(b"x" * 70_000, retained=False)
        case "unknown_key":
            await kiosk.send(command, make_key("stranger"))
        case "bad_signature":
            await kiosk.send(command, make_key("li"))
        case "key_not_valid":
            await kiosk.send(command, old)
        case "wrong_kiosk":
            await kiosk.send(command.model_copy(update={"kiosk": "k-2"}))
        case "retained":
            await kiosk.send(command, retained=True)
    [receipt] = kiosk.receipts
    assert (receipt.status, receipt.code, receipt.command_id) == ("rejected", code, None)
    assert said in receipt.text
    claimed = None if code in {"malformed", "too_large"} else command.id
    assert receipt.claimed_id == claimed
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.ended(command)
    assert kiosk.terminal(command) == {"succeeded"}


async def test_noise_is_answered_only_so_often(make_kiosk):
    """Beyond ten a minute, messages that nobody trusted signed are counted, not answered."""
    kiosk = make_kiosk()
    for _ in range(50):
        await kiosk.executor.receive(b"noise", retained=False)
    assert (len(kiosk.receipts), kiosk.executor.unanswered) == (10, 40)
    await kiosk.clock.advance(6)
    await kiosk.executor.receive(b"noise", retained=False)
    assert (len(kiosk.receipts), kiosk.executor.unanswered) == (11, 40)


async def test_a_hostile_field_name_does_not_bloat_the_answer(make_kiosk):
    """The text of a refusal stays within its limit whatever the message contained."""
    kiosk = make_kiosk()
    await kiosk.executor.receive(b'{"%s": 1}' % (b"x" * 50_000), retained=False)
    assert len(kiosk.receipts[0].text) == 1024


async def test_replays_are_answered_only_so_often(make_kiosk):
    """A broker that replays a genuine command cannot fill the outbox with its receipts."""
    kiosk = make_kiosk(repeats_per_minute=5)
    command = make_command()
    for _ in range(20):
        await kiosk.send(command)
    assert (len(kiosk.receipts), kiosk.executor.unanswered) == (6, 14)


async def test_only_so_many_wait(make_kiosk):
    """Beyond the bound a command is rejected with rate_limited; those that wait are done."""
    kiosk = make_kiosk(max_waiting=2)
    commands = [make_command() for _ in range(3)]
    for command in commands:
        await kiosk.send(command)
    assert kiosk.statuses == ["accepted", "accepted", "rejected"]
    assert kiosk.receipts[-1].code == "rate_limited"
    async with kiosk.running():
        await kiosk.ended(*commands)
    assert [kiosk.terminal(command) for command in commands] == [
        {"succeeded"},
        {"succeeded"},
        {"rejected"},
    ]


async def test_what_waited_too_long_is_expired(make_kiosk):
    """ttl_s counts from receipt on the monotonic clock, however wrong the wall clock is."""
    kiosk = make_kiosk(clock=ManualClock("unsynced"))
    in_time, late = make_command(ttl_s=61), make_command(ttl_s=60)
    await kiosk.send(late)
    await kiosk.send(in_time)
    await kiosk.clock.advance(60.5)
    async with kiosk.running():
        await kiosk.ended(in_time, late)
    assert (kiosk.terminal(in_time), kiosk.terminal(late)) == ({"succeeded"}, {"expired"})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ActionError("the printer is out of paper"), "the printer is out of paper"),
        (KeyError("slip"), "KeyError: 'slip'"),
    ],
)
async def test_an_action_that_fails_says_why(make_kiosk, error, said):
    """Failures become a receipt in words, bugs too, and the next command is done."""
    deed = Deed()
    deed.error = error
    kiosk = make_kiosk(deeds=[deed])
    failing, following = make_command(action="deed", args={}), make_command()
    async with kiosk.running():
        await kiosk.send(failing)
        await kiosk.send(following)
        await kiosk.ended(failing, following)
    [failed] = [receipt for receipt in kiosk.receipts if receipt.status == "failed"]
    assert (failed.command_id, failed.code, failed.text) == (failing.id, "action_failed", said)


async def test_a_result_too_large_for_a_receipt_is_a_failure(make_kiosk):
    """The receipt always fits the wire."""
    deed = Deed()
    deed.result = {"log": "x" * MAX_RESULT_BYTES}
    kiosk = make_kiosk(deeds=[deed])
    command = make_command(action="deed", args={})
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.ended(command)
    assert kiosk.receipts[-1].code == "action_failed"


async def test_what_was_accepted_is_done_after_a_restart(make_kiosk):
    """A restart of the agent forgets no promise, and makes the promise once."""
    deed = Deed()
    kiosk = make_kiosk(deeds=[deed])
    command = make_command(action="deed", args={})
    await kiosk.send(command)
    await kiosk.ledger.close()
    kiosk.boot()
    async with kiosk.running():
        await kiosk.ended(command)
    assert kiosk.statuses == ["accepted", "running", "succeeded"]
    assert deed.done == 1


@pytest.mark.parametrize("idempotent", [True, False])
async def test_what_was_interrupted_is_repeated_only_where_that_is_harmless(make_kiosk, idempotent):
    """Killed while it ran: run again if idempotent, else failed with the code interrupted."""
    deed = Deed(idempotent=idempotent)
    deed.hangs = True
    kiosk = make_kiosk(deeds=[deed])
    command = make_command(action="deed", args={})
    async with kiosk.running():
        await kiosk.send(command)
        await deed.begun.wait()
    deed.hangs = False
    await kiosk.ledger.close()
    kiosk.boot()
    async with kiosk.running():
        await kiosk.ended(command)
    ran, end, code = (2, "succeeded", None) if idempotent else (1, "failed", "interrupted")
    assert (deed.done, kiosk.terminal(command)) == (ran, {end})
    assert kiosk.receipts[-1].code == code


@pytest.mark.parametrize("begun", [True, False])
async def test_a_reboot_ends_what_was_open(make_kiosk, begun):
    """After a reboot nobody knows how old a command is: it is not begun and not repeated."""
    deed = Deed(idempotent=True)
    deed.hangs = True
    kiosk = make_kiosk(deeds=[deed])
    command = make_command(action="deed", args={})
    await kiosk.send(command)
    if begun:
        async with kiosk.running():
            await deed.begun.wait()
    await kiosk.ledger.close()
    kiosk.clock.boot_id = "boot-2"
    kiosk.boot()
    async with kiosk.running():
        await kiosk.ended(command)
    assert kiosk.terminal(command) == ({"failed"} if begun else {"expired"})


async def test_a_receipt_that_was_not_handed_on_is_handed_on_later(make_kiosk):
    """Recorded, then the outbox failed: the receipt comes at the next start, with its own time."""
    kiosk = make_kiosk()
    command = make_command()
    kiosk.publishing = False
    with pytest.raises(OSError, match="no outbox"):
        await kiosk.send(command)
    await kiosk.ledger.close()
    await kiosk.clock.advance(60)
    kiosk.publishing = True
    kiosk.boot()
    async with kiosk.running():
        await kiosk.ended(command)
    assert kiosk.statuses == ["accepted", "running", "succeeded"]
    assert kiosk.stamps[0].time == START


async def test_the_runner_may_be_started_again(make_kiosk):
    """A supervisor that restarts the runner loses and doubles nothing."""
    deed = Deed(idempotent=True)
    kiosk = make_kiosk(deeds=[deed])
    commands = [make_command(action="deed", args={}) for _ in range(6)]
    for command in commands:
        await kiosk.send(command)
        async with kiosk.running():
            await asyncio.sleep(0)
    async with kiosk.running():
        await kiosk.ended(*commands)
    assert all(kiosk.terminal(command) == {"succeeded"} for command in commands)


async def test_without_a_ledger_only_harmless_things_are_done(make_kiosk):
    """A ledger that cannot be written: a ping is answered, the rest refused until it can be."""
    deed = Deed()
    kiosk = make_kiosk(deeds=[deed])
    kiosk.ledger_path.mkdir()
    command, ping = make_command(action="deed", args={}), make_command()
    await kiosk.send(command)
    [receipt] = kiosk.receipts
    assert (receipt.code, receipt.command_id, receipt.claimed_id) == ("storage", None, command.id)
    assert "ledger.db" in receipt.text
    await kiosk.send(ping)
    await kiosk.send(ping)
    await kiosk.ended(ping)
    assert kiosk.statuses[1:] == ["accepted", "running", "succeeded", "succeeded"]
    assert deed.done == 0
    kiosk.ledger_path.rmdir()
    async with kiosk.running():
        await kiosk.send(command)
        await kiosk.ended(command)
    assert deed.done == 1


async def test_what_is_done_without_a_ledger_outlives_its_failures(make_kiosk):
    """The runner ends and begins anew; what the ledger does not know of goes on, and ends."""
    release = asyncio.Event()

    async def run(_arguments, _invocation):
        await release.wait()
        return {}

    kiosk = make_kiosk(actions=[replace(Deed("slow", idempotent=True).action, run=run)])
    kiosk.ledger_path.mkdir()
    command = make_command(action="slow", args={})
    await kiosk.send(command)
    with pytest.raises((LedgerError, ExceptionGroup)):
        await kiosk.executor.run()
    await kiosk.clock.settle()
    release.set()
    await kiosk.ended(command)
    assert kiosk.statuses == ["accepted", "running", "succeeded"]


async def test_many_at_once_are_each_done_once(make_kiosk):
    """Concurrent deliveries of the same commands do not race each other."""
    deed = Deed()
    kiosk = make_kiosk(deeds=[deed])
    commands = [make_command(action="deed", args={}) for _ in range(5)]
    payloads = [sign_command(command, kiosk.keys[:1]) for command in commands]
    async with kiosk.running(), asyncio.TaskGroup() as group:
        for payload in payloads * 3:
            group.create_task(kiosk.executor.receive(payload, retained=False))
        await kiosk.ended(*commands)
    assert deed.done == 5


async def test_a_revoked_key_is_refused_at_once(make_kiosk, li):
    """Taking a key out of the operators' file takes its rights without a restart."""
    wang = make_key("wang")
    kiosk = make_kiosk(keys=[wang])
    await kiosk.send(make_command(), wang)
    pin(kiosk.operators, [li])
    await kiosk.clock.advance(0.2)
    await kiosk.send(make_command(), wang)
    assert [receipt.code for receipt in kiosk.receipts] == [None, "unknown_key"]


async def test_without_operators_the_answer_says_so(make_kiosk):
    """A kiosk whose operators' file is broken refuses every command and names the file."""
    kiosk = make_kiosk()
    kiosk.operators.write_text("{", encoding="utf-8")
    await kiosk.send(make_command())
    [receipt] = kiosk.receipts
    assert isinstance(receipt, Receipt)
    assert receipt.code == "unknown_key"
    assert "operators.json" in receipt.text


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_line_that_breaks_while_a_command_comes_in_loses_nothing(make_kiosk, turns):
    """Who hands a command on may be cancelled at any moment: what was recorded is carried out."""
    deed = Deed()
    kiosk = make_kiosk(deeds=[deed])
    command = make_command(action="deed", args={})
    async with kiosk.running():
        await kiosk.clock.settle()
        handing = asyncio.create_task(kiosk.send(command))
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        handing.cancel()
        await asyncio.gather(handing, return_exceptions=True)
        await kiosk.send(command)
        await kiosk.ended(command)
    assert (kiosk.terminal(command), deed.done) == ({"succeeded"}, 1)


@pytest.mark.parametrize("quality", ["synced", "unsynced"])
async def test_no_command_makes_the_kiosk_deaf(make_kiosk, quality):
    """The longest texts and latest dates that can be signed are answered; nothing is raised."""
    kiosk = make_kiosk(clock=ManualClock(quality))
    odd = "\x01" * 1024
    await kiosk.send(make_command(reason=odd, ticket=odd, args={odd: 1}))
    await kiosk.send(make_command(nbf=MAX_DATE_S - 9, exp=MAX_DATE_S))
    later = make_command().model_copy(update={"nbf": 2**64, "exp": 2**64 + 9})
    await kiosk.send(later)
    assert kiosk.receipts[0].code == "bad_arguments"
    assert (kiosk.receipts[-1].claimed_id, kiosk.receipts[-1].code) == (later.id, "malformed")


async def test_an_id_belongs_to_one_command(make_kiosk):
    """A command under another's id is not done, and is not answered with the other's receipts."""
    deed, viewer = Deed(), make_key("viewer", role="viewer")
    kiosk = make_kiosk(deeds=[deed], keys=[viewer])
    ping = make_command()
    async with kiosk.running():
        await kiosk.send(ping, viewer)
        await kiosk.send(make_command(action="deed", args={}, id=ping.id))
    last = kiosk.receipts[-1]
    assert (last.command_id, last.claimed_id, last.code) == (None, ping.id, "malformed")
    assert "another command came with this id" in last.text
    assert deed.done == 0


@pytest.mark.parametrize(
    ("quality", "retained", "code"),
    [("synced", True, "retained"), ("unsynced", False, "storage"), ("synced", False, None)],
)
async def test_without_a_ledger_nothing_is_replayed(make_kiosk, quality, retained, code):
    """With neither a memory nor dates, or retained, even what may be done twice is not done."""
    deed = Deed(idempotent=True)
    kiosk = make_kiosk(deeds=[deed], clock=ManualClock(quality))
    kiosk.ledger_path.mkdir()
    command = make_command(action="deed", args={})
    await kiosk.send(command, retained=retained)
    if code is None:
        await kiosk.ended(command)
    assert (kiosk.receipts[-1].code, deed.done) == (code, 0 if code else 1)


async def test_what_was_done_unrecorded_is_not_done_again(make_kiosk):
    """A repeat gets the same end, also when the ledger can be written again."""
    deed = Deed(idempotent=True)
    kiosk = make_kiosk(deeds=[deed])
    kiosk.ledger_path.mkdir()
    command = make_command(action="deed", args={})
    await kiosk.send(command)
    await kiosk.ended(command)
    kiosk.ledger_path.rmdir()
    async with kiosk.running():
        await kiosk.send(command)
    assert kiosk.statuses == ["accepted", "running", "succeeded", "succeeded"]
    assert deed.done == 1
