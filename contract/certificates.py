"""A kiosk's certificate request on its way to whoever signs it.

Receipts are not signed, so a broker could put another key's request into one. The kiosk therefore
signs the request once more, with the key of the certificate that it has.
"""

import base64
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field

from contract.errors import MalformedError, SignatureError
from contract.wire import WireModel

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_DOMAIN = b"kiosk-agent certificate request\x00"
"""Before what is signed, so that the signature is good for nothing else."""


class CertificateRequested(WireModel):
    """The result of ``certificate.request``."""

    csr: str = Field(max_length=8192, description="PKCS #10, PEM.")
    proof: str | None = Field(
        default=None,
        max_length=256,
        description="Signature by the key of the present certificate, base64; absent where the "
        "request is for that very key.",
    )


def prove(csr: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """Vouch for a request with the key that the kiosk is known by. Raises ``MalformedError``."""
    return base64.b64encode(key.sign(_content(_read(csr)), _ALGORITHM)).decode()


def check_proof(requested: CertificateRequested, known: Iterable[x509.Certificate]) -> bytes:
    """Return the request (PEM) where the key of one of the kiosk's certificates vouches for it.

    Raises:
        MalformedError: it is no request.
        SignatureError: none of them does: it may be somebody else's.
    """
    pem = requested.csr.encode()
    request = _read(pem)
    try:
        asked = request.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"the key of the certificate request cannot be read: {error}"
        raise MalformedError(msg) from None
    for certificate in known:
        key = certificate.public_key()
        if key == asked:
            return pem
        if isinstance(key, ec.EllipticCurvePublicKey):
            try:
                signature = base64.b64decode(requested.proof or "", validate=True)
                key.verify(signature, _content(request), _ALGORITHM)
            except (InvalidSignature, ValueError):  # no base64, or no ASCII
                continue
            return pem
    msg = (
        "the key of no certificate that the kiosk has vouches for this request: it may be somebody "
        "else's; sign nothing, and look at the broker"
    )
    raise SignatureError(msg)


def _content(request: x509.CertificateSigningRequest) -> bytes:
    return _DOMAIN + request.public_bytes(Encoding.DER)


def _read(pem: bytes) -> x509.CertificateSigningRequest:
    try:
        return x509.load_pem_x509_csr(pem)
    except ValueError as error:
        msg = f"no certificate request in PEM form: {error}"
        raise MalformedError(msg) from None
