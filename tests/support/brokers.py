"""Real brokers for tests, each on a free port of 127.0.0.1."""

import datetime as dt
import ipaddress
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.broker import HOST, free_port
from bench.rig.mosquitto import MosquittoProcess, NoBrokerError, find_program


def need_mosquitto() -> None:
    """Skip the test where there is none."""
    try:
        find_program()
    except NoBrokerError as error:
        pytest.skip(str(error))


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of a CA, a server at 127.0.0.1, a client, and a CA that signed neither."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    other_ca: Path


class Mosquitto(MosquittoProcess):
    """The reference broker; ``password``: of user ``kiosk``, without it anybody may connect."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str | None = None,
        acl: str | None = None,
        tls: Certificates | None = None,
        client_certificate: bool = False,
        identity_as_username: bool = False,
        websockets: bool = False,
        persistence: bool = False,
        max_packet_size: int | None = None,
    ) -> None:
        need_mosquitto()
        port = free_port()
        lines = [
            "per_listener_settings false",
            "set_tcp_nodelay true",
            "max_inflight_messages 1000",
            f"allow_anonymous {'false' if password else 'true'}",
            f"persistence {'true' if persistence else 'false'}",
            f"persistence_location {folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it changes to a user who cannot read our files
        if max_packet_size is not None:
            lines.append(f"max_packet_size {max_packet_size}")
        if password is not None:
            lines.append(f"password_file {_passwords(folder, password)}")
        if acl is not None:
            lines.append(f"acl_file {_private(folder / 'acl', acl)}")
        if websockets:
            # It does not start with WebSocket alone, and without the domain it listens everywhere.
            lines.append(f"listener 0 {folder / 'plain.sock'}")
        lines.append(f"listener {port} {HOST}")
        if websockets:
            lines += ["protocol websockets", "socket_domain ipv4"]
        if tls is not None:
            lines += [f"cafile {tls.ca}", f"certfile {tls.server}", f"keyfile {tls.server_key}"]
            lines.append(f"require_certificate {'true' if client_certificate else 'false'}")
            lines.append(f"use_identity_as_username {'true' if identity_as_username else 'false'}")
        super().__init__(folder, "\n".join(lines) + "\n", port)


def _passwords(folder: Path, password: str) -> Path:
    path = folder / "passwords"
    program = find_program("mosquitto_passwd")
    subprocess.run([program, "-b", "-c", str(path), "kiosk", password], check=True)
    return path


def _private(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def make_certificates(folder: Path, host: str = HOST) -> Certificates:
    """Make them anew, valid for a day; the server's is for the address ``host``."""
    ca_key, other_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    ca = _certificate("Test CA", ca_key, "Test CA", ca_key, is_ca=True)
    server_key = ec.generate_private_key(ec.SECP256R1())
    client_key = ec.generate_private_key(ec.SECP256R1())
    return Certificates(
        ca=_pem(folder / "ca.pem", ca),
        server=_pem(
            folder / "server.pem", _certificate("broker", server_key, "Test CA", ca_key, host)
        ),
        server_key=_pem(folder / "server.key", server_key),
        client=_pem(folder / "client.pem", _certificate("kiosk", client_key, "Test CA", ca_key)),
        client_key=_pem(folder / "client.key", client_key),
        other_ca=_pem(
            folder / "other.pem",
            _certificate("Other CA", other_key, "Other CA", other_key, is_ca=True),
        ),
    )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    host: str = HOST,
    *,
    is_ca: bool = False,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(names, critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(authority, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _pem(path: Path, what: x509.Certificate | ec.EllipticCurvePrivateKey) -> Path:
    if isinstance(what, x509.Certificate):
        path.write_bytes(what.public_bytes(serialization.Encoding.PEM))
    else:
        path.write_bytes(
            what.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    path.chmod(0o600)
    return path
