"""``kioskctl send`` against a real broker and a genuine command path."""

from datetime import timedelta

import pytest

from console.send import Conversation, Outcome
from contract import seal
from contract.ids import uuid7
from contract.keys import KeySet, PrivateKey
from contract.receipt import Receipt
from contract.wire import parse
from tests.support.operators import NOW_S
from tests.support.real_clock import RealClock

_LONG = f'settings:={{"a": "{"x" * 60_000}"}}'


async def test_a_ping_goes_out_and_its_answer_comes_back(kioskctl, kiosk, key_file):
    """Accepted, running and succeeded are shown as they come; the exit code is 0."""
    async with kiosk.online():
        done = await kioskctl(
            "send", "k-1", "ping", "--key", key_file, "--arg", "echo=在吗", "--json"
        )
    assert (done.code, done.errors) == (0, "")
    receipts = [line["data"] for line in done.lines]
    assert [receipt["status"] for receipt in receipts] == ["accepted", "running", "succeeded"]
    assert receipts[-1]["result"]["echo"] == "在吗"
    assert receipts[-1]["signers"] == ["li"]


async def test_a_person_reads_lines(kioskctl, kiosk, key_file):
    """Without --json each receipt is one readable line, in the operator's language."""
    async with kiosk.online():
        done = await kioskctl("--lang", "zh", "send", "k-1", "ping", "--key", key_file)
    assert done.code == 0
    assert "ping 成功" in done.out.splitlines()[-1]


async def test_it_repeats_until_it_is_heard(kioskctl, kiosk, key_file):
    """A command that got lost twice is sent a third time with the same id, and done once."""
    kiosk.deaf = 2
    async with kiosk.online():
        done = await kioskctl("send", "k-1", "ping", "--key", key_file, "--json")
    assert done.code == 0
    assert kiosk.heard == 3
    assert kiosk.statuses == ["accepted", "running", "succeeded"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["door.unlock"], "k-1 rejected the command: no action 'door.unlock'"),
    ],
)
async def test_a_rejection_has_its_exit_code_and_reason(kioskctl, kiosk, key_file, arguments, said):
    """Rejected is 3, with the kiosk's sentence."""
    async with kiosk.online():
        done = await kioskctl("send", "k-1", *arguments, "--key", key_file)
    assert done.code == 3
    assert said in done.errors


async def test_a_key_that_the_kiosk_does_not_know_is_answered(kioskctl, kiosk):
    """Who signs with a strange key is told so instead of waiting."""
    made = await kioskctl("key", "new", "陌生人", "--role", "operator", "--out", "strange.key")
    assert made.code == 0
    async with kiosk.online():
        done = await kioskctl("send", "k-1", "ping", "--key", "strange.key")
    assert done.code == 3
    assert "no key that is known here" in done.errors


async def test_an_expired_command_has_its_exit_code(kioskctl, kiosk, key_file):
    """Expired is 4, with both times."""
    async with kiosk.online():
        pass  # its record of commands begins now
    kiosk.clock = RealClock(ahead=timedelta(hours=1))
    kiosk.boot()
    async with kiosk.online():
        done = await kioskctl("send", "k-1", "ping", "--key", key_file)
    assert done.code == 4
    assert "expired before k-1 began it: it expired at" in done.errors


async def test_no_answer_has_its_exit_code(kioskctl, key_file):
    """No kiosk: 5, and the operator learns until when it may still be done."""
    done = await kioskctl("send", "nobody", "ping", "--key", key_file, "--timeout", "1.5")
    assert done.code == 5
    assert "no answer from nobody within 1.5 s; should it come on line" in done.errors


async def test_no_broker_has_its_exit_code(kioskctl, key_file):
    """No broker: 6, and the operator learns that nothing was sent."""
    done = await kioskctl(
        "--broker", "mqtt://127.0.0.1:1", "send", "k-1", "ping", "--key", key_file, "--timeout", "1"
    )
    assert done.code == 6
    assert "Connection refused" in done.errors
    assert "nothing was sent" in done.errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send", "K 1", "ping"], "kiosk"),
        (["send", "k-1", "ping", "--arg", "echo"], "expected name=text"),
        (["send", "k-1", "ping", "--arg", "echo:={"], "not JSON"),
        (["send", "k-1", "ping", "--arg", "echo:=5"], "echo: Input should be a valid string"),
        (["send", "k-1", "ping", "--arg", "eco=x"], "ping takes echo (text)"),
        (
            ["send", "k-1", "reboot", "--arg", "grace_s=soon"],
            "force (true|false), grace_s (number)",
        ),
        (["send", "k-1", "fly"], "no action 'fly'; there are agent.restart, announce"),
        (["send", "k-1", "ping", "--reason", "x" * 2000], "reason: String should have at most"),
        (
            ["send", "k-1", "config.push", "--arg", "version=1", "--arg", _LONG],
            "exceeds the limit",
        ),
        (["send", "ping"], "which kiosk?"),
        (["send", "--all", "--kiosk", "k-1", "ping"], "k-1 and --all: which of them?"),
        (["send", "k-1", "ping", "now"], "expected: [ID] ACTION"),
        (["--broker", "http://x", "send", "k-1", "ping"], "mqtts://host:8883"),
        (["--broker", "mqtt://u:p@x", "send", "k-1", "ping"], "process list"),
        (["--config", "none.toml", "send", "k-1", "ping"], "no settings file"),
        (["--password-file", "none", "send", "k-1", "ping"], "password file none"),
    ],
)
async def test_a_mistake_is_told_in_a_sentence(kioskctl, key_file, arguments, said):
    """Wrong usage is 2 and never a traceback."""
    done = await kioskctl(*arguments, "--key", key_file)
    assert done.code == 2
    assert done.errors.startswith("kioskctl: ")
    assert said in done.errors
    assert "Traceback" not in done.errors


async def test_keys_are_made_and_pinned(kioskctl, tmp_path):
    """The private half is private and not overwritten; the public half enters the file whole."""
    made = await kioskctl("key", "new", "Li Wei", "--role", "supervisor", "--out", "li.jwk")
    assert made.code == 0
    private = tmp_path / "li.jwk"
    assert private.stat().st_mode & 0o777 == 0o600
    key = parse(PrivateKey, private.read_bytes(), limit=4096)
    assert key.kid.startswith("li-wei-")
    assert key.d not in made.out + made.errors
    (tmp_path / "li.pub").write_text(made.out, encoding="utf-8")

    again = await kioskctl("key", "new", "Li Wei", "--role", "viewer", "--out", "li.jwk")
    assert (again.code, "not overwritten" in again.errors) == (2, True)
    assert parse(PrivateKey, private.read_bytes(), limit=4096) == key

    for _ in range(2):
        pinned = await kioskctl("key", "trust", "li.pub", "--into", "operators.json")
        assert pinned.code == 0
    operators = tmp_path / "operators.json"
    assert parse(KeySet, operators.read_bytes(), limit=4096).keys == (key.public(),)
    before = operators.read_bytes()
    refused = await kioskctl("key", "trust", "li.jwk", "--into", "operators.json")
    assert (refused.code, "d: Extra inputs" in refused.errors) == (2, True)
    assert operators.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "li.jwk",
        "li.pub",
        "operators.json",
    ]


def receipt(command_id: str | None, status: str, *, kiosk: str = "k-1", **fields) -> bytes:
    data = Receipt(command_id=command_id, status=status, **fields)
    return seal(data, kiosk=kiosk, stamp=RealClock().stamp(), sequence=1).payload


async def test_only_its_own_receipts_count():
    """Receipts of other commands and kiosks, and noise, do not end the wait."""
    mine, other = uuid7(NOW_S), uuid7(NOW_S)
    conversation = Conversation("k-1", mine, "ping")
    for payload in (
        b"noise",
        receipt(mine, "succeeded", action="door.unlock"),
        receipt(other, "failed"),
        receipt(None, "rejected", code="malformed"),
        receipt(mine, "succeeded", kiosk="k-2"),
    ):
        assert conversation.hear(payload) == (None, None)
    assert not conversation.accepted.is_set()


async def test_a_claim_does_not_end_an_accepted_command():
    """Once accepted, a refusal of some forgery with the same id is not the command's end."""
    mine = uuid7(NOW_S)
    conversation = Conversation("k-1", mine)
    forged = receipt(None, "rejected", code="bad_signature", claimed_id=mine)
    assert Conversation("k-1", mine).hear(forged)[1] is Outcome.REJECTED
    conversation.hear(receipt(mine, "accepted"))
    assert conversation.hear(forged) == (None, None)
    news, outcome = conversation.hear(receipt(mine, "succeeded"))
    assert news is not None
    assert outcome is Outcome.SUCCEEDED
