"""``kioskctl key`` and ``keys``: private keys that stay private, key sets that stay usable."""

import asyncio
import json

import pytest
from joserfc.util import urlsafe_b64decode

from console import passphrase
from console.keys import read_private, write_private
from contract.keys import ROLES, KeySet, fingerprint
from tests.support.operators import make_key
from tests.support.scripted_kiosk import ScriptedKiosk

SECRET = "correct horse battery"


@pytest.fixture
def operators(tmp_path):
    """Two seniors and an operator with two keys."""
    keys = KeySet(
        keys=tuple(
            make_key(kid, name=name, role=role).public()
            for kid, name, role in (
                ("wang", "Wang Fang", "supervisor"),
                ("zhao", "Zhao Lei", "maintainer"),
                ("li-1", "Li Wei", "operator"),
                ("li-2", "Li Wei", "operator"),
            )
        )
    )
    path = tmp_path / "operators.json"
    path.write_text(keys.model_dump_json(exclude_none=True), encoding="utf-8")
    return path


async def test_a_passphrase_protects_a_key(kioskctl, broker, tmp_path):
    """Typed twice to make it and once to sign; the file holds nothing that signs by itself."""
    made = await kioskctl.on_terminal(
        *("key", "new", "Li Wei", "--role", "operator", "--out", "li.jwe", "--passphrase"),
        answers=[("li.jwe: ", SECRET), ("again: ", SECRET)],
    )
    assert made.code == 0
    assert (tmp_path / "li.jwe").stat().st_mode & 0o777 == 0o600
    assert passphrase.is_encrypted((tmp_path / "li.jwe").read_bytes())
    key = await asyncio.to_thread(read_private, tmp_path / "li.jwe", ask=lambda _: SECRET)
    assert SECRET not in made.out
    async with ScriptedKiosk(broker.port, "p-1", [key]).online():
        done = await kioskctl.on_terminal(
            *("send", "p-1", "ping", "--key", "li.jwe"), answers=[("li.jwe: ", SECRET)]
        )
        assert done.code == 0
        secret = tmp_path / "secret"
        secret.write_text(f"{SECRET}\n", encoding="utf-8")
        by_file = {"KIOSKCTL_PASSPHRASE_FILE": str(secret)}
        done = await kioskctl("send", "p-1", "ping", "--key", "li.jwe", **by_file)
        assert done.code == 0


async def test_two_different_passphrases_make_nothing(kioskctl, tmp_path):
    """A slip of the finger does not lock a key for ever."""
    made = await kioskctl.on_terminal(
        *("key", "new", "Li Wei", "--role", "operator", "--out", "li.jwe", "--passphrase"),
        answers=[("li.jwe: ", SECRET), ("again: ", "another one")],
    )
    assert (made.code, "differ" in made.out) == (2, True)
    assert not (tmp_path / "li.jwe").exists()


async def test_a_wrong_passphrase_is_one_sentence(kioskctl, tmp_path, li):
    """So is a missing terminal, and a passphrase that is too short."""
    await asyncio.to_thread(write_private, li, tmp_path / "li.jwe", secret=SECRET)
    (tmp_path / "wrong").write_text("wrong", encoding="utf-8")
    wrong = {"KIOSKCTL_PASSPHRASE_FILE": "wrong"}
    done = await kioskctl("send", "p-1", "ping", "--key", "li.jwe", **wrong)
    assert done.code == 2
    assert done.errors == (
        "kioskctl: key li.jwe: the passphrase is wrong, or the file was damaged\n"
    )
    done = await kioskctl("send", "p-1", "ping", "--key", "li.jwe")
    assert (done.code, "KIOSKCTL_PASSPHRASE_FILE" in done.errors) == (2, True)
    done = await kioskctl(
        *("key", "new", "Li", "--role", "viewer", "--out", "x", "--passphrase"), **wrong
    )
    assert (done.code, "at least 8 characters" in done.errors) == (2, True)


def test_the_encrypted_form_is_the_standards(tmp_path, li):
    """A JWE in compact form of a JWK, with as many iterations as one should have."""
    write_private(li, tmp_path / "li.jwe", secret=SECRET)
    head = (tmp_path / "li.jwe").read_text(encoding="utf-8").split(".")[0]
    header = json.loads(urlsafe_b64decode(head.encode()))
    assert header["alg"] == "PBES2-HS256+A128KW"
    assert header["enc"] == "A256GCM"
    assert header["cty"] == "jwk+json"
    assert header["p2c"] >= 600_000


async def test_a_key_that_others_can_read_is_refused(kioskctl, tmp_path, key_file):
    """As ssh does: it may have been copied."""
    (tmp_path / "li.key").chmod(0o640)
    done = await kioskctl("send", "p-1", "ping", "--key", key_file)
    assert done.code == 2
    assert "others can read it (mode 0640)" in done.errors
    assert f"chmod 600 {key_file}" in done.errors


async def test_the_list_shows_everybody_and_the_fingerprint(kioskctl, operators):
    """The fingerprint is the one that keys.update names."""
    keys = KeySet.model_validate_json(operators.read_bytes())
    shown = await kioskctl("--lang", "zh", "key", "list", operators.name)
    for part in ("wang", "Zhao Lei", "维护员", "长期有效", fingerprint(keys)):
        assert part in shown.out
    whole = await kioskctl("key", "list", operators.name, "--json")
    assert whole.lines[0]["fingerprint"] == fingerprint(keys)
    assert len(whole.lines[0]["keys"]) == 4


async def test_a_person_is_taken_out_with_all_keys(kioskctl, operators):
    """By name all of them, by id only one."""
    done = await kioskctl("key", "revoke", "li-1", "--from", operators.name)
    assert done.code == 0
    assert [key.kid for key in _keys(operators)] == ["wang", "zhao", "li-2"]
    done = await kioskctl("key", "revoke", "Li Wei", "--from", operators.name)
    assert done.code == 0
    assert [key.kid for key in _keys(operators)] == ["wang", "zhao"]
    done = await kioskctl("key", "revoke", "nobody", "--from", operators.name)
    assert (done.code, "wang (Wang Fang)" in done.errors) == (2, True)


async def test_two_seniors_stay(kioskctl, operators):
    """With fewer nobody could change the keys again from afar; --force says one knows."""
    done = await kioskctl("key", "revoke", "wang", "--from", operators.name)
    assert (done.code, "two persons are needed" in done.errors) == (2, True)
    assert len(_keys(operators)) == 4
    done = await kioskctl("key", "revoke", "wang", "--from", operators.name, "--force")
    assert done.code == 0
    assert len(_keys(operators)) == 3


async def test_new_keys_go_to_kiosks_by_two_persons(
    *, kioskctl, broker, tmp_path, li, key_file, operators
):
    """The command names the set that it was made from, and says who comes and who goes."""
    new = tmp_path / "new.json"
    new.write_bytes(operators.read_bytes())
    await kioskctl("key", "revoke", "li-2", "--from", new.name)
    present = KeySet.model_validate_json(operators.read_bytes())
    update = ("keys", "update", "--new", new.name, "--present", operators.name)
    signed = await kioskctl(*update, "--kiosk", "u-1", "--key", key_file, "--sign-to", "order")
    assert signed.code == 0
    assert "- Li Wei (li-2) as operator" in signed.errors
    second = make_key("second", role="supervisor")
    await asyncio.to_thread(write_private, second, tmp_path / "second.key")
    await kioskctl("cosign", "order", "--key", "second.key", "--yes")
    async with ScriptedKiosk(broker.port, "u-1", [li, second]).online() as kiosk:
        done = await kioskctl("send", "--file", "order")
    assert done.code == 0
    command = kiosk.heard[0].command
    assert command.action == "keys.update"
    assert command.args["replaces"] == fingerprint(present)
    assert [key["kid"] for key in command.args["keys"]] == ["wang", "zhao", "li-1"]
    assert kiosk.heard[0].signers == ("li", "second")


async def test_an_unknown_role_is_told(kioskctl, tmp_path):
    """With the roles that there are."""
    done = await kioskctl("key", "new", "Li", "--role", "chief", "--out", "x")
    assert done.code == 2
    for role in ROLES:
        assert role in done.errors
    assert not (tmp_path / "x").exists()


def _keys(path):
    return KeySet.model_validate_json(path.read_bytes()).keys
