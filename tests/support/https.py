"""An HTTPS server on this machine, under a root of its own: it can cut lines, and lie."""

import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        owner = self.server.owner
        owner.requests.append((self.path, self.headers.get("Range")))
        if owner.statuses:
            status, location = owner.statuses.pop(0)
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = owner.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        begin = 0
        asked = self.headers.get("Range")
        if asked and owner.resumes:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = len(content)
        if owner.cuts:
            end = min(end, begin + owner.cuts.pop(0))
        self.wfile.write(content[begin:end])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: "HttpsServer"

    def handle_error(self, *_: object) -> None:
        pass


class HttpsServer:
    """Serves ``files`` by name; what it was asked is in ``requests``."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.cuts: list[int] = []
        """The next answers end after so many bytes."""
        self.statuses: list[tuple[int, str | None]] = []
        """The next answers are these, with this address to go to."""
        self.resumes = True
        self.roots = folder / "roots.pem"
        certificate = folder / "server.pem"
        certificate.write_bytes(_certificate(self.roots))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, name: str) -> str:
        return f"https://127.0.0.1:{self._server.server_port}/{name}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _certificate(roots: Path) -> bytes:
    """Make a root, write it, and return a server's certificate and key under it."""
    now = datetime.now(UTC)

    def build(
        name: str, key: ec.EllipticCurvePrivateKey, change: Callable[..., x509.CertificateBuilder]
    ) -> x509.CertificateBuilder:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        return change(builder)

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = build(
        "root",
        root_key,
        lambda b: (
            b.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False
            )
        ),
    ).sign(root_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    leaf = build(
        "server",
        key,
        lambda b: b.add_extension(names, critical=False).add_extension(issuer, critical=False),
    ).sign(root_key, hashes.SHA256())
    roots.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    return leaf.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
