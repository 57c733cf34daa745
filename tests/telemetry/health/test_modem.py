import pytest
from dbus_fast import Variant

from telemetry.dbus import BusError, ask
from telemetry.health.modem import ModemProbe
from tests.support.system_bus import private_bus

SERVICE = "org.freedesktop.ModemManager1"
PATH = "/org/freedesktop/ModemManager1"
MODEM = "org.freedesktop.ModemManager1.Modem"
REGISTERED, CONNECTED = 8, 11
LTE, NR5G, HSPA_PLUS = 1 << 14, 1 << 15, 1 << 9


async def read(*modems: dict[str, Variant]):
    """What the probe says beside a ModemManager that has these modems."""
    with private_bus() as bus:
        await bus.mock(SERVICE, "--is-object-manager", SERVICE, PATH, f"{SERVICE}")
        for number, properties in enumerate(modems):
            await bus.add_object(SERVICE, PATH, f"{PATH}/Modem/{number}", MODEM, properties)
        return await ModemProbe(bus.address).read()


def modem(state: int, signal: int, access: int) -> dict[str, Variant]:
    return {
        "State": Variant("i", state),
        "SignalQuality": Variant("(ub)", [signal, True]),
        "AccessTechnologies": Variant("u", access),
    }


async def test_signal_and_access_of_a_modem():
    """Signal in percent, and the best access technology in use."""
    values = await read(modem(CONNECTED, 63, LTE | HSPA_PLUS))
    assert values == {"modem_signal_percent": 63.0, "modem_access": "lte"}


async def test_of_two_modems_the_connected_one_counts():
    """A strong modem that is not connected says nothing about the line."""
    values = await read(modem(REGISTERED, 99, LTE), modem(CONNECTED, 20, NR5G))
    assert values == {"modem_signal_percent": 20.0, "modem_access": "5gnr"}


async def test_a_modem_without_a_network_has_no_access():
    """Searching: the technology is unknown."""
    values = await read(modem(REGISTERED, 0, 0))
    assert values == {"modem_signal_percent": 0.0, "modem_access": None}


async def test_no_modem_no_values():
    """ModemManager without a modem is no error."""
    assert await read() == {}


async def test_without_a_bus_the_probe_says_why():
    """No D-Bus on the machine: one error that names it."""
    with pytest.raises(BusError, match="D-Bus cannot be used"):
        await ModemProbe("unix:path=/nonexistent/bus").read()


async def test_without_modemmanager_the_probe_says_why():
    """A bus without ModemManager: it is named, and not started."""
    with private_bus() as bus, pytest.raises(BusError, match=SERVICE):
        await ModemProbe(bus.address).read()


async def test_a_service_that_does_not_answer_is_given_up():
    """A hanging service costs no more than its time."""
    with private_bus() as bus:
        await bus.mock("com.example.Slow", "com.example.Slow", "/", "com.example.Slow")
        await bus.add_method("com.example.Slow", "/", "Hang", "import time; time.sleep(60)")
        with pytest.raises(BusError, match=r"did not answer on D-Bus within 0\.1 s"):
            await ask(
                "com.example.Slow",
                "/",
                "com.example.Slow",
                "Hang",
                bus_address=bus.address,
                timeout_s=0.1,
            )
