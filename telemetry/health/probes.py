"""The probes of a kiosk."""

from collections.abc import Callable
from pathlib import Path

from contract import Clock
from telemetry.health.certificate import CertificateProbe
from telemetry.health.disk import DiskProbe, WearProbe
from telemetry.health.modem import ModemProbe
from telemetry.health.network import NetworkProbe
from telemetry.health.probe import Probe, in_thread
from telemetry.health.process import ProcessProbe
from telemetry.health.settings import HealthSettings
from telemetry.health.system import SystemProbe
from telemetry.health.temperature import TemperatureProbe


def kiosk_probes(
    state_dir: Path,
    settings: HealthSettings,
    *,
    certificate: Callable[[], Path | None],
    clock: Clock,
    bus_address: str | None = None,
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
) -> tuple[Probe, ...]:
    """Make every probe; the machine answers those that it can.

    ``state_dir`` is on the file system to watch; ``certificate`` says which one the link uses and
    may block; ``bus_address`` is that of the system bus.
    """
    return (
        Probe("system", in_thread(SystemProbe().read)),
        Probe("disk", in_thread(DiskProbe(state_dir, proc=proc).read)),
        Probe("wear", in_thread(WearProbe(sys=sys).read), every_s=settings.wear_s),
        Probe("temperature", in_thread(TemperatureProbe(sys=sys).read)),
        Probe("network", in_thread(NetworkProbe(proc=proc, sys=sys).read)),
        Probe("process", in_thread(ProcessProbe().read)),
        Probe(
            "certificate",
            in_thread(CertificateProbe(certificate, clock).read),
            every_s=settings.certificate_s,
        ),
        Probe("modem", ModemProbe(bus_address).read, every_s=settings.modem_s),
    )
