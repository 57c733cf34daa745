"""``kiosk-agent audit``: the trail on the kiosk, read beside the running agent."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.audit_cli import audit_app
from agent.errors import TrailError
from commands.audit_store import AuditTable
from commands.kiosk_key import FILE_NAME, open_kiosk_key, read_kiosk_key
from contract.audit_proof import verify
from contract.device import DeviceKey
from telemetry.files import write_atomically
from tests.support.clock import ManualClock

STAMP = ManualClock().stamp()
UNSURE = ManualClock(quality="unsynced").stamp()


class Kiosk:
    """A state folder whose ledger is open, as the agent has it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.settings = folder / "agent.toml"
        self.settings.write_text(f'[kiosk]\nid = "k-1"\nstate_folder = "{folder}"\n')
        self.db = sqlite3.connect(folder / "ledger.db", isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.table = AuditTable(self.db, max_rows=40)
        self.table.begin(STAMP, "new")

    def audit(self, command: str, *arguments: str | Path) -> Result:
        words = [command, "--config", str(self.settings), *map(str, arguments)]
        return CliRunner().invoke(audit_app, words)

    def make_key(self) -> DeviceKey:
        return open_kiosk_key(self.folder / FILE_NAME, write_atomically).key.public()


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[Kiosk]:
    kiosk = Kiosk(tmp_path)
    with closing(kiosk.db):
        yield kiosk


def failure(result: Result) -> str:
    """What ``kiosk-agent`` prints, instead of a trace, for this error."""
    assert isinstance(result.exception, TrailError)
    return str(result.exception)


def test_the_newest_entries_are_shown_last(kiosk: Kiosk):
    """One line an entry, the newest last, and no more than were asked for."""
    kiosk.table.append("command.accepted", {"action": "reboot", "signers": "li,wang"}, STAMP)
    kiosk.table.append("config.changed", {"text": "a\x1b[31mb\nc", "version": 3}, UNSURE)
    lines = kiosk.audit("show").stdout.splitlines()
    assert len(lines) == 3
    assert "chain.begin" in lines[0]
    assert "2026-11-01T08:00:00.000Z  command.accepted" in lines[1]
    assert "action=reboot  signers=li,wang" in lines[1]
    assert "Z? config.changed" in lines[2]
    assert "text=a [31mb c  version=3" in lines[2]
    [last] = kiosk.audit("show", "--last", "1", "--json").stdout.splitlines()
    assert json.loads(last)["number"] == 3


def test_the_trail_is_read_while_the_agent_writes(kiosk: Kiosk):
    """An open transaction of the agent neither stops the reader nor shows what is not committed."""
    kiosk.db.execute("BEGIN IMMEDIATE")
    kiosk.table.append("command.accepted", {}, STAMP)
    assert "entries 1 to 1 stand" in kiosk.audit("verify").stdout
    kiosk.db.execute("COMMIT")
    assert "entries 1 to 2 stand" in kiosk.audit("verify").stdout


@pytest.mark.parametrize(
    ("tampering", "named"),
    [
        ("UPDATE audit SET entry = replace(entry, 'li', 'wu') WHERE number = 5", "entry 5"),
        ("DELETE FROM audit WHERE number = 5", "entry 5 was removed"),
        ("DELETE FROM audit WHERE number = 10", "end with 9"),
        ("DELETE FROM audit", "no entries"),
        ("DELETE FROM audit_head", "lost its head"),
        ("DROP TABLE audit_head", "cannot be read"),
    ],
)
def test_tampering_is_found_on_the_spot(kiosk: Kiosk, tampering: str, named: str):
    """Who changes the database by hand is found by ``verify``, which says where."""
    for _ in range(9):
        kiosk.table.append("command.accepted", {"signers": "li"}, STAMP)
    kiosk.db.execute(tampering)
    assert named in failure(kiosk.audit("verify"))


def test_an_export_is_proved_elsewhere(kiosk: Kiosk):
    """The file has every entry that is kept and the head, signed by the kiosk's key."""
    key = kiosk.make_key()
    for _ in range(60):
        kiosk.table.append("command.accepted", {"signers": "li"}, STAMP)
    out = kiosk.folder / "trail.jsonl"
    result = kiosk.audit("export", out)
    assert f"{out}: entries 22 to 61" in result.stdout
    proof = verify(out.read_bytes().splitlines(), keys={key.kid: key.verifier()})
    assert (proof.first, proof.last, proof.head.kiosk) == (22, 61, "k-1")
    assert out.stat().st_mode & 0o777 == 0o600
    assert "d" not in json.loads(out.read_bytes().splitlines()[-1])["key"]


def test_an_export_without_the_key_says_so(kiosk: Kiosk):
    """Where the key cannot be read the entries are exported all the same, and the lack is said."""
    out = kiosk.folder / "trail.jsonl"
    result = kiosk.audit("export", out)
    assert result.exit_code == 0
    assert "without a signed head" in result.stderr
    assert verify(out.read_bytes().splitlines()).head is None


def test_an_export_is_there_whole_or_not_at_all(kiosk: Kiosk):
    """A file that cannot be written leaves nothing behind."""
    assert "No such file" in failure(kiosk.audit("export", kiosk.folder / "no" / "trail.jsonl"))
    (kiosk.folder / "folder").mkdir()
    before = sorted(kiosk.folder.iterdir())
    assert "directory" in failure(kiosk.audit("export", kiosk.folder / "folder"))
    assert [path for path in sorted(kiosk.folder.iterdir()) if path.suffix != ".db-shm"] == [
        path for path in before if path.suffix != ".db-shm"
    ]


def test_the_public_key_is_printed(kiosk: Kiosk):
    """The public half is printed, never the private one; without a key the reason is said."""
    assert "is not there yet" in failure(kiosk.audit("key"))
    key = kiosk.make_key()
    printed = kiosk.audit("key").stdout
    assert DeviceKey.model_validate_json(printed) == key
    assert read_kiosk_key(kiosk.folder / FILE_NAME).d not in printed
    (kiosk.folder / FILE_NAME).write_text("{}")
    assert "kid: Field required" in failure(kiosk.audit("key"))


def test_without_a_ledger_there_is_nothing_to_show(tmp_path: Path):
    """Before the agent has run, the missing file is named and not made."""
    settings = tmp_path / "agent.toml"
    settings.write_text(f'[kiosk]\nstate_folder = "{tmp_path}"\n')
    result = CliRunner().invoke(audit_app, ["show", "--config", str(settings)])
    assert "ledger.db is not there" in failure(result)
    assert not (tmp_path / "ledger.db").exists()
