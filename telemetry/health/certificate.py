"""How long the certificate is good that the kiosk shows to the broker."""

from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from contract import Clock
from telemetry.health.probe import Values

_DAY_S = 86_400
_MAX_BYTES = 64 * 1024


class CertificateProbe:
    """Days left; nothing without a certificate, or by a clock that may be wrong.

    ``certificate`` says which one is in use; it may block.
    """

    def __init__(self, certificate: Callable[[], Path | None], clock: Clock) -> None:
        self._certificate = certificate
        self._clock = clock

    def read(self) -> Values:
        """Read the file. Raises ``OSError``, ``ValueError``."""
        now, path = self._clock.stamp(), self._certificate()
        if path is None or now.time_quality != "synced":
            return {}
        with path.open("rb") as file:
            chain = x509.load_pem_x509_certificates(file.read(_MAX_BYTES))
        left = min(one.not_valid_after_utc for one in chain) - now.time
        return {"certificate_days_left": round(left.total_seconds() / _DAY_S, 1)}
