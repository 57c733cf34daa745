"""Signal of the mobile modem, from ModemManager."""

from collections.abc import Mapping
from typing import Any

from dbus_fast import unpack_variants

from telemetry.dbus import ask
from telemetry.health.probe import Values

_MODEM = "org.freedesktop.ModemManager1.Modem"
_ACCESS = (
    (15, "5gnr"),
    (17, "lte-nb-iot"),
    (16, "lte-cat-m"),
    (14, "lte"),
    (9, "hspa+"),
    (8, "hspa"),
    (7, "hsupa"),
    (6, "hsdpa"),
    (5, "umts"),
    (13, "evdo-b"),
    (12, "evdo-a"),
    (11, "evdo-0"),
    (10, "1xrtt"),
    (4, "edge"),
    (3, "gprs"),
    (2, "gsm-compact"),
    (1, "gsm"),
)
"""Bits of MMModemAccessTechnology, the best first, by the names that ``mmcli`` prints."""


class ModemProbe:
    """The modem that is furthest on its way to a connection; of equals, the strongest."""

    def __init__(self, bus_address: str | None = None) -> None:
        self._bus_address = bus_address

    async def read(self) -> Values:
        """Ask ModemManager.

        Raises:
            BusError: there is no D-Bus, or no ModemManager.
        """
        (objects,) = await ask(
            "org.freedesktop.ModemManager1",
            "/org/freedesktop/ModemManager1",
            "org.freedesktop.DBus.ObjectManager",
            "GetManagedObjects",
            bus_address=self._bus_address,
        )
        modems = [
            unpack_variants(interfaces[_MODEM])
            for interfaces in objects.values()
            if _MODEM in interfaces
        ]
        if not modems:
            return {}
        modem = max(modems, key=lambda one: (one.get("State", 0), _signal(one) or 0))
        return {"modem_signal_percent": _signal(modem), "modem_access": _access(modem)}


def _signal(modem: Mapping[str, Any]) -> float | None:
    quality = modem.get("SignalQuality")
    return None if quality is None else float(quality[0])


def _access(modem: Mapping[str, Any]) -> str | None:
    bits = modem.get("AccessTechnologies", 0)
    return next((name for bit, name in _ACCESS if bits >> bit & 1), None)
