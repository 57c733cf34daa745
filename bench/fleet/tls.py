"""The broker's and our certificates, from the operators' settings."""

import ssl

from console.settings import ConsoleSettings
from telemetry.transport import TlsOptions


def tls_options(settings: ConsoleSettings) -> TlsOptions | None:
    """Return what the kiosks connect with; None: plain TCP."""
    if not settings.address.tls:
        return None
    return TlsOptions(settings.ca, settings.certificate, settings.certificate_key)


def tls_context(options: TlsOptions | None) -> ssl.SSLContext | None:
    """Return the same for a client that wants a context. Reads files."""
    if options is None:
        return None
    context = ssl.create_default_context(cafile=options.ca)
    if options.certificate is not None:
        context.load_cert_chain(options.certificate, options.key)
    return context
