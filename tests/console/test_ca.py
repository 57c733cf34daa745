"""``kioskctl ca``: what it signs, what it does not believe, and what it remembers."""

import datetime as dt
import ipaddress
import json
import os
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from console import passphrase
from console.ca import BACKDATED, CertificateAuthority
from console.ca_acl import mosquitto_acl
from console.ca_request import make_request
from console.errors import AuthorityError, ConsoleError, RequestError

SECRET = "correct horse battery"
START = dt.datetime(2026, 5, 1, 8, 0, tzinfo=dt.UTC)


class Calendar:
    """The CA's clock."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A passphrase that is spun out less long: nobody guesses these."""
    monkeypatch.setattr(passphrase, "ITERATIONS", 1000)


@pytest.fixture
def calendar():
    return Calendar()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "ca"


@pytest.fixture
def authority(folder, calendar):
    return CertificateAuthority.create(folder, "Baotou kiosks", SECRET, now=calendar)


def request(name, key=None, *, names=None, algorithm=None, extensions=()):
    """A request as a stranger would write it."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, one) for one in names or [name]]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    key = key or ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def sha256_request(name, key=None, **more):
    return request(name, key, algorithm=hashes.SHA256(), **more)


def _with_colons(serial):
    return ":".join(re.findall("..", serial.zfill(40)))


def common_name(certificate):
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def unit(certificate):
    return certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)[0].value


def test_a_kiosks_certificate(authority):
    """Names the kiosk and its role, holds its key, opens doors as a client and nothing else."""
    private, csr = make_request("baotou-017")
    certificate = x509.load_pem_x509_certificate(authority.sign(csr))
    assert (common_name(certificate), unit(certificate)) == ("baotou-017", "kiosk")
    assert certificate.public_key() == load_pem_private_key(private, None).public_key()
    assert certificate.serial_number.bit_length() > 64
    assert certificate.not_valid_before_utc == START - BACKDATED
    assert certificate.not_valid_after_utc == START + dt.timedelta(days=730)
    found = certificate.extensions
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = found.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_cert_sign) == (True, False)
    purposes = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_root_signs_no_other_ca(authority):
    """Ten years, and no CA below it."""
    root = x509.load_pem_x509_certificate(authority.root_pem)
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert root.not_valid_after_utc > START + dt.timedelta(days=3650)


def test_a_brokers_certificate(authority, calendar):
    """Is good for the names and addresses that were given, and a kiosk's is good for none."""
    _, csr = make_request("broker")
    pem = authority.sign_server(csr, ["broker.example.org", "10.0.0.1"])
    root = x509.load_pem_x509_certificate(authority.root_pem)
    verifying = PolicyBuilder().store(Store([root])).time(calendar.now)
    certificate = x509.load_pem_x509_certificate(pem)
    for host in (
        x509.DNSName("broker.example.org"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
    ):
        verifying.build_server_verifier(host).verify(certificate, [])
    with pytest.raises(VerificationError):
        verifying.build_server_verifier(x509.DNSName("other.example.org")).verify(certificate, [])
    kiosk = x509.load_pem_x509_certificate(authority.sign(make_request("broker")[1]))
    with pytest.raises(VerificationError):
        verifying.build_server_verifier(x509.DNSName("broker")).verify(kiosk, [])
    for bad in ("Broker.example", "-x", "a b", "*.example.org", ""):
        with pytest.raises(RequestError, match="neither a host's name"):
            authority.sign_server(csr, [bad])


@pytest.mark.parametrize("role", ["viewer", "operator", "supervisor", "maintainer", "service"])
def test_a_persons_name_is_no_kiosks(authority, role):
    """It begins with the role and a dot, whether or not the request says so."""
    for asked in ("wang-lei", f"{role}.wang-lei"):
        certificate = x509.load_pem_x509_certificate(
            authority.sign(make_request(asked)[1], role=role)
        )
        assert (common_name(certificate), unit(certificate)) == (f"{role}.wang-lei", role)


def test_nothing_of_a_request_is_taken_over_but_key_and_name(authority):
    """Not its extensions, not its other names."""
    csr = sha256_request(
        "k-1",
        extensions=[
            x509.BasicConstraints(ca=True, path_length=None),
            x509.SubjectAlternativeName([x509.DNSName("broker.example.org")]),
        ],
    )
    certificate = x509.load_pem_x509_certificate(authority.sign(csr))
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    "name", ["Baotou", "baotou_017", "operator.wang", "a/b", "+", "#", "-a", "x" * 64, " a"]
)
def test_a_kiosk_needs_a_kiosks_name(authority, name):
    """As topics and broker rules know it; else nothing is signed and nothing recorded."""
    with pytest.raises(RequestError, match="cannot be a kiosk's id"):
        authority.sign(sha256_request(name))
    assert authority.issued() == []


def test_weak_and_foreign_keys_are_refused(authority):
    """A curve of 256 bits is the least; other kinds of keys are not for this."""
    for key, algorithm in (
        (ec.generate_private_key(ec.SECP224R1()), hashes.SHA256()),
        (rsa.generate_private_key(65537, 2048), hashes.SHA256()),
        (ed25519.Ed25519PrivateKey.generate(), None),
    ):
        with pytest.raises(RequestError, match="P-256"):
            authority.sign(request("k-1", key, algorithm=algorithm))
    strong = sha256_request("k-1", ec.generate_private_key(ec.SECP384R1()))
    assert authority.sign(strong).startswith(b"-----BEGIN CERTIFICATE")


def test_a_request_must_be_its_own(authority):
    """Signed by the key that it names, by SHA-256 or better, with one name, and not too large."""
    csr = x509.load_pem_x509_csr(sha256_request("k-1"))
    other = x509.load_pem_x509_csr(sha256_request("k-2"))
    der = bytearray(csr.public_bytes(Encoding.DER))
    place = der.index(b"k-1")
    der[place : place + 3] = b"k-3"
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    for bad, why in (
        (forged, "not signed by its own key"),
        (sha256_request("", names=["k-1", "k-2"]), "one common name"),
        (b"x", "no certificate request"),
        (b"x" * 20_000, "larger than"),
        (other.public_bytes(Encoding.DER), "no certificate request"),
    ):
        with pytest.raises(RequestError, match=why):
            authority.sign(bad)


def test_a_request_of_another_than_expected(authority):
    """Who renews a kiosk says which: a kiosk cannot ask for another one's certificate."""
    csr = sha256_request("k-2")
    with pytest.raises(RequestError, match="'k-2', not for 'k-1'"):
        authority.sign(csr, name="k-1")
    authority.sign(csr, name="k-2")


def test_no_certificate_outlives_the_root(authority, calendar):
    """It ends with it; after that nothing is signed any more."""
    calendar.now += dt.timedelta(days=3652 - 100)
    certificate = x509.load_pem_x509_certificate(authority.sign(sha256_request("k-1")))
    root = x509.load_pem_x509_certificate(authority.root_pem)
    assert certificate.not_valid_after_utc == root.not_valid_after_utc
    calendar.now += dt.timedelta(days=101)
    for late in (lambda: authority.sign(sha256_request("k-1")), authority.crl):
        with pytest.raises(AuthorityError, match="has run out"):
            late()


def test_a_clock_that_stands_before_the_root_signs_nothing(authority, calendar):
    """A machine without network and with an empty battery: what it signed would be over already."""
    calendar.now -= dt.timedelta(days=2)
    for early in (lambda: authority.sign(sha256_request("k-1")), authority.crl):
        with pytest.raises(AuthorityError, match="set this machine's clock"):
            early()
    assert authority.issued() == []


def test_revoked_certificates_are_on_the_list(authority, calendar):
    """By serial one, by name all in force; each list has a higher number than the one before."""
    for name in ("k-1", "k-2", "k-2"):
        authority.sign(sha256_request(name))
    first, second, third = authority.issued()
    root = x509.load_pem_x509_certificate(authority.root_pem)
    empty = x509.load_pem_x509_crl(authority.crl())
    assert len(empty) == 0
    assert [one.serial for one in authority.revoke(first.serial)] == [first.serial]
    gone = authority.revoke("k-2")
    assert {one.serial for one in gone} == {second.serial, third.serial}
    revoked = x509.load_pem_x509_crl(authority.crl())
    assert {one.serial_number for one in revoked} == {
        int(one.serial, 16) for one in (first, second, third)
    }
    assert revoked.is_signature_valid(root.public_key())
    assert revoked.next_update_utc == root.not_valid_after_utc
    assert _number(revoked) > _number(empty)
    with pytest.raises(AuthorityError, match="no certificate in force"):
        authority.revoke("k-2")


@pytest.mark.parametrize("write", [str.lower, lambda serial: f"00{serial}", _with_colons])
def test_a_serial_as_other_tools_write_it(authority, write):
    """In lower case, with zeros in front, or a colon after each byte."""
    authority.sign(sha256_request("k-1"))
    [issued] = authority.issued()
    assert [one.serial for one in authority.revoke(write(issued.serial))] == [issued.serial]


def test_a_broker_may_have_a_kiosks_name(authority):
    """Who revokes that kiosk does not mean the broker, whose certificate has a serial."""
    authority.sign_server(make_request("x")[1], ["north"])
    with pytest.raises(AuthorityError, match="that of a server is revoked by its serial"):
        authority.revoke("north")
    authority.sign(sha256_request("north"))
    assert [one.role for one in authority.revoke("north")] == ["kiosk"]
    assert [one.role for one in authority.revoke(authority.issued()[0].serial)] == ["server"]


def test_a_revoked_key_is_not_signed_again(authority):
    """Whoever has it would come in under a new serial; for whom else, a person says so."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority.sign(sha256_request("k-1", key))
    authority.revoke("k-1")
    again = sha256_request("k-2", key)
    for sign in (authority.sign, lambda csr: authority.sign_server(csr, ["broker"])):
        with pytest.raises(RequestError, match=r"key of a revoked certificate \(.*, k-1\)"):
            sign(again)
    assert len(authority.issued()) == 1
    assert authority.sign(again, same_key=True)
    authority.sign(sha256_request("k-1"))


def test_what_was_told_outlives_a_power_cut(folder, tmp_path, monkeypatch):
    """A new CA is in its folder's folder for good, and what SQLite committed stays so."""
    synced, modes, connect = set(), [], sqlite3.connect

    class Connection(sqlite3.Connection):
        def close(self):
            modes.append(self.execute("PRAGMA synchronous").fetchone()[0])
            super().close()

    def fsync(descriptor):
        synced.add((os.fstat(descriptor).st_ino, folder.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(
        sqlite3, "connect", lambda *words, **more: connect(*words, factory=Connection, **more)
    )
    CertificateAuthority.create(folder, "Kiosks", SECRET).sign(sha256_request("k-1"))
    assert {(folder.stat().st_ino, False), (tmp_path.stat().st_ino, True)} <= synced
    assert set(modes) == {3}  # EXTRA


def test_a_ca_is_opened_with_its_passphrase_alone(authority, folder, calendar):
    """It goes on where it was; the key's file gives nothing away."""
    authority.sign(sha256_request("k-1"))
    again = CertificateAuthority.open(folder, SECRET, now=calendar)
    again.sign(sha256_request("k-2"))
    assert [one.name for one in again.issued()] == ["k-1", "k-2"]
    assert again.root_pem == authority.root_pem
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "root.jwk").stat().st_mode & 0o777 == 0o600
    assert passphrase.is_encrypted((folder / "root.jwk").read_bytes())
    with pytest.raises(AuthorityError, match="passphrase is wrong"):
        CertificateAuthority.open(folder, "another passphrase")


def test_a_ca_is_made_once(authority, folder, tmp_path):
    """What is there is not overwritten, and what cannot be made leaves nothing."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(AuthorityError, match="not empty"):
        CertificateAuthority.create(folder, "Another", SECRET)
    with pytest.raises(ConsoleError, match="at least 8"):
        CertificateAuthority.create(tmp_path / "other", "Another", "short")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_damaged_ca_says_so(authority, folder):
    """In a sentence that names the file."""
    (folder / "root.pem").write_bytes(
        CertificateAuthority.create(folder.parent / "other", "Other", SECRET).root_pem
    )
    with pytest.raises(AuthorityError, match=r"root\.jwk is not the key of root\.pem"):
        CertificateAuthority.open(folder, SECRET)
    (folder / "index.db").write_bytes(b"x" * 4096)
    with pytest.raises(AuthorityError, match=r"index\.db: file is not a database"):
        authority.issued()


def test_two_sign_at_once(authority, folder, calendar):
    """Nothing is lost and nothing has one serial twice."""
    other = CertificateAuthority.open(folder, SECRET, now=calendar)
    requests = [sha256_request(f"k-{number}") for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        list(
            threads.map(
                lambda pair: pair[0].sign(pair[1]),
                zip([authority, other] * 6, requests, strict=True),
            )
        )
    assert sorted(one.name for one in authority.issued()) == sorted(f"k-{n}" for n in range(12))
    assert len({one.serial for one in authority.issued()}) == 12


def test_rights_follow_from_what_is_in_force(authority, calendar):
    """Who has run out has no row; who was revoked, and not renewed, is shut out by name."""
    authority.sign(make_request("wang")[1], role="operator", days=10)
    authority.sign(make_request("zhao")[1], role="viewer")
    authority.sign(make_request("k-1")[1])
    authority.sign(make_request("k-2")[1])
    authority.revoke("k-1")
    authority.revoke("k-2")
    authority.sign(make_request("k-2")[1])
    authority.sign_server(make_request("broker")[1], ["k-9"])
    authority.revoke(authority.issued()[-1].serial)

    def users():
        text = mosquitto_acl(authority.issued(), "kiosk/v1", calendar.now.timestamp())
        blocks = text.split("\n\n")
        assert "pattern write kiosk/v1/%u/up/#" in text
        return {
            lines[0].removeprefix("user "): lines[1:]
            for lines in (block.strip().split("\n") for block in blocks)
            if lines[0].startswith("user ")
        }

    assert users().keys() == {"operator.wang", "viewer.zhao", "k-1"}
    assert "topic write kiosk/v1/+/down/command" in users()["operator.wang"]
    assert not [row for row in users()["viewer.zhao"] if "write" in row]
    assert users()["k-1"] == ["topic deny #", "topic deny $SYS/#"]
    calendar.now += dt.timedelta(days=11)
    assert users().keys() == {"viewer.zhao", "k-1"}


async def test_from_a_request_to_the_brokers_files(kioskctl, tmp_path):
    """The whole way of the command line."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")

    async def ca(*words):
        return await kioskctl("ca", *words, KIOSKCTL_PASSPHRASE_FILE="secret")

    assert (await ca("init", "Baotou kiosks")).code == 0
    assert (await ca("request", "wang", "--key", "wang.key", "--out", "wang.csr")).code == 0
    assert (tmp_path / "wang.key").stat().st_mode & 0o777 == 0o600
    signed = await ca("sign", "wang.csr", "--role", "operator", "--out", "wang.pem")
    assert (signed.code, "operator.wang as operator until" in signed.out) == (0, True)
    twice = await ca("sign", "wang.csr", "--role", "operator", "--out", "wang.pem")
    assert (twice.code, "--again" in twice.errors) == (2, True)
    server = await ca("sign", "wang.csr", "--server", "broker.example", "--out", "server.pem")
    assert server.code == 0
    unknown = await ca("sign", "wang.csr", "--role", "boss", "--out", "x")
    assert (unknown.code, "supervisor" in unknown.errors) == (2, True)
    assert (await ca("revoke", "operator.wang")).code == 0
    assert (await ca("crl", "--out", "crl.pem")).code == 0
    assert len(x509.load_pem_x509_crl((tmp_path / "crl.pem").read_bytes())) == 1
    assert (await ca("acl", "--out", "acl")).code == 0
    assert "user operator.wang\ntopic deny #" in (tmp_path / "acl").read_text()
    listed = await ca("list", "--json")
    assert [(row["name"], row["state"]) for row in listed.lines] == [
        ("operator.wang", "revoked"),
        ("broker.example", "valid"),
    ]
    assert "revoked before" not in signed.errors + server.errors
    words = ("sign", "wang.csr", "--role", "operator", "--out", "wang.pem")
    refused = await ca(*words)
    assert (refused.code, "--same-key" in refused.errors) == (2, True)
    again = await ca(*words, "--same-key")
    assert again.code == 0, again.errors
    assert "operator.wang was revoked before: the broker needs a new acl and crl" in again.errors
    shown = await kioskctl("--lang", "zh", "ca", "list")
    assert "已吊销" in shown.out
    assert json.dumps(SECRET)[1:-1] not in signed.out + signed.errors


async def test_no_ca_no_question(kioskctl):
    """Where there is none, nobody is asked for its passphrase."""
    done = await kioskctl("ca", "crl", "--folder", "nowhere", "--out", "x")
    assert (done.code, "nowhere is no CA" in done.errors) == (2, True)
    done = await kioskctl("ca", "list", "--folder", "nowhere")
    assert (done.code, "kioskctl ca init makes one" in done.errors) == (2, True)


def _number(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
