"""A certificate authority for tests: roots, intermediates, kiosks, brokers, at any dates."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.support.brokers import Certificates

HOST = "127.0.0.1"
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Signs. ``above``: the authority that signs this one's certificate; none: it is a root."""

    def __init__(
        self,
        name: str,
        above: "Authority | None" = None,
        *,
        since: datetime | None = None,
        days: float = 3650,
        path_length: int | None = None,
    ) -> None:
        self._key = new_key()
        self.name = _named(name)
        self.certificate = (above or self)._certificate(
            self.name,
            self._key.public_key(),
            days=days,
            since=since,
            usage=None,
            path_length=path_length,
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(
        self,
        request: bytes,
        name: str | None = None,
        *,
        days: float = 90,
        since: datetime | None = None,
        usage: ObjectIdentifier = CLIENT,
        key_usage: x509.KeyUsage | None = None,
    ) -> bytes:
        """Sign a request (PEM), made out to whom it names, or somebody else."""
        read = x509.load_pem_x509_csr(request)
        subject = read.subject if name is None else _named(name)
        certificate = self._certificate(
            subject,
            read.public_key(),
            days=days,
            since=since,
            usage=usage,
            key_usage=key_usage,
        )
        return certificate.public_bytes(Encoding.PEM)

    def client(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Make a client's certificate and key as files."""
        return self._files(folder, name, CLIENT)

    def broker(
        self, folder: Path, clients: "list[Authority] | None" = None, since: datetime | None = None
    ) -> Certificates:
        """Make the files of a broker at 127.0.0.1 that admits the clients of some authorities."""
        server, server_key = self._files(folder, "broker", SERVER, since)
        ca = folder / "clients.pem"
        ca.write_bytes(b"".join(one.pem for one in clients or [self]))
        return Certificates(ca, server, server_key, server, server_key, ca)

    def _files(
        self, folder: Path, name: str, usage: ObjectIdentifier, since: datetime | None = None
    ) -> tuple[Path, Path]:
        folder.mkdir(exist_ok=True)
        key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
        private = new_key()
        subject = _named(name)
        made = self._certificate(subject, private.public_key(), days=90, since=since, usage=usage)
        key.write_bytes(key_pem(private))
        certificate.write_bytes(made.public_bytes(Encoding.PEM))
        return certificate, key

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        days: float,
        since: datetime | None = None,
        usage: ObjectIdentifier | None,
        path_length: int | None = None,
        key_usage: x509.KeyUsage | None = None,
    ) -> x509.Certificate:
        since = since or datetime.now(UTC) - timedelta(days=1)
        own = self._key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + timedelta(days=days))
            .add_extension(x509.BasicConstraints(usage is None, path_length), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if key_usage is not None:
            builder = builder.add_extension(key_usage, critical=True)
        if usage == SERVER:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())
