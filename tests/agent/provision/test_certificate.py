"""What is found wrong with a certificate before a broker finds it."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent.errors import CertificateError
from agent.provision.certificate import (
    Chain,
    make_request,
    new_key,
    read_certificates,
    read_request,
    software_key,
)
from tests.support.authority import SERVER, Authority

NOW = datetime.now(UTC)
SM2_ROOT = b"""\
-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIUCQ6hDeYFQPNJLb1/0871+I25hzwwCgYIKoEcz1UBg3Uw
DjEMMAoGA1UEAwwDU00yMCAXDTI2MTEyODA0MTA1OFoYDzIxMjYxMTA0MDQxMDU4
WjAOMQwwCgYDVQQDDANTTTIwWTATBgcqhkjOPQIBBggqgRzPVQGCLQNCAAQQb26C
Kd0XHEPue9YVcAFoEmRd1OxxhqpvxuShSn9GwxLWiz7oBzyObrp0dw0OMR94TYe/
/sDWFPuAwr3K7GRMo1MwUTAdBgNVHQ4EFgQUui2VTuseYSTv87cjtszrfgvRlkYw
HwYDVR0jBBgwFoAUui2VTuseYSTv87cjtszrfgvRlkYwDwYDVR0TAQH/BAUwAwEB
/zAKBggqgRzPVQGDdQNJADBGAiEAiLYftoaZ3KBgPl685ca2wZGMm0ALWFLpNBbn
D4hWpDwCIQCdLgy6P/Z7UatSmuC0RxuLFfDl1qxhz+f09Mq34RR4QA==
-----END CERTIFICATE-----
"""
"""CN=SM2, on a curve that the cryptography library does not know."""
KEY_AGREEMENT_ALONE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("Root")


@pytest.fixture(scope="module")
def request_pem() -> bytes:
    key = software_key(new_key())
    assert key is not None
    return make_request(key, "k1")


def check(pem: bytes, *roots: Authority, now: datetime | None = NOW) -> None:
    Chain.read(pem).check(kiosk="k1", roots=[one.certificate for one in roots], now=now)


def test_good(root: Authority, request_pem: bytes):
    check(root.sign(request_pem), root)


def test_one_of_several_roots_vouches(root: Authority, request_pem: bytes):
    check(root.sign(request_pem), Authority("Old root"), root)


def test_through_intermediates_in_any_order(root: Authority, request_pem: bytes):
    """From leaf to root over two authorities between them, whatever their order in the file."""
    first = Authority("First", above=root)
    second = Authority("Second", above=first)
    leaf = second.sign(request_pem)
    check(leaf + second.pem + first.pem, root)
    check(leaf + first.pem + second.pem, root)
    with pytest.raises(CertificateError, match="intermediates belong below it"):
        check(leaf + second.pem, root)


def test_without_roots_the_broker_judges(root: Authority, request_pem: bytes):
    check(root.sign(request_pem))


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"name": "k2"}, "made out to CN=k2, and this is k1"),
        ({"usage": SERVER}, "not for clients"),
        ({"key_usage": KEY_AGREEMENT_ALONE}, "not for signatures"),
        ({"since": NOW - timedelta(days=100)}, "expired at"),
        ({"since": NOW + timedelta(days=1)}, "not valid before"),
    ],
)
def test_refused(root: Authority, request_pem: bytes, options: dict, wrong: str):
    with pytest.raises(CertificateError, match=wrong):
        check(root.sign(request_pem, **options), root)


def test_of_another_authority(root: Authority, request_pem: bytes):
    """Also one that has the same name."""
    with pytest.raises(CertificateError, match="none of the roots vouches"):
        check(Authority("Root").sign(request_pem), root)


@pytest.mark.parametrize(
    ("since", "wrong"),
    [
        (NOW - timedelta(days=11), "its root is of no use: CN=Old root expired at"),
        (NOW + timedelta(days=1), "its root is of no use: CN=Old root is not valid before"),
    ],
)
def test_of_a_root_that_is_out_of_date(
    root: Authority, request_pem: bytes, since: datetime, wrong: str
):
    """Brokers look at its dates as well."""
    old = Authority("Old root", since=since, days=10)
    leaf = old.sign(request_pem)
    with pytest.raises(CertificateError, match=wrong):
        check(leaf, old, root)
    check(leaf, old, root, now=None)


def test_authorities_below_one_that_allows_none(request_pem: bytes):
    """A root says how many there may be between it and a kiosk."""
    none, one = Authority("None", path_length=0), Authority("One", path_length=1)
    check(none.sign(request_pem), none)
    for root in (none, one):
        below = Authority("Below", above=root)
        leaf = below.sign(request_pem)
        if root is one:
            check(leaf + below.pem, root)
            continue
        with pytest.raises(CertificateError, match="none of the roots vouches"):
            check(leaf + below.pem, root)


def test_key_of_a_kind_that_is_not_known(request_pem: bytes):
    """It vouches for nothing, and belongs to nobody."""
    stranger = Chain.read(SM2_ROOT)
    leaf = Chain.read(Authority("SM2").sign(request_pem))
    with pytest.raises(CertificateError, match="none of the roots vouches"):
        leaf.check(kiosk="k1", roots=[stranger.leaf], now=None)
    with pytest.raises(CertificateError, match="of no use here"):
        stranger.is_for(new_key(), None)


def test_a_kiosk_is_no_authority(root: Authority, request_pem: bytes):
    """A certificate that a mere client's would have signed does not count."""
    client = Authority("Client", above=root)
    leaf = client.sign(request_pem)
    client.certificate = Chain.read(root.sign(request_pem, "Client")).leaf
    with pytest.raises(CertificateError, match="none of the roots vouches"):
        check(leaf + client.pem, root)


@pytest.mark.parametrize("since", [NOW - timedelta(days=100), NOW + timedelta(days=1)])
def test_dates_do_not_count_by_an_untrusted_clock(
    root: Authority, request_pem: bytes, since: datetime
):
    check(root.sign(request_pem, since=since), root, now=None)


@pytest.mark.parametrize("pem", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_no_certificates(pem: bytes):
    with pytest.raises(CertificateError, match="no certificates in PEM form"):
        Chain.read(pem)


def test_too_many(root: Authority):
    with pytest.raises(CertificateError, match="at most 2"):
        read_certificates(root.pem * 3, limit=2)


def test_belongs_to_a_key(root: Authority, request_pem: bytes):
    """A key in a file is compared itself, one in hardware by the request that it signed."""
    key = new_key()
    own = software_key(key)
    assert own is not None
    chain = Chain.read(root.sign(make_request(own, "k1")))
    assert chain.is_for(key, None)
    assert not chain.is_for(new_key(), None)
    with pytest.raises(CertificateError, match="no certificate request"):
        chain.is_for(b"-----BEGIN TSS2 PRIVATE KEY-----", b"nonsense")
    in_hardware = b"-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n-----END TSS2 PRIVATE KEY-----\n"
    assert chain.is_for(in_hardware, make_request(own, "k1"))
    assert not chain.is_for(in_hardware, request_pem)
    with pytest.raises(CertificateError, match=r"device\.csr"):
        chain.is_for(in_hardware, None)


@pytest.mark.parametrize("length", [1, 20, 63], ids=str)
def test_request_with_a_null_too_much(length: int):
    """tpm2-openssl 1.1 writes such; read, it is what the key signed, and signed it still is."""
    key = software_key(new_key())
    assert key is not None
    good = x509.load_pem_x509_csr(make_request(key, "k" * length))
    der = good.public_bytes(Encoding.DER)
    algorithm = bytes.fromhex("06082a8648ce3d040302")
    head = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    content = der[head:].replace(b"\x30\x0a" + algorithm, b"\x30\x0c" + algorithm + b"\x05\x00")
    bad = b"\x30\x82" + len(content).to_bytes(2, "big") + content
    pem = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(bad)
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    with pytest.raises(ValueError, match="pars"):
        x509.load_pem_x509_csr(pem)
    mended = read_request(pem)
    assert mended.is_signature_valid
    assert mended == good
