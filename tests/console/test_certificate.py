"""``kioskctl certificate``: nothing is signed for whom the kiosk's present key did not vouch."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from agent.provision.certificate import make_request
from console.ca import CertificateAuthority
from contract.certificates import CertificateRequested, prove
from contract.command import Command
from contract.keys import PrivateKey
from tests.support.authority import new_key
from tests.support.scripted_kiosk import ScriptedKiosk

SECRET = "correct horse battery"


class Renewed(ScriptedKiosk):
    """Answers a request with what the test says, and takes any certificate."""

    def __init__(
        self, port: int, li: PrivateKey, answer: CertificateRequested, kiosk: str = "k-1"
    ) -> None:
        super().__init__(port, kiosk, [li], self._answer)
        self.installed: list[str] = []
        self._requested = answer

    async def _answer(self, _: ScriptedKiosk, command: Command) -> None:
        result = {}
        if command.action == "certificate.request":
            result = self._requested.model_dump(exclude_none=True)
        else:
            self.installed.append(command.args["certificate"])
        for status in ("accepted", "running"):
            await self.receipt(command, status)
        await self.receipt(command, "succeeded", result=result)


@pytest.fixture
def ca(tmp_path: Path) -> CertificateAuthority:
    (tmp_path / "secret").write_text(SECRET)
    return CertificateAuthority.create(tmp_path / "ca", "Kiosks", SECRET)


@pytest.fixture
def renew(kioskctl, key_file, tmp_path: Path) -> Callable[[], Awaitable]:
    async def work():
        secret = {"KIOSKCTL_PASSPHRASE_FILE": str(tmp_path / "secret")}
        return await kioskctl("certificate", "renew", "k-1", "--key", key_file, **secret)

    return work


async def test_renewed(broker, li, ca, renew):
    """The request is signed by the CA, for this kiosk, and sent."""
    present, key = new_key(), new_key()
    await asyncio.to_thread(ca.sign, make_request(present, "k-1"))
    csr = make_request(key, "k-1")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present))
    async with Renewed(broker.port, li, answer).online() as kiosk:
        done = await renew()
    assert done.code == 0, done.errors
    issued = await asyncio.to_thread(ca.issued)
    assert [one.pem.decode() for one in issued][1:] == kiosk.installed
    assert "BEGIN CERTIFICATE" not in done.out
    assert max(len(line) for line in done.out.splitlines()) < 150  # a step is a line


async def test_key_in_hardware_needs_no_proof(broker, li, ca, renew):
    """The request is for the key that the CA knows already."""
    csr = make_request(new_key(), "k-1")
    await asyncio.to_thread(ca.sign, csr)
    answer = CertificateRequested(csr=csr.decode())
    async with Renewed(broker.port, li, answer).online():
        done = await renew()
    assert done.code == 0, done.errors
    assert len(await asyncio.to_thread(ca.issued)) == 2


async def test_key_of_a_certificate_that_has_run_out_vouches_for_nothing(
    broker, li, ca, kioskctl, key_file
):
    """It lies about on disks that nobody looks after any more."""
    long_ago, folder = datetime.now(UTC) - timedelta(days=100), kioskctl.folder
    old = await asyncio.to_thread(
        CertificateAuthority.create, folder / "old", "Old", SECRET, now=lambda: long_ago
    )
    present, key = new_key(), new_key()
    await asyncio.to_thread(old.sign, make_request(present, "k-1"), days=90)
    csr = make_request(key, "k-1")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present))
    words = ("certificate", "renew", "k-1", "--ca", "old", "--key", key_file)
    async with Renewed(broker.port, li, answer).online() as kiosk:
        done = await kioskctl(*words, KIOSKCTL_PASSPHRASE_FILE=str(folder / "secret"))
    assert done.code == 2
    assert "k-1: the key of no certificate that the kiosk has vouches" in done.errors
    assert kiosk.installed == []


@pytest.mark.parametrize("revoked", [False, True], ids=["forged", "revoked"])
async def test_request_that_may_be_somebody_elses(broker, li, ca, renew, *, revoked):
    """By a broker that puts its own key in, or by who has a key that was revoked."""
    present, key = new_key(), new_key()
    await asyncio.to_thread(ca.sign, make_request(present, "k-1"))
    csr = make_request(key, "k-1")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present if revoked else key))
    if revoked:
        await asyncio.to_thread(ca.revoke, "k-1")
    async with Renewed(broker.port, li, answer).online() as kiosk:
        done = await renew()
    assert done.code == 2
    assert "k-1: the key of no certificate that the kiosk has vouches" in done.errors
    assert len(await asyncio.to_thread(ca.issued)) == 1
    assert kiosk.installed == []


async def test_request_for_another_name(broker, li, ca, renew):
    present, key = new_key(), new_key()
    await asyncio.to_thread(ca.sign, make_request(present, "k-1"))
    csr = make_request(key, "k-2")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present))
    async with Renewed(broker.port, li, answer).online():
        done = await renew()
    assert done.code == 2
    assert "'k-2', not for 'k-1'" in done.errors


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
async def test_each_kiosk_of_several_by_itself(broker, li, ca, kioskctl, key_file, *, as_json):
    """What one cannot be given keeps no other waiting, and is told with its reason."""
    keys = {f"k-{number}": new_key() for number in range(1, 6)}
    for name, key in keys.items():
        await asyncio.to_thread(ca.sign, make_request(key, name))

    def requested(name: str, key: EllipticCurvePrivateKey) -> CertificateRequested:
        csr = make_request(new_key(), name)
        return CertificateRequested(csr=csr.decode(), proof=prove(csr, key))

    answers = {
        "k-1": requested("k-1", new_key()),
        "k-2": requested("k-9", keys["k-2"]),
        "k-3": requested("k-3", keys["k-3"]),
        "k-4": requested("k-4", keys["k-4"]).model_copy(update={"proof": "证"}),
        "k-5": requested("k-5", keys["k-5"]),
    }
    words = ["certificate", "renew", "--all", "--yes", "--key", key_file]
    secret = {"KIOSKCTL_PASSPHRASE_FILE": str(kioskctl.folder / "secret")}
    async with AsyncExitStack() as stack:
        kiosks = [
            await stack.enter_async_context(Renewed(broker.port, li, answer, name).online())
            for name, answer in answers.items()
        ]
        done = await kioskctl(*words, *(["--json"] if as_json else []), **secret)
    assert done.code == 1
    for name in ("k-1", "k-4"):
        assert f"{name}: the key of no certificate that the kiosk has vouches" in done.errors
    assert "k-2: the request is for 'k-9', not for 'k-2'" in done.errors
    assert [len(kiosk.installed) for kiosk in kiosks] == [0, 0, 1, 0, 1]
    assert len(await asyncio.to_thread(ca.issued)) == 7
    if as_json:
        lines = done.lines
        ends = {line["kiosk"]: line["outcome"] for line in lines if "outcome" in line}
        failed = {"k-1": "failed", "k-2": "failed", "k-4": "failed"}
        assert ends == failed | {"k-3": "succeeded", "k-5": "succeeded"}


async def test_request_for_another_ca(broker, li, ca, kioskctl, key_file):
    """It is fetched into a file, checked against the certificate that the kiosk has."""
    present, folder = new_key(), kioskctl.folder
    (folder / "k-1.crt").write_bytes(await asyncio.to_thread(ca.sign, make_request(present, "k-1")))
    csr = make_request(new_key(), "k-1")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present))
    words = ("certificate", "request", "k-1", "--present", "k-1.crt", "--key", key_file)
    async with Renewed(broker.port, li, answer).online():
        done = await kioskctl(*words, "--out", "k-1.csr")
        assert (await kioskctl(*words, "--out", "x", "--sign-to", "y")).code == 2
    assert done.code == 0, done.errors
    assert (folder / "k-1.csr").read_bytes() == csr


async def test_request_for_another_ca_is_for_this_kiosk(broker, li, ca, kioskctl, key_file):
    """Another CA signs what it is given: a kiosk that turned bad may not ask as somebody else."""
    present, folder = new_key(), kioskctl.folder
    (folder / "k-1.crt").write_bytes(await asyncio.to_thread(ca.sign, make_request(present, "k-1")))
    csr = make_request(new_key(), "k-2")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present))
    words = ("certificate", "request", "k-1", "--present", "k-1.crt", "--key", key_file)
    async with Renewed(broker.port, li, answer).online():
        done = await kioskctl(*words, "--out", "k-1.csr")
    assert done.code == 2
    assert "'k-2', not for 'k-1'" in done.errors
    assert not (folder / "k-1.csr").exists()


async def test_install_needs_something(kioskctl, key_file):
    done = await kioskctl("certificate", "install", "k-1", "--key", key_file)
    assert done.code == 2
    assert "a certificate, roots, or both" in done.errors


async def test_moving_to_a_new_ca(broker, li, ca, kioskctl, key_file):
    """The old CA's records say whose the request is; the new one signs it."""
    present, folder = new_key(), kioskctl.folder
    await asyncio.to_thread(ca.sign, make_request(present, "k-1"))
    new = await asyncio.to_thread(CertificateAuthority.create, folder / "new", "New", SECRET)
    csr = make_request(new_key(), "k-1")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present))
    words = ("certificate", "renew", "k-1", "--ca", "new", "--key", key_file)
    secret = {"KIOSKCTL_PASSPHRASE_FILE": str(folder / "secret")}
    async with Renewed(broker.port, li, answer).online() as kiosk:
        assert (await kioskctl(*words, **secret)).code == 2
        done = await kioskctl(*words, "--present-ca", "ca", **secret)
    assert done.code == 0, done.errors
    assert [one.pem.decode() for one in await asyncio.to_thread(new.issued)] == kiosk.installed


async def test_moving_to_a_new_ca_a_second_time(broker, li, ca, kioskctl, key_file):
    """Who has moved already has a certificate of the new CA, and vouches with the key of that."""
    folder, present = kioskctl.folder, new_key()
    new = await asyncio.to_thread(CertificateAuthority.create, folder / "new", "New", SECRET)
    await asyncio.to_thread(new.sign, make_request(present, "k-1"))
    csr = make_request(new_key(), "k-1")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, present))
    words = ("certificate", "renew", "k-1", "--ca", "new", "--present-ca", "ca", "--key", key_file)
    async with Renewed(broker.port, li, answer).online():
        done = await kioskctl(*words, KIOSKCTL_PASSPHRASE_FILE=str(folder / "secret"))
    assert done.code == 0, done.errors


@pytest.mark.parametrize("moving", [False, True], ids=["same CA", "new CA"])
async def test_old_answer_with_a_key_that_was_revoked(
    broker, li, ca, kioskctl, key_file, *, moving
):
    """The broker kept it; a key that vouched for it is in force, and somebody else has that key."""
    folder, before, stolen = kioskctl.folder, new_key(), new_key()
    await asyncio.to_thread(ca.sign, make_request(before, "k-1"))
    csr = make_request(stolen, "k-1")
    answer = CertificateRequested(csr=csr.decode(), proof=prove(csr, before))
    await asyncio.to_thread(ca.sign, csr)
    issued = await asyncio.to_thread(ca.issued)
    await asyncio.to_thread(ca.revoke, issued[1].serial)
    await asyncio.to_thread(CertificateAuthority.create, folder / "new", "New", SECRET)
    cas = ("--ca", "new", "--present-ca", "ca") if moving else ("--ca", "ca")
    words = ("certificate", "renew", "k-1", *cas, "--key", key_file)
    async with Renewed(broker.port, li, answer).online() as kiosk:
        done = await kioskctl(*words, KIOSKCTL_PASSPHRASE_FILE=str(folder / "secret"))
    assert done.code == 2
    assert "k-1: the request is for the key of a revoked certificate" in done.errors
    assert kiosk.installed == []
