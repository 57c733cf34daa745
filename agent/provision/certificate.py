"""Keys, requests and certificates as PEM: made, read, and checked. Nothing here touches a file."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import CertificateError
from contract.wire import format_time

MAX_CHAIN = 5
MAX_ROOTS = 16
_ECDSA = bytes.fromhex("300a06082a8648ce3d040302")
_ECDSA_AND_NULL = bytes.fromhex("300c06082a8648ce3d0403020500")
_REQUEST = b"-----BEGIN CERTIFICATE REQUEST-----\n%b-----END CERTIFICATE REQUEST-----\n"
_SKEW = timedelta(minutes=5)
"""How far the clock of whoever signed may be ahead of ours."""
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def new_key() -> bytes:
    """Make a key on P-256, the curve that TPMs and every TLS library know."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def software_key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    """Return the key in a file; ``None`` where hardware keeps it and the file only names it.

    Raises:
        CertificateError: it cannot be used here.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, UnsupportedAlgorithm):
        return None
    except TypeError:
        msg = "the device key is under a passphrase, and nobody is there to type it"
        raise CertificateError(msg) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = "the device key has to be on an elliptic curve, best P-256"
        raise CertificateError(msg)
    return key


def make_request(key: ec.EllipticCurvePrivateKey, kiosk: str) -> bytes:
    """Make a certificate signing request (PKCS #10) for this kiosk."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kiosk)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """Read a request that a person made with other tools.

    Raises:
        CertificateError: it is none.
    """
    try:
        return x509.load_pem_x509_csr(_without_null(pem))
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"no certificate request in PEM form: {error}"
        raise CertificateError(msg) from None


def is_request_for(pem: bytes, kiosk: str) -> bool:
    """Whether it can be read, and asks for a certificate of this kiosk."""
    try:
        names = read_request(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (CertificateError, ValueError):
        return False
    return [name.value for name in names] == [kiosk]


def _without_null(pem: bytes) -> bytes:
    """Take out what tpm2-openssl 1.1 (Debian 12) writes behind the signature's algorithm.

    RFC 5758 (3.2) wants nothing there, and strict readers refuse it. It is not under the signature.
    """
    lines = [line for line in pem.strip().splitlines() if line and not line.startswith(b"-")]
    der = base64.b64decode(b"".join(lines))
    if der.count(_ECDSA_AND_NULL) != 1:
        return pem
    header = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    content = der[header:].replace(_ECDSA_AND_NULL, _ECDSA)
    size = len(content).to_bytes(2, "big")
    length = b"\x82" + size if size[0] else (b"\x81" if size[1] > 0x7F else b"") + size[1:]
    return _REQUEST % base64.encodebytes(b"\x30" + length + content)


def read_certificates(pem: bytes, *, limit: int) -> tuple[x509.Certificate, ...]:
    """Read one certificate after the other.

    Raises:
        CertificateError: there is none, there are more than ``limit``, or one is damaged.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"no certificates in PEM form: {error}"
        raise CertificateError(msg) from None
    if len(found) > limit:
        msg = f"{len(found)} certificates, and at most {limit} are taken"
        raise CertificateError(msg)
    return tuple(found)


def write_certificates(certificates: Sequence[x509.Certificate]) -> bytes:
    """Return them as PEM, without what may have stood between them."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


@dataclass(frozen=True, slots=True)
class Chain:
    """The kiosk's certificate, and those that lead from it to a root."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def read(cls, pem: bytes) -> "Chain":
        """Read the leaf and its intermediates. Raises :class:`CertificateError`."""
        return cls(read_certificates(pem, limit=MAX_CHAIN))

    @property
    def leaf(self) -> x509.Certificate:
        """The kiosk's own."""
        return self.certificates[0]

    @property
    def pem(self) -> bytes:
        """The file."""
        return write_certificates(self.certificates)

    @property
    def not_after(self) -> datetime:
        """When the first of them expires."""
        return min(one.not_valid_after_utc for one in self.certificates)

    @property
    def serial(self) -> str:
        """Of the leaf, hexadecimal, as certificate authorities write it."""
        return f"{self.leaf.serial_number:X}"

    def is_for(self, key_pem: bytes, request: bytes | None) -> bool:
        """Whether it belongs to a key; one in hardware is known by a request that it signed.

        Raises:
            CertificateError: there is no saying.
        """
        owner = software_key(key_pem) or (read_request(request) if request else None)
        if owner is None:
            msg = "the device key is in hardware, and its request (device.csr) is not beside it"
            raise CertificateError(msg)
        try:
            return bool(self.leaf.public_key() == owner.public_key())
        except (ValueError, UnsupportedAlgorithm) as error:
            msg = f"the certificate, or the request, is of a key that is of no use here: {error}"
            raise CertificateError(msg) from None

    def check(self, *, kiosk: str, roots: Sequence[x509.Certificate], now: datetime | None) -> None:
        """Find what is wrong with it before a broker does.

        Args:
            kiosk: whom it has to be made out to.
            roots: one of them has to vouch for it; none: that is left to the broker.
            now: ``None`` where the clock is not to be trusted: then dates do not count.

        Raises:
            CertificateError: it would be of no use.
        """
        names = self.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if [name.value for name in names] != [kiosk]:
            msg = f"it is made out to {self.leaf.subject.rfc4514_string()}, and this is {kiosk}"
            raise CertificateError(msg)
        self._check_usage()
        if now is not None:
            self._check_dates(now)
        if roots:
            self._check_roots(roots, now)

    def _check_usage(self) -> None:
        purposes = _extension(self.leaf, x509.ExtendedKeyUsage)
        if purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
            msg = "it is not for clients (extended key usage): brokers would refuse it"
            raise CertificateError(msg)
        usage = _extension(self.leaf, x509.KeyUsage)
        if usage is not None and not usage.digital_signature:
            msg = "it is not for signatures (key usage): brokers would refuse it"
            raise CertificateError(msg)

    def _check_dates(self, now: datetime) -> None:
        for one in self.certificates:
            if (wrong := _outdated(one, now)) is not None:
                raise CertificateError(wrong)

    def _check_roots(self, roots: Sequence[x509.Certificate], now: datetime | None) -> None:
        root = self._root_among([one for one in roots if now is None or not _outdated(one, now)])
        if root is not None:
            return
        if now is not None and (root := self._root_among(roots)) is not None:
            msg = f"its root is of no use: {_outdated(root, now)}"
            raise CertificateError(msg)
        msg = (
            f"it was issued by {self.leaf.issuer.rfc4514_string()}, and none of the roots "
            "vouches for that; intermediates belong below it in the file"
        )
        raise CertificateError(msg)

    def _root_among(self, roots: Sequence[x509.Certificate]) -> x509.Certificate | None:
        one, rest, between = self.leaf, list(self.certificates[1:]), 0
        while True:
            for root in roots:
                if one == root or _issued(root, one, between):
                    return root
            issuer = next((other for other in rest if _issued(other, one, between)), None)
            if issuer is None:
                return None
            rest.remove(issuer)
            between += issuer.subject != issuer.issuer  # by RFC 5280, those do not count
            one = issuer


def _issued(issuer: x509.Certificate, certificate: x509.Certificate, between: int) -> bool:
    """Whether it did, and may with so many authorities between it and the kiosk."""
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return False
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return False
    if constraints.path_length is not None and constraints.path_length < between:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _outdated(one: x509.Certificate, now: datetime) -> str | None:
    """What its dates say against it."""
    who = one.subject.rfc4514_string()
    if one.not_valid_after_utc <= now:
        return f"{who} expired at {format_time(one.not_valid_after_utc)}"
    if one.not_valid_before_utc > now + _SKEW:
        begin = format_time(one.not_valid_before_utc)
        return f"{who} is not valid before {begin}, and it is {format_time(now)}"
    return None


def _extension(one: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return what it says of this kind; ``None``: nothing, or nothing that can be read."""
    try:
        return one.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, UnsupportedAlgorithm):
        return None
