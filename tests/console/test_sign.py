"""``kioskctl sign``, ``cosign`` and ``send --file``: two persons, a file in between."""

import time

import pytest

from console.keys import write_private
from contract.command import open_command, read_unverified, sign_command
from contract.keys import KeySet
from tests.support.operators import make_command, make_key
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
