"""A request for a certificate (PKCS #10): what a CA believes of it, and how to make one."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from console.errors import RequestError

MAX_REQUEST_BYTES = 16 * 1024
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def read_request(csr_pem: bytes) -> tuple[str, ec.EllipticCurvePublicKey]:
    """Return the common name and the key that a request asks for; nothing else of it counts.

    Raises:
        RequestError: it is no request, its signature is not by its own key, or the key is weak.
    """
    if len(csr_pem) > MAX_REQUEST_BYTES:
        msg = f"the request is larger than {MAX_REQUEST_BYTES} bytes"
        raise RequestError(msg)
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        genuine = request.is_signature_valid
        hashed = request.signature_hash_algorithm
        names = [
            attribute.value for attribute in request.subject if attribute.oid == NameOID.COMMON_NAME
        ]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        msg = f"this is no certificate request in PEM form: {error}"
        raise RequestError(msg) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        msg = "the request's key must be on the curve P-256, P-384 or P-521"
        raise RequestError(msg)
    if not genuine or not isinstance(hashed, _HASHES):
        msg = "the request is not signed by its own key with SHA-256 or better"
        raise RequestError(msg)
    if len(names) != 1 or not isinstance(names[0], str):
        msg = "the request must have exactly one common name"
        raise RequestError(msg)
    return names[0], key


def make_request(name: str) -> tuple[bytes, bytes]:
    """Make a key; returns it (PKCS #8, unencrypted) and the request for its certificate, in PEM.

    Raises:
        RequestError: the name is too long for a common name.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        msg = f"name {name!r}: {error}"
        raise RequestError(msg) from None
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, request.public_bytes(Encoding.PEM)
