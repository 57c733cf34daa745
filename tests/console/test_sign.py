"""``kioskctl sign``, ``cosign`` and ``send --file``: two persons, a file in between."""

import asyncio
import re
import time
from datetime import timedelta

import pytest

from console.keys import write_private
from contract import seal
from contract.command import Command, open_command, read_unverified, sign_command
from contract.keys import KeySet, fingerprint
from contract.receipt import Receipt
from tests.console.conftest import FakeKiosk
from tests.support.commanded import Deed
from tests.support.operators import make_command, make_key
from tests.support.real_clock import RealClock
from tests.support.scripted_kiosk import ScriptedKiosk


@pytest.fixture
def wang(tmp_path):
    key = make_key("wang", name="Wang Fang", role="supervisor")
    write_private(key, tmp_path / "wang.key")
    return key


@pytest.fixture
def operators(tmp_path, li, wang):
    path = tmp_path / "operators.json"
    keys = KeySet(keys=(li.public(), wang.public()))
    path.write_text(keys.model_dump_json(exclude_none=True), encoding="utf-8")
    return path


async def test_two_persons_sign_one_command(*, kioskctl, broker, tmp_path, li, wang, key_file):
    """What the second one adds is a signature; the content is what the first one signed."""
    signed = await kioskctl(
        *("sign", "t-1", "poweroff", "--arg", "force=true", "--arg", "grace_s=30"),
        *("--reason", "night", "--key", key_file, "--out", "order", "--ttl", "2d"),
    )
    assert signed.code == 0
    file = tmp_path / "order"
    first = open_command(file.read_bytes(), {"li": li.verifier()}).command
    assert first.args == {"force": True, "grace_s": 30}
    assert first.exp - first.nbf == first.ttl_s == 2 * 86_400

    added = await kioskctl("cosign", "order", "--key", "wang.key", "--yes")
    assert added.code == 0
    verifiers = {key.kid: key.verifier() for key in (li, wang)}
    both = open_command(file.read_bytes().strip(), verifiers)
    assert (both.signers, both.command) == (("li", "wang"), first)

    async with ScriptedKiosk(broker.port, "t-1", [li, wang]).online() as kiosk:
        done = await kioskctl("send", "--file", "order")
    assert done.code == 0
    assert kiosk.heard[0].signers == ("li", "wang")


async def test_one_sees_what_one_signs(kioskctl, key_file, operators):
    """Kiosk, action, arguments, reason, ticket and who signed so far, checked by the key set."""
    await kioskctl(
        *("sign", "t-1", "snapshot", "--arg", "camera=front", "--arg", "blur=false"),
        *("--reason", "theft", "--ticket", "2026-7", "--key", key_file, "--out", "order"),
    )
    shown = await kioskctl("cosign", "order", "--key", "wang.key", "--yes")
    for part in ("t-1", "snapshot", "camera=front", "blur=false", "theft", "2026-7"):
        assert part in shown.out
    assert "li (not checked here)" in shown.out
    again = await kioskctl("sign", "t-1", "ping", "--key", key_file, "--out", "order-2")
    assert again.code == 0
    arguments = ("cosign", "order-2", "--key", "wang.key", "--yes")
    shown = await kioskctl("--lang", "zh", *arguments, "--operators", "operators.json")
    assert "Li (li, 操作员)" in shown.out


@pytest.mark.parametrize("columns", ["80", "20"])
async def test_nothing_is_cut_off_of_what_one_signs(kioskctl, key_file, wang, columns):
    """However long a text and however narrow the screen, or where there is none."""
    long = "hello " + "x" * 400 + "HIDDEN"
    await kioskctl(
        *("sign", "t-1", "announce", "--arg", f"text={long}", "--arg", "speak=true"),
        *("--reason", "y" * 300 + "SECRET", "--key", key_file, "--out", "order"),
    )
    words = ("cosign", "order", "--key", "wang.key", "--yes")
    for shown in (
        await kioskctl(*words, "--out", "piped", COLUMNS=columns),
        await kioskctl.on_terminal(*words, "--out", "seen", COLUMNS=columns),
    ):
        assert shown.code == 0
        said = "".join(shown.out.split())
        assert f'text="hello{"x" * 400}HIDDEN"speak=true' in _values(shown.out)
        assert f"{'y' * 300}SECRET" in _values(shown.out)
        assert "…" not in said


async def test_nothing_hides_in_what_one_signs(kioskctl, key_file, wang):
    """Controls, turned directions, blanks and marks are escaped; a text ends where it ends."""
    texts = {
        "text": "ok\u202e\x1b[2K\r\n\u200b\u3164" + "e" + "\u0301" * 3,
        "like": 'a" force=false',
        "word": "true",
        "empty": "",
        "path": "a\\nb",
    }
    await asyncio.to_thread(_write_order, kioskctl.folder / "order", texts)
    shown = await kioskctl("cosign", "order", "--key", "wang.key", "--yes", COLUMNS="200")
    assert shown.code == 0, shown.errors
    for part in (
        r'text="ok\u202e\u001b[2K\r\n\u200b\u3164e\u0301\u0301\u0301"',
        r'like="a\" force=false"',
        'word="true"',
        'empty=""',
        r'path="a\\nb"',
        r"calm\x1b[1Adown",
    ):
        assert part in shown.out
    assert all(sign.isprintable() for sign in shown.out.replace("\n", ""))


async def test_new_keys_are_read_one_by_one(kioskctl, key_file, operators, li, wang):
    """Name, role, validity and thumbprint of each, what they replace, and who comes and goes."""
    zhao = make_key("zhao", name="Zhao\u202e Lei", role="maintainer", exp=2_000_000_000)
    new = KeySet(keys=(wang.public(), zhao.public()))
    present = KeySet.model_validate_json(operators.read_bytes())
    (kioskctl.folder / "new.json").write_text(new.model_dump_json(exclude_none=True))
    update = ("keys", "update", "t-1", "--new", "new.json", "--present", "operators.json")
    await kioskctl(*update, "--key", key_file, "--sign-to", "order")
    words = ("cosign", "order", "--key", "wang.key", "--yes", "--out", "both")
    shown = await kioskctl(*words, COLUMNS="160")
    assert shown.code == 0, shown.errors
    rows = [" ".join(line.split()) for line in shown.out.splitlines()]
    for key, who in ((wang, "Wang Fang supervisor always"), (zhao, r"Zhao\u202e Lei maintainer")):
        [row] = [row for row in rows if row.startswith(key.kid)]
        assert who in row
        assert row.endswith(key.verifier().thumbprint())
    assert f"Replaces {fingerprint(present)}" in rows
    assert f"Fingerprint {fingerprint(new)}" in rows
    checked = await kioskctl(*words, "--operators", "operators.json", COLUMNS="20")
    assert fingerprint(present) in _values(checked.out)
    assert "thekeysin--operators" in "".join(checked.out.split())
    assert "- Li (li) as operator" in " ".join(checked.out.split())
    other = KeySet(keys=(li.public(),))
    operators.write_text(other.model_dump_json(exclude_none=True))
    checked = await kioskctl(*words, "--operators", "operators.json", COLUMNS="160")
    assert "keys other than those in --operators" in checked.out


async def test_a_forged_first_signature_is_noticed(kioskctl, tmp_path, operators, wang):
    """With the key set at hand nobody signs below a name that somebody else has written."""
    forged = sign_command(make_command(), [make_key("li")])
    (tmp_path / "order").write_bytes(forged)
    arguments = ("cosign", "order", "--key", "wang.key", "--yes")
    done = await kioskctl(*arguments, "--operators", "operators.json")
    assert done.code == 2
    assert "not made by key li" in done.errors
    assert (tmp_path / "order").read_bytes() == forged


async def test_nobody_signs_unasked_or_twice(kioskctl, tmp_path, key_file):
    """Without a terminal it takes --yes; the same key does not count twice."""
    await kioskctl("sign", "t-1", "ping", "--key", key_file, "--out", "order")
    before = (tmp_path / "order").read_bytes()
    unasked = await kioskctl("cosign", "order", "--key", key_file)
    assert (unasked.code, "--yes" in unasked.errors) == (2, True)
    twice = await kioskctl("cosign", "order", "--key", key_file, "--yes")
    assert (twice.code, "has signed it already" in twice.errors) == (2, True)
    assert (tmp_path / "order").read_bytes() == before


async def test_several_kiosks_make_a_file_with_a_line_each(
    kioskctl, broker, tmp_path, li, key_file
):
    """The file goes to all of them."""
    names = ("--kiosk", "t-2", "--kiosk", "t-3")
    await kioskctl("sign", "ping", *names, "--key", key_file, "--out", "orders")
    lines = (tmp_path / "orders").read_bytes().splitlines()
    assert [read_unverified(line).kiosk for line in lines] == ["t-2", "t-3"]
    async with (
        ScriptedKiosk(broker.port, "t-2", [li]).online(),
        ScriptedKiosk(broker.port, "t-3", [li]).online(),
    ):
        done = await kioskctl("send", "--file", "orders")
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 succeeded")


async def test_an_order_is_answered_once(*, kioskctl, broker, tmp_path, li, wang, key_file):
    """Sent too early, it is lost: the first answer says so, and so does the one after cosigning."""
    folder = tmp_path / "kiosk"
    folder.mkdir()
    deed = Deed("poweroff", signers=2)
    clock = RealClock(ahead=timedelta(minutes=-5))  # the first try was five minutes ago
    kiosk = FakeKiosk(folder, [li, wang], deeds=[deed], clock=clock)
    kiosk.port = broker.port
    await kioskctl("sign", "k-1", "poweroff", "--key", key_file, "--out", "order")
    fresh = FakeKiosk(folder, [li, wang], deeds=[deed], clock=RealClock())
    fresh.port = broker.port
    async with kiosk.online():
        alone = await kioskctl("send", "--file", "order")
    assert alone.code == 3
    await kioskctl("cosign", "order", "--key", "wang.key", "--yes")
    async with fresh.online():
        both = await kioskctl("send", "--file", "order")
    assert (both.code, deed.done) == (3, 0)
    assert "signed by Li alone" in both.errors
    assert re.search(r"it answered this order already at \d{4}-.*: sign a new one", both.errors)


async def test_the_first_refusal_tells_what_to_do(*, kioskctl, broker, tmp_path, li, key_file):
    """Who sees that a signature is missing would else have the same order cosigned."""
    folder = tmp_path / "kiosk"
    folder.mkdir()
    kiosk = FakeKiosk(folder, [li], deeds=[Deed("poweroff", signers=2)], clock=RealClock())
    kiosk.port = broker.port
    async with kiosk.online():
        done = await kioskctl("send", "k-1", "poweroff", "--key", key_file)
    assert done.code == 3
    assert "its answer stays, whoever signs this order later: sign a new one" in done.errors
    assert "already" not in done.errors


async def test_what_was_done_before_is_not_done_again(kioskctl, broker, li, key_file):
    """Who sends a file a second time learns that nothing happened now."""

    async def earlier(kiosk: ScriptedKiosk, command: Command) -> None:
        data = Receipt(command_id=command.id, action=command.action, status="succeeded")
        stamp = RealClock(ahead=timedelta(minutes=-5)).stamp()
        sealed = seal(data, kiosk="t-4", stamp=stamp, sequence=1)
        await kiosk.client.publish(kiosk.topics.up(data.SUFFIX), sealed.payload, qos=1)

    await kioskctl("sign", "t-4", "ping", "--key", key_file, "--out", "order")
    async with ScriptedKiosk(broker.port, "t-4", [li], earlier).online():
        done = await kioskctl("send", "--file", "order")
    assert done.code == 0
    assert "t-4 did not do it again; it answered this order already at" in done.errors


async def test_dates_are_looked_at_before_sending(kioskctl, tmp_path, li, key_file):
    """Too late is 4, too early is a sentence; neither is sent."""
    now = int(time.time())
    late = make_command(nbf=now - 700, exp=now - 100)
    (tmp_path / "late").write_bytes(sign_command(late, [li]))
    done = await kioskctl("send", "--file", "late")
    assert (done.code, "expired at" in done.errors) == (4, True)
    await kioskctl(
        *("sign", "t-1", "ping", "--key", key_file, "--out", "early", "--valid-from", "+2h")
    )
    done = await kioskctl("send", "--file", "early")
    assert (done.code, "is not valid before" in done.errors) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sign", "t-1", "ping", "--out", "new"], "whose signature? --key FILE"),
        (["sign", "t-1", "ping", "--ttl", "8d", "--out", "new", "--key", "li.key"], "604800"),
        (["sign", "t-1", "ping", "--out", "taken", "--key", "li.key"], "not overwritten"),
        (["send", "--file", "taken"], "taken, line 1: no signed command"),
        (["send", "--file", "missing"], "missing: No such file"),
        (["send", "t-1", "ping", "--file", "taken"], "signed already"),
        (["cosign", "empty", "--key", "li.key"], "empty is empty; kioskctl sign"),
    ],
)
async def test_a_mistake_is_told_in_a_sentence(kioskctl, tmp_path, key_file, arguments, said):
    """Wrong usage is 2 and never a traceback."""
    (tmp_path / "taken").write_text("hello\n", encoding="utf-8")
    (tmp_path / "empty").touch()
    done = await kioskctl(*arguments)
    assert done.code == 2
    assert done.errors.startswith("kioskctl: ")
    assert said in done.errors
    assert "Traceback" not in done.errors


def _write_order(path, args):
    """What no model of ours would let through, another program can sign all the same."""
    command = make_command(args=args, reason="calm\x1b[1Adown")
    path.write_bytes(sign_command(command, [make_key("li")]))


def _values(shown: str) -> str:
    """Return what stands in the right column, put together again."""
    return "".join(line[-1] for line in (row.split() for row in shown.splitlines()) if line)
