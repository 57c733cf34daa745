"""``kioskctl audit verify``: the proof on the operator's machine."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.audit_cli import audit_app
from contract import Data, seal
from contract.audit import AuditHead
from contract.device import DevicePrivateKey
from contract.events import MotionBegin
from tests.support.clock import ManualClock
from tests.support.trails import KEY, Written

STAMP = ManualClock().stamp()


class Desk:
    """An operator's folder with what came from the kiosk and from the centre."""

    def __init__(self, folder: Path):
        self.trail = folder / "trail.jsonl"
        self.key = folder / "k-1.jwk"
        self.heads = folder / "heads.jsonl"
        self.key.write_text(KEY.public().model_dump_json())
        self.write(Written(9).lines)

    def write(self, lines: list[bytes]) -> None:
        self.trail.write_bytes(b"".join(line + b"\n" for line in lines))

    def publish(self, *messages: Data, kiosk: str = "k-1") -> None:
        """What ``kioskctl events`` has printed."""
        sealed = [
            seal(data, kiosk=kiosk, stamp=STAMP, sequence=number).payload
            for number, data in enumerate(messages, start=1)
        ]
        self.heads.write_bytes(b"".join(payload + b"\n" for payload in sealed))

    def verify(self, *options: str | Path) -> Result:
        return CliRunner().invoke(audit_app, ["verify", str(self.trail), *map(str, options)])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def part(trail: Written, *numbers: int) -> list[AuditHead]:
    """The heads that were published after these entries."""
    heads = []
    for number in numbers:
        older = Written()
        older.chain, older.entries = trail.chain, trail.entries[:number]
        heads.append(older.event)
    return heads


def test_a_good_trail_is_proved(desk: Desk):
    """With the kiosk's key a whole trail is proved, without any warning."""
    result = desk.verify("--key", desk.key)
    assert result.exit_code == 0
    assert result.stdout == "entries 1 to 9 of kiosk k-1 stand as they were written\n"
    assert result.stderr == ""


def test_without_a_key_the_limits_of_the_proof_are_said(desk: Desk):
    """The key in the file proves consistency only; that is said, and it is no failure."""
    result = desk.verify()
    assert result.exit_code == 0
    assert "warning: without --key and --heads" in result.stderr
    trail = Written(9)
    desk.write(trail.lines)
    desk.publish(*part(trail, 4, 9))
    result = desk.verify("--heads", desk.heads)
    assert result.exit_code == 0
    assert "2 published heads agree, the newest of entry 9" in result.stderr
    assert "warning: without --key" in result.stderr


def test_the_entry_is_named(desk: Desk):
    """A changed trail ends with code 1 and names the entry, also for programs."""
    trail = Written(9)
    lines = trail.lines
    lines[4] = lines[4].replace("第 5".encode(), "第 6".encode())
    desk.write(lines)
    result = desk.verify("--key", desk.key)
    assert result.exit_code == 1
    assert "entry 5 was changed" in result.stderr
    found = json.loads(desk.verify("--json").stdout)
    assert (found["proved"], found["entry"], found["fault"]) == (False, 5, "changed")


def test_the_result_for_programs(desk: Desk):
    """``--json`` prints one object with the extent of the proof."""
    trail = Written(9)
    del trail.entries[:2]
    desk.write(trail.lines)
    result = desk.verify("--json", "--key", desk.key)
    assert json.loads(result.stdout) == {
        "proved": True,
        "kiosk": "k-1",
        "chain": trail.chain,
        "first": 3,
        "last": 9,
        "heads_confirmed": 0,
        "heads_pruned": 0,
    }


def test_another_kiosks_key_proves_nothing(desk: Desk):
    """A trail that was signed by another key than the given one is refused."""
    desk.write(Written(9, key=DevicePrivateKey.generate()).lines)
    result = desk.verify("--key", desk.key)
    assert result.exit_code == 1
    assert "signed by no key that is known here" in result.stderr


def test_a_key_may_have_been_replaced(desk: Desk):
    """With both keys of a kiosk, heads from before and after the change of keys are proved."""
    trail = Written(9)
    [before] = part(trail, 4)
    trail.key = DevicePrivateKey.generate()
    desk.write(trail.lines)
    desk.publish(before, trail.event)
    assert desk.verify("--key", desk.key, "--heads", desk.heads).exit_code == 1
    second = desk.key.with_name("second.jwk")
    second.write_text(trail.key.public().model_dump_json())
    assert desk.verify("--key", desk.key, "--key", second, "--heads", desk.heads).exit_code == 0
    assert desk.verify("--heads", desk.heads).exit_code == 0


def test_published_heads_find_a_cut_end(desk: Desk):
    """An older, genuine export does not pass for the newest once later heads were published."""
    trail = Written(9)
    later = trail.event
    trail.entries = trail.entries[:6]
    desk.write(trail.lines)
    assert desk.verify("--key", desk.key).exit_code == 0
    desk.publish(later, MotionBegin(camera="front", area_percent=1.0))
    result = desk.verify("--key", desk.key, "--heads", desk.heads)
    assert result.exit_code == 1
    assert "entries 7 to 9 were cut off at the end" in result.stderr


def test_without_a_signed_head_published_ones_count(desk: Desk):
    """A trail without its head is refused alone, and proved as far as published heads reach."""
    trail = Written(9)
    desk.write(trail.lines[:-1])
    result = desk.verify("--key", desk.key)
    assert result.exit_code == 1
    assert "no signed head after entry 9" in result.stderr
    desk.publish(*part(trail, 3, 7))
    result = desk.verify("--key", desk.key, "--heads", desk.heads)
    assert result.exit_code == 0
    assert "entries 1 to 7 stand" in result.stdout
    assert "after entry 7 is not proved" in result.stderr


def test_heads_of_other_chains_are_not_passed_over(desk: Desk):
    """A chain that was begun anew does not hide that there was another; ``--other-chains`` may."""
    trail, former = Written(9), Written(3)
    del trail.entries[:4]
    desk.write(trail.lines)
    desk.publish(former.event, trail.event)
    result = desk.verify("--key", desk.key, "--heads", desk.heads)
    assert result.exit_code == 1
    assert f"of other chains: {former.chain} (1)" in result.stderr
    result = desk.verify("--key", desk.key, "--heads", desk.heads, "--other-chains")
    assert result.exit_code == 0
    assert "what came before entry 5 is kept no more" in result.stderr


def test_a_forged_head_is_found(desk: Desk):
    """A published head that says another number than was signed is not counted as one."""
    trail = Written(9)
    desk.write(trail.lines)
    desk.publish(trail.event.model_copy(update={"number": 8}))
    result = desk.verify("--key", desk.key, "--heads", desk.heads)
    assert result.exit_code == 1
    assert "says another than was signed" in result.stderr
    desk.publish(Written(9, kiosk="k-2").event)
    assert desk.verify("--key", desk.key, "--heads", desk.heads).exit_code == 1


def test_what_cannot_be_read_is_wrong_usage(desk: Desk, tmp_path: Path):
    """Missing files, files of another kind, and mixed kiosks end with code 2 and name the file."""
    for option, content, said in [
        ("--key", None, "No such file"),
        ("--key", '{"kty": "RSA"}', "not a kiosk's public key"),
        ("--heads", None, "No such file"),
        ("--heads", "{}\n", "line 1: no message of a kiosk"),
        ("--heads", "\n", "there is no audit.head in it"),
    ]:
        path = tmp_path / "other"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        result = desk.verify(option, path)
        assert result.exit_code == 2
        assert said in result.stderr
        assert str(path) in result.stderr
    desk.trail.unlink()
    assert desk.verify().exit_code == 2


def test_a_file_of_another_kind_is_no_trail(desk: Desk):
    """Anything but an export is refused in a sentence."""
    for content in (b"", b"\x00" * 100_000, b"[]\n", b'{"head": 1}\n', b'{"head":{},"key":{}}\n'):
        desk.trail.write_bytes(content)
        result = desk.verify()
        assert result.exit_code == 1
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "kioskctl: " in result.stderr
