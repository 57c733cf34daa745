"""``kiosk-agent provision``: what the engineer does on site."""

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.errors import CertificateError
from agent.provision.certificate import Chain, make_request
from agent.provision.folder import IdentityFolder
from agent.provision_cli import provision_app
from agent.service_user import service_user
from tests.support.authority import Authority, new_key

ROOT = Path(__file__).parents[2]


class Box:
    """A kiosk that nobody provisioned yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "agent.toml"
        self.settings.write_text(
            f'[kiosk]\nid = "k-17"\nstate_folder = "{folder}/state"\n[link.tls]\n'
        )

    def provision(self, command: str, *arguments: str | Path) -> Result:
        words = [command, "--config", str(self.settings), *map(str, arguments)]
        return CliRunner().invoke(provision_app, words)

    def refused(self, command: str, *arguments: str | Path) -> str:
        error = self.provision(command, *arguments).exception
        assert isinstance(error, CertificateError)
        return str(error)

    def file(self, content: bytes) -> Path:
        path = self.folder / "file.pem"
        path.write_bytes(content)
        return path

    def status(self) -> dict:
        return json.loads(self.provision("status", "--json").stdout)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("Root")


def test_walk(box: Box, root: Authority, tmp_path: Path):
    """Request, sign, install; status says at each point what is missing, and then all."""
    assert box.status()["problem"] == "there is no key yet: kiosk-agent provision request makes it"
    request = box.provision("request")
    assert request.stdout.startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert "PRIVATE" not in request.output
    assert "no certificate yet" in box.status()["problem"]
    roots = tmp_path / "roots.pem"
    roots.write_bytes(root.pem)
    installed = box.provision(
        "install", box.file(root.sign(request.stdout.encode())), "--roots", roots
    )
    assert installed.exit_code == 0, installed.output
    assert installed.stdout.startswith("k-17: serial ")
    status = box.status()
    assert status["problem"] is None
    assert (status["key"], len(status["roots"])) == ("file", 1)
    shown = box.provision("status")
    assert shown.exit_code == 0
    assert "CN=k-17" in shown.stdout


def test_refused(box: Box, root: Authority, tmp_path: Path):
    """What would be of no use is not installed, and the message says why."""
    assert "missing" in box.refused("install", box.file(root.sign(_foreign())))
    csr = box.provision("request").stdout.encode()
    assert "made out to CN=k-18" in box.refused("install", box.file(root.sign(csr, "k-18")))
    assert "another key" in box.refused("install", box.file(root.sign(_foreign())))
    roots = tmp_path / "roots.pem"
    roots.write_bytes(Authority("Other").pem)
    signed = box.file(root.sign(csr))
    assert "none of the roots" in box.refused("install", signed, "--roots", roots)
    assert "No such file" in box.refused("install", tmp_path / "nothing.pem")
    assert "larger than" in box.refused("install", box.file(b"x" * 70_000))
    assert {path.name for path in (tmp_path / "state/identity").iterdir()} == {"device.key"}


def test_status_of_what_has_expired(box: Box, root: Authority, monkeypatch: pytest.MonkeyPatch):
    """It is said by a clock that is right, and by no other."""
    long_ago = datetime.now(UTC) - timedelta(days=200)
    monkeypatch.setattr("agent.provision_cli._now", lambda: None)
    csr = box.provision("request").stdout.encode()
    installed = box.provision("install", box.file(root.sign(csr, since=long_ago)))
    assert installed.exit_code == 0
    assert "dates were not checked" in installed.stderr
    assert box.status()["problem"] is None
    monkeypatch.setattr("agent.provision_cli._now", lambda: datetime.now(UTC))
    status = box.status()
    assert "expired at" in status["problem"]
    assert status["certificate"]["days_left"] == pytest.approx(-110, abs=0.2)


def test_certificate_that_the_settings_do_not_use(box: Box, root: Authority):
    """An engineer whose settings have no [link.tls] is told so."""
    box.settings.write_text(box.settings.read_text().replace("[link.tls]", ""))
    csr = box.provision("request").stdout.encode()
    assert "empty table [link.tls]" in box.provision("install", box.file(root.sign(csr))).stderr


def test_roots_that_the_settings_do_not_use(box: Box, root: Authority, tmp_path: Path):
    """Where the settings name others, an engineer who installs roots is told so."""
    box.settings.write_text(f'{box.settings.read_text()}ca = "/etc/other.pem"\n')
    signed = box.file(root.sign(box.provision("request").stdout.encode()))
    roots = tmp_path / "roots.pem"
    roots.write_bytes(root.pem)
    assert "[link.tls] ca" in box.provision("install", signed, "--roots", roots).stderr
    assert "[link.tls] ca" not in box.provision("install", signed).stderr


@pytest.mark.parametrize("won", [False, True], ids=["on trial", "half taken over"])
def test_roots_on_trial_end_with_an_installation(box: Box, root: Authority, *, won: bool):
    """A certificate has to be of a root that is still trusted after it."""
    new, folder = Authority("New root"), IdentityFolder(box.folder / "state")
    first = Chain.read(root.sign(folder.first_request("k-17")))
    folder.install(first, [root.certificate])
    renewed = Chain.read(root.sign(folder.next_request("k-17").csr.encode()))
    folder.begin_trial(renewed, [root.certificate, new.certificate])
    if won:  # and the power failed
        (folder.path / "next.key").replace(folder.path / "device.key")
    signed = box.file(new.sign(folder.first_request("k-17")))
    if not won:
        assert "none of the roots" in box.refused("install", signed)
        assert folder.on_trial()
        return
    assert box.provision("install", signed).exit_code == 0
    assert box.status()["problem"] is None


def test_folder_cannot_be_made(box: Box):
    (box.folder / "state").write_text("a file where a folder should be")
    assert "state" in box.refused("request")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that other users can look into; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_works_as_the_service_user(open_folder: Path):
    """What root makes belongs to the service's user, who gets the folder where it is missing."""
    box, nobody = Box(open_folder), pwd.getpwnam("nobody")
    code = (
        "import agent.service_user as user; user.service_user.__defaults__ = ('nobody',)\n"
        "from agent.provision_cli import provision_app; provision_app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "request", "--config", box.settings],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    key = box.folder / "state/identity/device.key"
    for path in (key, key.parent, key.parent.parent):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (nobody.pw_uid, nobody.pw_gid)
        assert found.st_mode & 0o077 == 0


def test_no_service_user(monkeypatch: pytest.MonkeyPatch):
    """Who is not root, and root without such a user, stays who it is."""
    assert service_user("no-such-user") is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert service_user("root") is None


def _foreign() -> bytes:
    return make_request(new_key(), "k-17")
