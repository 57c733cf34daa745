"""Whatever step the power fails at, the folder holds an identity that works: the old or the new."""

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from agent.errors import CertificateError
from agent.provision.certificate import Chain, is_request_for, make_request, software_key
from agent.provision.folder import IdentityFolder
from contract.certificates import CertificateRequested, check_proof
from contract.errors import SignatureError
from tests.support.authority import Authority, key_pem, new_key
from tests.support.configured import Mains, PowerCutError

STEPS = ("replace", "unlink", "fsync")
HARDWARE = b"-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n-----END TSS2 PRIVATE KEY-----\n"


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("Root")


@pytest.fixture(scope="module")
def new_root() -> Authority:
    return Authority("New root")


@pytest.fixture
def folder(tmp_path: Path, root: Authority) -> IdentityFolder:
    """A provisioned kiosk."""
    folder = IdentityFolder(tmp_path / "state")
    chain = Chain.read(root.sign(folder.first_request("k1")))
    folder.install(chain, [root.certificate])
    return folder


@pytest.fixture
def mains(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mains]:
    """The power may fail before and after each step that a file system can lose."""
    mains, synced = Mains(), os.fsync
    for name in STEPS:
        genuine = getattr(os, name)

        def step(*args, _genuine=genuine, **options):
            mains.step()
            if _genuine is not synced:  # takes time, and a test's machine stays up
                _genuine(*args, **options)
            mains.step()

        monkeypatch.setattr(os, name, step)
    opened = os.open

    def open_(path, flags, *args, **options):
        if flags & os.O_TRUNC:
            mains.step()
        return opened(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", open_)
    yield mains
    mains.restore()


def usable(folder: IdentityFolder) -> tuple[bytes, bytes]:
    """Connect as far as that goes without a broker; returns certificate and roots."""
    tls = folder.in_use()
    assert tls.certificate
    assert tls.key
    assert tls.ca
    context = ssl.create_default_context(cafile=tls.ca)
    context.load_cert_chain(tls.certificate, tls.key, password="")
    return tls.certificate.read_bytes(), tls.ca.read_bytes()


def cut_at_every_step(mains: Mains, work: Callable[[], None], after: Callable[[], None]) -> int:
    """Do the work with the power failing at its first step, its second, and so on."""
    for number in range(1000):
        mains.cuts = [number]
        try:
            work()
        except PowerCutError:
            mains.restore()
            after()
        else:
            mains.cuts = []
            after()
            return number
    raise AssertionError


def renewed(folder: IdentityFolder, root: Authority) -> Chain:
    requested = folder.next_request("k1")
    return Chain.read(root.sign(requested.csr.encode()))


def test_first_identity(tmp_path: Path, root: Authority):
    """The key is made once, is the owner's alone to read, and its certificate is put in force."""
    folder = IdentityFolder(tmp_path / "state")
    assert folder.in_use() == type(folder.in_use())()
    first = folder.first_request("k1")
    key = (folder.path / "device.key").read_bytes()
    again = folder.first_request("k1")
    assert Chain.read(root.sign(first)).leaf.public_key() == (
        Chain.read(root.sign(again)).leaf.public_key()
    )
    assert (folder.path / "device.key").read_bytes() == key
    folder.install(Chain.read(root.sign(first)), [root.certificate])
    usable(folder)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.path.iterdir()}
    assert modes == {"device.key": 0o600, "device.crt": 0o600, "roots.pem": 0o600}
    assert {path.stat().st_mode & 0o077 for path in (folder.path, folder.path.parent)} == {0}


def test_certificate_of_another_key(folder: IdentityFolder, root: Authority):
    stranger = make_request(new_key(), "k1")
    before = usable(folder)
    with pytest.raises(CertificateError, match="another key"):
        folder.install(Chain.read(root.sign(stranger)), None)
    assert usable(folder) == before


def test_install_survives_power_cuts(
    folder: IdentityFolder, root: Authority, new_root: Authority, mains: Mains
):
    before = usable(folder)
    chain = Chain.read(root.sign(folder.first_request("k1")))
    roots = [root.certificate, new_root.certificate]
    both = {before[0], chain.pem}, {before[1], root.pem + new_root.pem}

    def after() -> None:
        certificate, trusted = usable(folder)
        assert certificate in both[0]
        assert trusted in both[1]

    assert cut_at_every_step(mains, lambda: folder.install(chain, roots), after) > 5
    assert usable(folder) == (chain.pem, root.pem + new_root.pem)


@pytest.mark.parametrize("cut", [False, True], ids=["on trial", "half taken over"])
def test_install_on_site_ends_a_renewal(
    folder: IdentityFolder, root: Authority, mains: Mains, *, cut: bool
):
    """What a renewal has left in the folder neither refuses it nor puts itself in its place."""
    folder.begin_trial(renewed(folder, root), [root.certificate])
    if cut:
        mains.cuts = [2]  # its key is in force already, its certificate is not
        with pytest.raises(PowerCutError):
            folder.take_over()
        mains.restore()
        assert not (folder.path / "next.key").exists()
        assert (folder.path / "next.crt").exists()
    again = IdentityFolder(folder.path.parent)
    chain = Chain.read(root.sign(again.first_request("k1")))
    again.install(chain, None)
    again.settle()
    assert usable(again) == (chain.pem, root.pem)
    assert not again.on_trial()
    assert not again.request_is_open
    assert not (folder.path / "next.key").exists()


def test_install_on_site_mends_a_renewal_that_is_damaged(folder: IdentityFolder, root: Authority):
    (folder.path / "next.crt").write_bytes(b"")
    chain = Chain.read(root.sign(folder.first_request("k1")))
    folder.install(chain, None)
    assert usable(folder) == (chain.pem, root.pem)


def test_one_request_is_open_at_a_time(folder: IdentityFolder, mains: Mains):
    """The same request comes again, whenever the power failed while it was made."""
    keys = set()

    def after() -> None:
        folder.settle()
        usable(folder)
        first, again = folder.next_request("k1"), folder.next_request("k1")
        assert first.csr == again.csr
        keys.add((folder.path / "next.key").read_bytes())
        for name in ("next.key", "next.csr"):
            (folder.path / name).unlink()

    steps = cut_at_every_step(mains, lambda: folder.next_request("k1"), after)
    assert len(keys) == steps + 1


@pytest.mark.parametrize("what", ["certificate", "roots", "both"])
@pytest.mark.parametrize("won", [True, False], ids=["won", "lost"])
def test_trial_survives_power_cuts(
    folder: IdentityFolder, root: Authority, mains: Mains, *, what: str, won: bool
):
    """At each step of beginning a trial and ending it, and again in the life after that.

    A certificate and roots that were ordered together are on trial, and in force, both or none.
    """
    new_root, second = Authority("New root"), 0
    before = usable(folder)
    chain = renewed(folder, root) if what != "roots" else None
    roots = [root.certificate, new_root.certificate] if what != "certificate" else None
    new = (chain.pem if chain else before[0], root.pem + new_root.pem if roots else before[1])
    saved = {path.name: path.read_bytes() for path in folder.path.iterdir()}

    def restore() -> None:
        for path in folder.path.iterdir():
            path.unlink()
        for name, content in saved.items():
            (folder.path / name).write_bytes(content)

    def work() -> None:
        folder.begin_trial(chain, roots)
        folder.take_over() if won else folder.end_trial()

    def finish(later: IdentityFolder) -> None:
        """What the next life of the agent does."""
        later.settle()
        if later.on_trial():
            later.take_over() if won else later.end_trial()

    def after() -> None:
        later = IdentityFolder(folder.path.parent)
        assert usable(later) in {before, new}
        mains.cuts = [second]
        try:
            finish(later)
        except PowerCutError:
            mains.restore()
            later = IdentityFolder(folder.path.parent)
            assert usable(later) in {before, new}
            finish(later)
        mains.cuts = []
        found = usable(later)
        assert found in {before, new}
        assert not later.on_trial()
        assert later.request_is_open is (chain is not None and found == before)
        assert not (later.path / "next-crt-roots.pem").exists()
        restore()

    for second in range(8):  # noqa: B007 - read by what comes after a cut
        assert cut_at_every_step(mains, work, after) > 5
    work()
    assert usable(folder) == (new if won else before)
    finish(folder)
    assert usable(folder) == (new if won else before)


def test_disk_fails_while_a_won_trial_is_taken_over(
    folder: IdentityFolder, root: Authority, monkeypatch: pytest.MonkeyPatch
):
    """Once the new key is in force, nothing goes back: the next start finishes it."""
    chain = renewed(folder, root)
    folder.begin_trial(chain, [root.certificate])
    genuine, moved = os.replace, []

    def replace(source, target) -> None:
        if moved:
            raise OSError(28, "No space left on device")
        moved.append(target)
        genuine(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="No space"):
        folder.take_over()
    assert not folder.on_trial()
    folder.end_trial()
    assert usable(folder)[0] == chain.pem
    monkeypatch.undo()
    folder.settle()
    assert usable(folder)[0] == chain.pem
    assert {path.name for path in folder.path.iterdir()} == {
        "device.key",
        "device.crt",
        "roots.pem",
    }


def test_disk_fails_while_a_trial_is_taken_back(
    folder: IdentityFolder, root: Authority, monkeypatch: pytest.MonkeyPatch
):
    """The old identity is in use all the same, and a later trial is not mixed with what is left."""
    before = usable(folder)
    folder.begin_trial(renewed(folder, root), [Authority("Wrong root").certificate])

    def unlink(*_) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(OSError, match="Read-only"):
        folder.end_trial()
    assert usable(folder) == before
    assert not folder.on_trial()
    with pytest.raises(OSError, match="Read-only"):
        folder.begin_trial(renewed(folder, root), None)
    assert usable(folder) == before
    monkeypatch.undo()
    chain = renewed(folder, root)
    folder.begin_trial(chain, None)
    assert usable(folder) == (chain.pem, before[1])


def test_only_the_open_request_can_be_answered(folder: IdentityFolder, root: Authority):
    with pytest.raises(CertificateError, match="no request is open"):
        folder.begin_trial(folder.chain(), None)
    folder.next_request("k1")
    with pytest.raises(CertificateError, match="another key"):
        folder.begin_trial(Chain.read(root.sign(make_request(new_key(), "k1"))), None)
    assert not folder.on_trial()


def test_lost_trial_leaves_its_request_open(folder: IdentityFolder, root: Authority):
    requested = folder.next_request("k1")
    folder.begin_trial(Chain.read(root.sign(requested.csr.encode())), None)
    folder.end_trial()
    assert folder.next_request("k1").csr == requested.csr


def test_key_of_a_trial_was_taken_away(folder: IdentityFolder, root: Authority):
    """A new certificate whose key somebody removed does not replace the old one."""
    before = usable(folder)
    folder.begin_trial(renewed(folder, root), None)
    (folder.path / "next.key").unlink()
    folder.settle()
    assert usable(folder) == before


def test_present_key_vouches_for_a_request(folder: IdentityFolder):
    """So that a broker cannot have another key signed for this kiosk."""
    chain = folder.chain()
    assert chain is not None
    requested = folder.next_request("k1")
    assert check_proof(requested, [chain.leaf]) == requested.csr.encode()
    forged = CertificateRequested(csr=make_request(new_key(), "k1").decode(), proof=requested.proof)
    for wrong in (forged, requested.model_copy(update={"proof": None})):
        with pytest.raises(SignatureError, match="sign nothing"):
            check_proof(wrong, [chain.leaf])
    with pytest.raises(SignatureError):
        check_proof(requested, [])


def test_key_in_hardware(tmp_path: Path, root: Authority):
    """It stays over renewals; its request is what the engineer put beside it."""
    folder = IdentityFolder(tmp_path / "state")
    folder.path.mkdir(parents=True)
    (folder.path / "device.key").write_bytes(HARDWARE)
    with pytest.raises(CertificateError, match=r"device\.csr"):
        folder.first_request("k1")
    csr = make_request(new_key(), "k1")
    (folder.path / "device.csr").write_bytes(csr)
    assert folder.first_request("k1") == csr
    first, second = Chain.read(root.sign(csr)), Chain.read(root.sign(csr))
    folder.install(first, [root.certificate])
    requested = folder.next_request("k1")
    assert requested == CertificateRequested(csr=csr.decode())
    assert check_proof(requested, [first.leaf]) == csr
    folder.begin_trial(second, None)
    folder.take_over()
    chain = folder.chain()
    assert chain is not None
    assert chain.pem == second.pem
    assert {path.name for path in folder.path.iterdir()} == {
        "device.key",
        "device.crt",
        "device.csr",
        "roots.pem",
    }
    assert (folder.path / "device.key").read_bytes() == HARDWARE


@pytest.mark.parametrize("on_trial", [False, True], ids=["open", "on trial"])
@pytest.mark.parametrize("key", ["file", "hardware"])
def test_key_that_was_exchanged_for_one_in_hardware(
    folder: IdentityFolder, root: Authority, key: str, *, on_trial: bool
):
    """What was open for the key before it goes: the next renewal is for the key of now."""
    if key == "hardware":
        (folder.path / "device.key").write_bytes(HARDWARE.replace(b"A", b"B"))
        (folder.path / "device.csr").write_bytes(make_request(new_key(), "k1"))
    chain = renewed(folder, root)
    if on_trial:
        folder.begin_trial(chain, [root.certificate])
    csr = make_request(new_key(), "k1")
    (folder.path / "device.key").write_bytes(HARDWARE)
    (folder.path / "device.csr").write_bytes(csr)
    again = IdentityFolder(folder.path.parent)
    again.settle()
    assert not again.on_trial()
    assert not again.request_is_open
    assert again.next_request("k1") == CertificateRequested(csr=csr.decode())
    assert (folder.path / "device.key").read_bytes() == HARDWARE


def test_open_request_outlives_a_key_that_is_damaged(folder: IdentityFolder, root: Authority):
    """A file that cannot be read is no key in hardware: what is on trial may be all there is."""
    folder.begin_trial(renewed(folder, root), None)
    (folder.path / "device.key").write_bytes(b"damaged")
    folder.settle()
    assert folder.on_trial()
    usable(folder)


def test_nothing_to_renew(tmp_path: Path):
    with pytest.raises(CertificateError, match="provision it on site"):
        IdentityFolder(tmp_path).next_request("k1")


def test_request_made_before_a_fault_is_kept(folder: IdentityFolder):
    """A key whose request was not written gets one."""
    folder.next_request("k1")
    key = (folder.path / "next.key").read_bytes()
    (folder.path / "next.csr").unlink()
    folder.next_request("k1")
    assert software_key((folder.path / "next.key").read_bytes()) is not None
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_open_request_follows_the_kiosks_id(folder: IdentityFolder, root: Authority, mains: Mains):
    """The id was changed in the settings: the same key asks under it, whenever the power fails."""
    folder.next_request("k1")
    key = (folder.path / "next.key").read_bytes()

    def after() -> None:
        requested = folder.next_request("k2")
        chain = Chain.read(root.sign(requested.csr.encode()))
        assert chain.leaf.subject.rfc4514_string() == "CN=k2"
        assert chain.is_for(key, None)
        folder.next_request("k1")

    assert cut_at_every_step(mains, lambda: folder.next_request("k2"), after) > 3
    present = folder.chain()
    assert present is not None
    requested = folder.next_request("k2")
    assert check_proof(requested, [present.leaf]) == requested.csr.encode()
    assert folder.next_request("k2").csr == requested.csr
    folder.begin_trial(Chain.read(root.sign(requested.csr.encode())), None)
    folder.take_over()
    usable(folder)


def test_open_request_that_is_damaged(folder: IdentityFolder):
    """It is made anew, from the same key."""
    folder.next_request("k1")
    key = (folder.path / "next.key").read_bytes()
    (folder.path / "next.csr").write_bytes(b"")
    assert is_request_for(folder.next_request("k1").csr.encode(), "k1")
    assert (folder.path / "next.key").read_bytes() == key


def test_open_request_of_a_key_in_hardware_follows_its_file(tmp_path: Path):
    """Only the hardware can ask under another id: what the engineer had it ask is given out."""
    folder = IdentityFolder(tmp_path / "state")
    folder.path.mkdir(parents=True)
    (folder.path / "device.key").write_bytes(HARDWARE)
    key = new_key()
    (folder.path / "device.csr").write_bytes(make_request(key, "k1"))
    old = folder.next_request("k1").csr
    assert folder.next_request("k2").csr == old
    (folder.path / "device.csr").write_bytes(make_request(key, "k2"))
    assert is_request_for(folder.next_request("k2").csr.encode(), "k2")
    assert (folder.path / "next.key").read_bytes() == HARDWARE


def test_key_under_a_passphrase_or_of_another_kind(folder: IdentityFolder):
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder.path / "device.key").write_bytes(key_pem(rsa_key))  # type: ignore[arg-type]
    with pytest.raises(CertificateError, match="elliptic curve"):
        folder.first_request("k1")
