"""``kioskctl snapshot``, ``log``, ``diagnostics``: a file, checked against its receipt."""

import hashlib

import pytest

from contract.command import Command
from tests.support.scripted_kiosk import ScriptedKiosk

PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 1500


def brings(content: bytes, *, sha256: str | None = None, before: bool = False):
    """A kiosk that sends ``content`` before or after it says that it has succeeded."""
    promised = sha256 or hashlib.sha256(content).hexdigest()

    async def script(kiosk: ScriptedKiosk, command: Command) -> None:
        await kiosk.receipt(command, "accepted")
        if before:
            await kiosk.media(command, content)
        result = {"sha256": promised, "bytes": len(content)}
        await kiosk.receipt(command, "succeeded", result=result)
        if not before:
            await kiosk.media(command, content)

    return script


@pytest.mark.parametrize("before", [True, False])
async def test_a_picture_is_saved(*, kioskctl, broker, tmp_path, li, key_file, before):
    """Whichever comes first, receipt or picture; the file has every byte."""
    script = brings(PICTURE, before=before)
    async with ScriptedKiosk(broker.port, "m-1", [li], script).online() as kiosk:
        done = await kioskctl(
            *("snapshot", "m-1", "front", "--out", "front.jpg", "--max-width", "640"),
            *("--no-blur", "--key", key_file),
        )
    assert done.code == 0
    assert (tmp_path / "front.jpg").read_bytes() == PICTURE
    args = {"camera": "front", "blur": False, "max_width_px": 640}
    assert kiosk.heard[0].command.args == args


async def test_something_else_is_not_saved(kioskctl, broker, tmp_path, li, key_file):
    """What does not have the hash of the receipt leaves the old file alone."""
    old = tmp_path / "front.jpg"
    old.write_bytes(b"old")
    script = brings(PICTURE, sha256="0" * 64)
    async with ScriptedKiosk(broker.port, "m-2", [li], script).online():
        done = await kioskctl("snapshot", "m-2", "front", "--out", "front.jpg", "--key", key_file)
    assert (done.code, "is not what it says it sent" in done.errors) == (1, True)
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front.jpg", "li.key"]


async def test_a_picture_that_does_not_come_is_said(kioskctl, broker, tmp_path, li, key_file):
    """The command succeeded and nothing arrived: 1, and no file."""
    async with ScriptedKiosk(broker.port, "m-3", [li]).online():
        done = await kioskctl(
            *("snapshot", "m-3", "front", "--out", "front.jpg", "--key", key_file),
            *("--timeout", "2"),
        )
    assert (done.code, "did not arrive in time" in done.errors) == (1, True)
    assert not (tmp_path / "front.jpg").exists()


async def test_journal_and_archive_come_the_same_way(kioskctl, broker, tmp_path, li, key_file):
    """Log and diagnostics order their action and save what it brings."""
    async with ScriptedKiosk(broker.port, "m-4", [li], brings(b"gzip")).online() as kiosk:
        fetched = await kioskctl(
            *("log", "m-4", "--out", "log.gz", "--since", "2h", "--lines", "50"),
            *("--key", key_file),
        )
        asked = await kioskctl("diagnostics", "m-4", "--out", "all.tar.gz", "--key", key_file)
    assert (fetched.code, asked.code) == (0, 0)
    actions = [(signed.command.action, signed.command.args) for signed in kiosk.heard]
    assert actions == [("log.fetch", {"since_s": 7200, "lines": 50}), ("diagnostics", {})]
    assert (tmp_path / "log.gz").read_bytes() == b"gzip"
    assert (tmp_path / "all.tar.gz").read_bytes() == b"gzip"


@pytest.mark.parametrize(
    ("arguments", "action", "args"),
    [
        (["reboot", "--force", "--grace", "60"], "reboot", {"force": True, "grace_s": 60}),
        (
            ["lock", "--for", "1h", "--text", "休息"],
            "service.lock",
            {"for_s": 3600, "text": "休息"},
        ),
        (["lock", "--door", "--for", "5m"], "door.lock", {"for_s": 300}),
        (["unlock"], "service.unlock", {}),
        (["unlock", "--door"], "door.unlock", {}),
    ],
)
async def test_shortcuts(*, kioskctl, broker, li, key_file, arguments, action, args):
    """A word for what is ordered every day; nothing is in the command that was not said."""
    async with ScriptedKiosk(broker.port, "m-5", [li]).online() as kiosk:
        done = await kioskctl(*arguments, "--kiosk", "m-5", "--key", key_file)
    assert done.code == 0
    command = kiosk.heard[0].command
    assert (command.action, command.args) == (action, args)
