"""``kiosk-agent audit``: the trail on the kiosk, read beside the running agent."""

import json
import os
import pwd
import sqlite3
import subprocess
import sys
import tempfile
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

ROOT = Path(__file__).parents[2]
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


class Owned:
    """A state folder of ``nobody``, in whose name the service runs here, and one of root's own."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.state, self.own = folder / "state", folder / "own"
        for made in (self.state, self.own):
            made.mkdir(mode=0o700)
        kiosk = Kiosk(self.state)
        self.settings, self.key = kiosk.settings, kiosk.make_key()
        with closing(kiosk.db):
            kiosk.table.append("command.accepted", {"signers": "li"}, STAMP)
        self.user = pwd.getpwnam("nobody")
        for path in (self.state, *self.state.iterdir()):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def audit(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        code = (  # Python's own library may be closed to others where tests run: rfc8785's codec
            "import encodings.utf_16_be\n"
            "import agent.service_user as user; user.service_user.__defaults__ = ('nobody',)\n"
            "from agent.cli import main; main()"
        )
        return subprocess.run(
            [sys.executable, "-c", code, "audit", *words, "--config", self.settings],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )

    def lead_elsewhere(self, name: str) -> None:
        """Do what the service's user can: put a link to a file of root's in the place of one."""
        (self.state / name).rename(self.own / name)
        os.chown(self.own / name, 0, 0)
        (self.own / name).chmod(0o600)
        (self.state / name).symlink_to(self.own / name)


@pytest.fixture
def owned() -> Iterator[Owned]:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to other users
        yield Owned(Path(name))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_reads_as_the_service_user(owned: Owned):
    """What is left in the folder is the service's, and a link there leads root nowhere."""
    for words in (["show"], ["verify"], ["key"]):
        done = owned.audit(*words)
        assert done.returncode == 0, done.stderr
    assert {path.stat().st_uid for path in owned.state.iterdir()} == {owned.user.pw_uid}
    owned.lead_elsewhere("ledger.db")
    owned.lead_elsewhere(FILE_NAME)
    for words in (["show"], ["verify"], ["key"]):
        done = owned.audit(*words)
        assert done.returncode == 1
        assert "Permission denied" in done.stderr
        assert done.stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_exports_into_a_file_of_its_own(owned: Owned):
    """It goes where the service's user cannot, and has nothing that this user may not read."""
    out = owned.own / "trail.jsonl"
    done = owned.audit("export", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: entries 1 to 2\n"
    assert (out.stat().st_uid, out.stat().st_mode & 0o777) == (0, 0o600)
    before = out.read_bytes()
    proof = verify(before.splitlines(), keys={owned.key.kid: owned.key.verifier()})
    assert (proof.last, proof.head.kiosk) == (2, "k-1")
    owned.lead_elsewhere(FILE_NAME)
    done = owned.audit("export", out)
    assert done.returncode == 0, done.stderr
    assert f"{FILE_NAME}: Permission denied" in done.stderr
    assert verify(out.read_bytes().splitlines()).head is None
    owned.lead_elsewhere("ledger.db")
    before = out.read_bytes()
    done = owned.audit("export", out)
    assert done.returncode == 1
    assert "ledger.db: Permission denied" in done.stderr
    assert out.read_bytes() == before
    assert {path.name for path in owned.own.iterdir()} == {out.name, FILE_NAME, "ledger.db"}
