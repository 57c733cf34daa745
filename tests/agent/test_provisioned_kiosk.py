"""A kiosk from a bare box to a renewed certificate: a real agent, a real broker with mTLS."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.provision.certificate import Chain, make_request
from agent.provision.folder import IdentityFolder
from console.ca import CertificateAuthority
from console.keys import new_key, write_private
from tests.agent.conftest import BIN, AgentProcess
from tests.support import authority as made_up
from tests.support.authority import Authority
from tests.support.brokers import Mosquitto

SECRET = "correct horse battery"
ACL = """\
user operator.li
topic readwrite kiosk/v1/#
pattern write kiosk/v1/%u/up/#
pattern read kiosk/v1/%u/down/#
"""


class Site:
    """A CA of the console's, another one, a broker, a kiosk and two who may renew it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = CertificateAuthority.create(folder / "ca", "Kiosks", SECRET)
        self.root = folder / "ca/root.pem"
        self.other = Authority("Other root")
        self.seniors = [new_key("Li Wei", "supervisor"), new_key("Zhao Min", "maintainer")]
        self.keys = [folder / f"{key.role}.jwk" for key in self.seniors]
        for key, path in zip(self.seniors, self.keys, strict=True):
            write_private(key, path)
        (folder / "secret").write_text(SECRET)
        self.operator, self.operator_key = self._operator()
        self.broker = self._broker(self.root.read_bytes())
        self.agent = AgentProcess(
            folder / "kiosk", self.broker.port, "[link.tls]\n", keys=self.seniors
        )
        self.identity = IdentityFolder(folder / "kiosk/state")

    def _operator(self) -> tuple[Path, Path]:
        key = made_up.new_key()
        certificate, file = self.folder / "operator.crt", self.folder / "operator.key"
        certificate.write_bytes(self.ca.sign(make_request(key, "operator.li"), role="operator"))
        file.write_bytes(made_up.key_pem(key))
        return certificate, file

    def _broker(self, clients: bytes) -> Mosquitto:
        """The broker's certificate is of the CA; it admits clients of these roots."""
        folder = self.folder / "broker"
        folder.mkdir()
        files = self.other.broker(folder)  # in form; the next lines put what counts
        key = made_up.new_key()
        files.server.write_bytes(self.ca.sign_server(make_request(key, "broker"), [made_up.HOST]))
        files.server_key.write_bytes(made_up.key_pem(key))
        files.ca.write_bytes(clients)
        self.files = files
        return Mosquitto(
            folder, acl=ACL, tls=files, client_certificate=True, identity_as_username=True
        )

    def provision(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "kiosk-agent", "provision", *words, "-c", self.agent.settings],
            check=False,
            capture_output=True,
            text=True,
        )

    def put_into_service(self) -> None:
        """What the engineer does."""
        request = self.provision("request")
        assert request.returncode == 0, request.stderr
        signed = self.folder / "k1.crt"
        signed.write_bytes(self.ca.sign(request.stdout.encode(), name="k1"))
        installed = self.provision("install", signed, "--roots", self.root)
        assert installed.returncode == 0, installed.stderr
        self.agent.start()
        self.online()

    def online(self) -> dict:
        return self.agent.status_when(lambda status: status["link"]["state"] == "online")

    def kioskctl(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the operator's command line over mTLS."""
        return subprocess.run(
            [
                *(BIN / "kioskctl", "--broker", f"mqtts://127.0.0.1:{self.broker.port}"),
                *("--ca", self.files.ca, "--certificate", self.operator),
                *("--certificate-key", self.operator_key, *words),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "KIOSKCTL_PASSPHRASE_FILE": str(self.folder / "secret")},
        )

    def install(self, chain: bytes) -> subprocess.CompletedProcess[str]:
        """Order a certificate to be tried."""
        file = self.folder / "next.crt"
        file.write_bytes(chain)
        return self.kioskctl(
            *("certificate", "install", "k1", "--certificate", file, "--key", self.keys[0])
        )

    def open_request(self) -> bytes:
        out = self.folder / "next.csr"
        done = self.kioskctl(
            *("certificate", "request", "k1", "--key", self.keys[0], "--out", out),
            *("--present", self.folder / "k1.crt"),
        )
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    def close(self) -> None:
        self.agent.close()
        self.broker.kill()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.broker.start()
    yield site
    site.close()


def serial(site: Site) -> str:
    chain = site.identity.chain()
    assert chain is not None
    return chain.serial


def test_from_a_bare_box_to_a_renewed_certificate(site: Site):
    """The engineer's walk, then a renewal by the operator in one command."""
    site.agent.start()
    refused = site.agent.status_when(lambda status: status["link"]["last_error"] is not None)
    assert "is not trusted" in refused["link"]["last_error"]
    site.agent.stop()
    site.put_into_service()
    assert site.provision("status").returncode == 0
    first = serial(site)
    renewed = site.kioskctl(
        *("certificate", "renew", "k1", "--ca", site.folder / "ca", "--key", site.keys[0]),
        *("--days", "900", "--json"),
    )
    assert renewed.returncode == 0, renewed.stderr
    site.online()
    told = [json.loads(line) for line in renewed.stdout.splitlines()]
    assert told[-1]["data"]["result"]["serial"] == serial(site) != first
    assert {path.name for path in site.identity.path.iterdir()} == {
        "device.key",
        "device.crt",
        "roots.pem",
    }
    issued = [entry.serial for entry in site.ca.issued() if entry.name == "k1"]
    assert issued == [first, serial(site)]
    assert site.agent.stop() == 0
    site.agent.start()
    site.online()


def test_certificates_that_are_of_no_use(site: Site):
    """Wrong CA, wrong name, wrong key: refused. One that only the broker refuses goes back."""
    site.put_into_service()
    first = serial(site)
    csr = site.open_request()
    stranger = make_request(made_up.new_key(), "k1")
    for chain, wrong in (
        (site.other.sign(csr), "none of the roots vouches"),
        (site.other.sign(csr, "k2"), "made out to CN=k2"),
        (site.ca.sign(stranger, name="k1"), "another key"),
    ):
        done = site.install(chain)
        assert done.returncode == 1, done.stdout
        assert wrong in done.stderr
    roots = site.folder / "roots.pem"
    roots.write_bytes(site.other.pem)
    done = site.kioskctl(
        *("certificate", "install", "k1", "--roots", roots),
        *("--key", site.keys[0], "--key", site.keys[1]),
    )
    assert done.returncode == 0, done.stderr
    done = site.install(site.other.sign(csr))  # good for the kiosk, and unknown to the broker
    assert done.returncode == 1, done.stdout
    assert "went back" in done.stderr
    assert "refused our client certificate" in done.stderr
    site.online()
    assert serial(site) == first
    done = site.install(site.ca.sign(csr, name="k1"))
    assert done.returncode == 0, done.stderr
    assert serial(site) != first


def test_broker_moves_to_a_new_root(site: Site):
    """Both roots are trusted before the broker changes; roots take two persons."""
    site.put_into_service()
    new = site.folder / "new-root.pem"
    new.write_bytes(site.other.pem)
    alone = site.kioskctl(*("certificate", "install", "k1", "--roots", new, "--key", site.keys[0]))
    assert alone.returncode == 3
    both = site.kioskctl(
        *("certificate", "install", "k1", "--roots", new),
        *("--key", site.keys[0], "--key", site.keys[1]),
    )
    assert both.returncode == 0, both.stderr
    site.online()
    before = site.agent.status()["link"]["session"]
    site.broker.stop()
    moved = site.other.broker(site.folder / "moved")
    site.files.server.write_bytes(moved.server.read_bytes())
    site.files.server_key.write_bytes(moved.server_key.read_bytes())
    site.broker.start()
    site.agent.status_when(
        lambda status: status["link"]["state"] == "online" and status["link"]["session"] > before
    )


def test_power_cut_during_a_trial(site: Site):
    """The next start goes on with the trial, and the certificate that gives a line stays."""
    site.put_into_service()
    assert site.agent.stop() == 0
    requested = site.identity.next_request("k1")
    chain = Chain.read(site.ca.sign(requested.csr.encode(), name="k1"))
    site.identity.begin_trial(chain, None)
    site.agent.start()
    site.online()
    site.agent.status_when(lambda _: not site.identity.on_trial())
    assert serial(site) == chain.serial


@pytest.mark.parametrize("ahead", [timedelta(days=365 * 50), timedelta(days=-365 * 50)])
def test_clock_that_is_wrong_by_decades(site: Site, ahead: timedelta):
    """To such a kiosk the broker's certificate is not valid yet, or long expired.

    It says so, keeps what it has, tries again, and is there when the dates fit.
    """
    site.put_into_service()
    assert site.agent.stop() == 0
    before = {path.name: path.read_bytes() for path in site.identity.path.iterdir()}
    good = {path: path.read_bytes() for path in (site.files.server, site.files.server_key)}
    site.broker.stop()
    odd = Authority("Odd")
    wrong = odd.broker(site.folder / "wrong", since=datetime.now(UTC) + ahead)
    site.files.server.write_bytes(wrong.server.read_bytes())
    site.files.server_key.write_bytes(wrong.server_key.read_bytes())
    (site.identity.path / "roots.pem").write_bytes(before["roots.pem"] + odd.pem)
    site.broker.start()
    site.agent.start()
    status = site.agent.status_when(lambda status: status["link"]["last_error"] is not None)
    assert "by this machine's clock" in status["link"]["last_error"]
    assert "time synchronisation mends it" in status["link"]["last_error"]
    site.broker.stop()
    for path, content in good.items():
        path.write_bytes(content)
    site.broker.start()
    site.online()
    after = {path.name: path.read_bytes() for path in site.identity.path.iterdir()}
    assert after == before | {"roots.pem": before["roots.pem"] + odd.pem}


def test_expired_certificate_is_kept_and_tried(site: Site):
    """The broker refuses it; the kiosk keeps it, for whoever has to mend the clock or renew it."""
    site.provision("request")
    csr = site.identity.first_request("k1")
    site.files.ca.write_bytes(site.root.read_bytes() + site.other.pem)
    expired = Chain.read(site.other.sign(csr, since=datetime.now(UTC) - timedelta(days=200)))
    (site.identity.path / "device.crt").write_bytes(expired.pem)
    (site.identity.path / "roots.pem").write_bytes(site.root.read_bytes())
    site.broker.stop()
    site.broker.start()
    site.agent.start()
    status = site.agent.status_when(lambda status: status["link"]["last_error"] is not None)
    assert "refused our client certificate" in status["link"]["last_error"]
    assert (site.identity.path / "device.crt").read_bytes() == expired.pem
