"""A small certificate authority in a folder, for those who have none.

    root.jwk    the root's private key under a passphrase (console.passphrase)
    root.pem    its certificate
    index.db    what was issued and revoked

One root signs everything itself. Its certificates say who somebody is (CN) and as what (OU).
A kiosk's name is its id; everybody else's begins with the role and a dot, which no kiosk's id
has: ``operator.wang-lei``.
"""

import datetime as dt
import errno
import ipaddress
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from console import files, passphrase
from console.ca_index import ROLES, Issued, IssuedIndex, Role
from console.ca_request import read_request
from console.errors import AuthorityError, ConsoleError, RequestError
from contract import ContractError, Topics

ROOT_DAYS = 3652
DEVICE_DAYS = 730
KEY_FILE: Final = "root.jwk"
ROOT_FILE: Final = "root.pem"
MAX_COMMON_NAME = 64
"""RFC 5280, upper bound of a common name."""
BACKDATED = dt.timedelta(days=1)
"""A clock that is set to the local time of any zone is less than a day behind."""
_CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
_SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
_MAX_BYTES = 64 * 1024
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")


def utc_now() -> dt.datetime:
    """Return the time of this machine."""
    return dt.datetime.now(dt.UTC)


class CertificateAuthority:
    """Signs, revokes, and says what it revoked."""

    def __init__(
        self,
        root: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        index: IssuedIndex,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._root = root
        self._key = key
        self._index = index
        self._now = now

    @classmethod
    def create(
        cls,
        folder: Path,
        name: str,
        secret: str,
        *,
        days: int = ROOT_DAYS,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> Self:
        """Make a root in a folder that holds none yet.

        Args:
            folder: made where it is missing.
            name: what the root is called.
            secret: the passphrase of its key.
            days: how long it is valid.
            now: the time.

        Raises:
            ConsoleError: there is a CA already, the passphrase is too short, or a file cannot
                be written.
        """
        jwk = ECKey.generate_key("P-256").as_dict(private=True)
        key = _private(jwk)
        root = _root_certificate(name, key, now(), days)
        sealed = passphrase.encrypt(json.dumps(jwk), secret)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: it takes its name when all is in it.
            making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            try:
                files.create(making / KEY_FILE, f"{sealed}\n".encode(), mode=0o600)
                files.create(making / ROOT_FILE, root.public_bytes(Encoding.PEM))
                IssuedIndex(making).create()
                _sync(making)
                making.rename(folder)
            except BaseException:
                shutil.rmtree(making)
                raise
            _sync(folder.parent)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                msg = f"{folder} is not empty, and nothing in it is overwritten"
            else:
                msg = f"{folder}: {error.strerror}"
            raise AuthorityError(msg) from None
        return cls(root, key, IssuedIndex(folder), now)

    @classmethod
    def open(cls, folder: Path, secret: str, *, now: Callable[[], dt.datetime] = utc_now) -> Self:
        """Open what :meth:`create` made.

        Raises:
            ConsoleError: it is not there, or damaged, or the passphrase is wrong.
        """
        root = read_root(folder)
        try:
            sealed = files.read(folder / KEY_FILE, limit=_MAX_BYTES)
            key = _private(json.loads(passphrase.decrypt(sealed, secret)))
        except (ConsoleError, JoseError, ValueError) as error:
            msg = f"the key {folder / KEY_FILE}: {error}"
            raise AuthorityError(msg) from None
        if key.public_key() != root.public_key():
            msg = f"{folder}: {KEY_FILE} is not the key of {ROOT_FILE}"
            raise AuthorityError(msg)
        return cls(root, key, IssuedIndex(folder), now)

    @property
    def root_pem(self) -> bytes:
        """The root's certificate, for those who shall trust what it signs."""
        return self._root.public_bytes(Encoding.PEM)

    def sign(
        self,
        csr_pem: bytes,
        *,
        role: Role = "kiosk",
        name: str | None = None,
        days: int = DEVICE_DAYS,
        same_key: bool = False,
    ) -> bytes:
        """Return a client's certificate and what is between it and the root, in PEM.

        Of the request only the key and the common name count. A certificate never outlives
        the root.

        Args:
            csr_pem: the request.
            role: what its owner is.
            name: whose request it must be; default: whoever it names.
            days: how long it is valid.
            same_key: whether a revoked certificate may have the same key.

        Raises:
            RequestError: the request is not good, or not by the one who was expected.
            AuthorityError: the root is not valid now, or the index cannot be written.
        """
        asked, key = read_request(csr_pem)
        subject = subject_name(asked, role)
        if name is not None and subject != subject_name(name, role):
            msg = f"the request is for {subject!r}, not for {name!r}"
            raise RequestError(msg)
        return self._issue(subject, role, key, days, _CLIENT, same_key=same_key)

    def sign_server(
        self,
        csr_pem: bytes,
        hosts: Sequence[str],
        *,
        days: int = DEVICE_DAYS,
        same_key: bool = False,
    ) -> bytes:
        """Return the certificate of a server that clients call by these names or addresses.

        ``days`` and ``same_key`` are as with :meth:`sign`.

        Raises:
            RequestError: the request is not good, or a host is none.
            AuthorityError: the root is not valid now, or the index cannot be written.
        """
        _, key = read_request(csr_pem)
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        name = hosts[0][:MAX_COMMON_NAME]
        return self._issue(name, "server", key, days, _SERVER, names, same_key=same_key)

    def issued(self) -> list[Issued]:
        """Return everything that was issued, oldest first."""
        return self._index.all()

    def revoke(self, who: str) -> list[Issued]:
        """Revoke a certificate by its serial, or all valid ones of a client; returns them.

        Only a new :meth:`crl` at the broker makes it count.

        Raises:
            AuthorityError: there is none.
        """
        return self._index.revoke(who, int(self._now().timestamp()))

    def crl(self) -> bytes:
        """Return the revocation list in PEM.

        It is valid as long as the root: a broker refuses everybody once its list has run out.

        Raises:
            AuthorityError: the root is not valid now, or the index cannot be written.
        """
        now = self._valid_now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._root.subject)
            .last_update(now - BACKDATED)
            .next_update(self._root.not_valid_after_utc)
            .add_extension(_authority(self._root), critical=False)
            .add_extension(x509.CRLNumber(self._index.next_list(int(now.timestamp()))), False)
        )
        for entry in self._index.all():
            if entry.revoked is not None:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder()
                    .serial_number(int(entry.serial, 16))
                    .revocation_date(dt.datetime.fromtimestamp(entry.revoked, dt.UTC))
                    .build()
                )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _valid_now(self) -> dt.datetime:
        now = self._now()
        if now >= self._root.not_valid_after_utc:
            msg = "the root has run out; make a new CA and let both be trusted for a while"
            raise AuthorityError(msg)
        if now < self._root.not_valid_before_utc:
            msg = f"it is {now:%Y-%m-%d} here, before the root was made: set this machine's clock"
            raise AuthorityError(msg)
        return now

    def _issue(
        self,
        name: str,
        role: Role,
        key: ec.EllipticCurvePublicKey,
        days: int,
        *purpose: x509.ExtensionType,
        same_key: bool,
    ) -> bytes:
        now = self._valid_now()
        if not same_key:
            check_not_revoked(key, self._index.all())
        builder = (
            x509.CertificateBuilder()
            .subject_name(
                x509.Name(
                    [
                        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role),
                        x509.NameAttribute(NameOID.COMMON_NAME, name),
                    ]
                )
            )
            .issuer_name(self._root.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(now + dt.timedelta(days=days), self._root.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_authority(self._root), critical=False)
        )
        for extension in purpose:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(Encoding.PEM)
        self._index.add(
            Issued(
                serial=f"{certificate.serial_number:X}",
                name=name,
                role=role,
                not_before=int(certificate.not_valid_before_utc.timestamp()),
                not_after=int(certificate.not_valid_after_utc.timestamp()),
                revoked=None,
                pem=pem,
            )
        )
        return pem


def _private(jwk: Any) -> ec.EllipticCurvePrivateKey:
    """Raise ``JoseError`` or ``ValueError`` where it is no private key on a curve."""
    key = ECKey.import_key(jwk).private_key
    if key is None:
        msg = "not a private key"
        raise ValueError(msg)
    return key


def read_root(folder: Path) -> x509.Certificate:
    """Return a CA's root certificate; raises :class:`~console.errors.AuthorityError`."""
    try:
        return x509.load_pem_x509_certificate(files.read(folder / ROOT_FILE, limit=_MAX_BYTES))
    except (ConsoleError, ValueError) as error:
        msg = f"{folder} is no CA, or it is damaged: {error}; kioskctl ca init makes one"
        raise AuthorityError(msg) from None


def check_not_revoked(key: ec.EllipticCurvePublicKey, issued: Iterable[Issued]) -> None:
    """Raise :class:`RequestError` where a revoked certificate has this key.

    Who has the key would come in again, under a serial that no revocation list holds.
    """
    for entry in issued:
        if entry.revoked is None:
            continue
        if x509.load_pem_x509_certificate(entry.pem).public_key() == key:
            msg = (
                f"the request is for the key of a revoked certificate ({entry.serial}, "
                f"{entry.name}): whoever has that key would come in again; have a new key made, or "
                "take kioskctl ca sign --same-key where it cannot have left its TPM"
            )
            raise RequestError(msg)


def subject_name(asked: str, role: Role) -> str:
    """Return the common name: a kiosk's id, or ``role.name`` for all others.

    Raises:
        RequestError: the name, or what follows the role, does not have the form of a kiosk's id.
    """
    if role not in ROLES - {"server"}:
        msg = f"no role {role!r}; there are {', '.join(sorted(ROLES - {'server'}))}"
        raise RequestError(msg)
    prefix = "" if role == "kiosk" else f"{role}."
    name = asked.removeprefix(prefix)
    try:
        Topics(name)
    except ContractError:
        what = "a kiosk's id" if role == "kiosk" else f"the name of a {role}"
        msg = f"{asked!r} cannot be {what}: lower-case letters, digits and '-', at most 63"
        raise RequestError(msg) from None
    if len(prefix + name) > MAX_COMMON_NAME:
        msg = f"{prefix + name!r} is longer than {MAX_COMMON_NAME} signs"
        raise RequestError(msg)
    return prefix + name


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        msg = f"{host!r} is neither a host's name in lower case nor an address"
        raise RequestError(msg)
    return x509.DNSName(host)


def _root_certificate(
    name: str, key: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int
) -> x509.Certificate:
    try:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        msg = f"name {name!r}: {error}"
        raise AuthorityError(msg) from None
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _sync(folder: Path) -> None:
    """Make what was written or renamed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _authority(root: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
