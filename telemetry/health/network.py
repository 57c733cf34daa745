"""Traffic, and the interface that leads out."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from telemetry.health.probe import Values

_UP = 0x0001
_REJECT = 0x0200
_PPP = "512"
"""ARPHRD_PPP: a dial-up modem has no device of its own."""


class NetworkProbe:
    """Counters are sums over hardware, so that bridges and tunnels do not count twice."""

    def __init__(self, *, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        self._proc = proc
        self._sys = sys

    def read(self) -> Values:
        """Read the kernel's tables."""
        counters = psutil.net_io_counters(pernic=True)
        hardware = [name for name in counters if self._is_hardware(name)]
        # A container has none, only the end of a virtual cable.
        names = hardware or [name for name in counters if name != "lo"]
        return {
            "network_interface": default_interface(self._proc),
            "network_received_bytes": sum(counters[name].bytes_recv for name in names),
            "network_sent_bytes": sum(counters[name].bytes_sent for name in names),
            "network_errors": sum(counters[name].errin + counters[name].errout for name in names),
            "network_dropped": sum(
                counters[name].dropin + counters[name].dropout for name in names
            ),
        }

    def _is_hardware(self, name: str) -> bool:
        interface = self._sys / "class/net" / name
        return (interface / "device").exists() or _read(interface / "type").strip() == _PPP


def default_interface(proc: Path = Path("/proc")) -> str | None:
    """Name the interface of the default route: the lowest metric, IPv4 before IPv6."""
    for routes in (_routes_v4(proc), _routes_v6(proc)):
        best = min(routes, default=None)
        if best is not None:
            return best[1]
    return None


def _routes_v4(proc: Path) -> Iterator[tuple[int, str]]:
    for line in _read(proc / "net/route").splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        name, destination, flags, metric, mask = (fields[i] for i in (0, 1, 3, 6, 7))
        if int(destination, 16) == int(mask, 16) == 0 and _usable(flags):
            yield int(metric), name


def _routes_v6(proc: Path) -> Iterator[tuple[int, str]]:
    for line in _read(proc / "net/ipv6_route").splitlines():
        fields = line.split()
        if len(fields) < 10:
            continue
        destination, prefix, metric, flags, name = (fields[i] for i in (0, 1, 5, 8, 9))
        if int(destination, 16) == int(prefix, 16) == 0 and _usable(flags) and name != "lo":
            yield int(metric, 16), name


def _usable(flags: str) -> bool:
    return int(flags, 16) & (_UP | _REJECT) == _UP


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
