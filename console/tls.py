"""TLS to the broker: its context, and in a sentence why there is none."""

import ssl
from collections.abc import Callable
from typing import Final

from console.errors import BrokerError, SettingsError, TlsError
from console.settings import ConsoleSettings

_WAITING: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_OURS: Final = ("CERTIFICATE", "UNKNOWN_CA")
"""In the name of an alert: it is about the certificate that we showed."""


def tls_context(
    settings: ConsoleSettings, failed: Callable[[ssl.SSLError], None]
) -> ssl.SSLContext:
    """Return what a connection is made with.

    Args:
        settings: which certificates.
        failed: told why TLS failed, also after the handshake: with TLS 1.3 the broker looks at
            our certificate only then. The libraries above keep it to themselves.

    Raises:
        SettingsError: a certificate is unusable.
    """

    class Wire(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
            try:
                super().do_handshake(block)
            except ssl.SSLError as error:
                failed(error)
                raise

        def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
            try:
                return super().recv(buflen, flags)
            except _WAITING:
                raise
            except ssl.SSLError as error:
                failed(error)
                raise

    try:
        context = ssl.create_default_context(cafile=settings.ca and settings.ca.expanduser())
        if settings.certificate is not None and settings.certificate_key is not None:
            certificate, key = (
                settings.certificate.expanduser(),
                settings.certificate_key.expanduser(),
            )
            context.load_cert_chain(certificate, key)
    except OSError as error:
        files = ", ".join(
            str(path)
            for path in (settings.ca, settings.certificate, settings.certificate_key)
            if path
        )
        msg = f"TLS with {files or 'the roots of this system'}: {error}"
        raise SettingsError(msg) from None
    context.sslsocket_class = Wire
    return context


def explain_tls(settings: ConsoleSettings, error: ssl.SSLError) -> BrokerError:
    """Turn a failure of TLS into a sentence that the operator can act on."""
    broker = f"broker {settings.address}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(
            f"{broker}: its certificate is not trusted here (--ca): {error.verify_message}"
        )
    reason = error.reason or str(error)
    # How an abrupt end of the handshake is called depends on the version of OpenSSL.
    ended = isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    if ended or reason == "UNEXPECTED_EOF_WHILE_READING":
        return BrokerError(
            f"{broker} ended the TLS handshake: it is going down, or does not speak TLS there"
        )
    if reason == "WRONG_VERSION_NUMBER":
        return TlsError(f"{broker} does not speak TLS there: another port, or mqtt://")
    return TlsError(f"{broker} {_alert(settings, reason)}")


def _alert(settings: ConsoleSettings, reason: str) -> str:
    name = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
    if settings.certificate is None and (
        "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason
    ):
        return f"wants a client certificate (--certificate): {name}"
    if "ALERT" in reason and any(word in reason for word in _OURS):
        return f"refused the certificate {settings.certificate or '(none)'}: {name}{_hint(name)}"
    return f"and we found no way to speak TLS: {name}"


def _hint(name: str) -> str:
    if name == "unknown ca":
        return "; perhaps this is not the port for people, who have a CA of their own"
    return ""
