"""The machine's power through logind, against its mock on a private bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.logind import Logind
from commands.errors import ActionError
from tests.support.clock import ManualClock
from tests.support.system_bus import PrivateBus, private_bus

LOGIND = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = f"{LOGIND}.Manager"
KINDS = ("reboot", "poweroff")


@pytest.fixture
def bus():
    with private_bus() as bus:
        yield bus


async def logind(bus: PrivateBus, parameters: str = "{}") -> Logind:
    """A machine whose logind is mocked with these parameters (JSON), and was looked at once."""
    await bus.mock(LOGIND, "--template", "logind", "--parameters", parameters)
    machine = Logind(ManualClock(), bus_address=bus.address)
    await machine.look()
    return machine


@asynccontextmanager
async def watching(machine: Logind, clock: ManualClock) -> AsyncIterator[None]:
    """Keep looking while the body runs."""
    task = asyncio.create_task(machine.run())
    async with asyncio.timeout(10):
        while not machine.missing_power("poweroff"):
            await asyncio.sleep(0.01)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_reboot_and_poweroff_ask_logind_once_and_nobody_for_a_password(bus):
    """One call each, not interactive; the screens are locked by a call of their own."""
    machine = await logind(bus)
    await machine.reboot()
    await machine.power_off()
    await machine.lock_sessions()
    await machine.unlock_sessions()
    calls = [(name, args) for _, name, args in await bus.calls(LOGIND, PATH)]
    asked = [call for call in calls if not call[0].startswith("Can")]
    assert asked == [
        ("Reboot", [False]),
        ("PowerOff", [False]),
        ("LockSessions", []),
        ("UnlockSessions", []),
    ]


async def test_nothing_is_missing_where_logind_says_yes(bus):
    """A machine that may be restarted and switched off lacks nothing."""
    machine = await logind(bus)
    assert [machine.missing_power(kind) for kind in KINDS] == [None, None]
    assert not await machine.preparing_for_shutdown()


async def test_what_is_missing_is_a_sentence_each(bus):
    """Without the polkit rule, or the hardware, the operator reads what is wrong."""
    machine = await logind(bus, '{"CanReboot": "challenge", "CanPowerOff": "na"}')
    assert "polkit rule of kiosk-agent is not installed" in machine.missing_power("reboot")
    assert machine.missing_power("poweroff") == "the machine cannot switch off by software"


async def test_a_machine_that_goes_down_says_so(bus):
    """PreparingForShutdown is read as it is."""
    machine = await logind(bus, '{"PreparingForShutdown": true}')
    assert await machine.preparing_for_shutdown()


async def test_refused_by_polkit(bus):
    """A refusal is a sentence with polkit's own words."""
    machine = await logind(bus)
    refuse = (
        "raise dbus.exceptions.DBusException('Interactive authentication required.', "
        "name='org.freedesktop.DBus.Error.InteractiveAuthorizationRequired')"
    )
    await bus.add_method(LOGIND, PATH, "Reboot", refuse, interface=MANAGER, arguments="b")
    with pytest.raises(ActionError, match=r"did not restart: .*Interactive authentication"):
        await machine.reboot()


async def test_no_bus_on_the_machine():
    """Without D-Bus every question ends in a sentence, and none in a trace."""
    machine = Logind(ManualClock(), bus_address="unix:path=/nonexistent/bus")
    await machine.look()
    assert "D-Bus cannot be used" in machine.missing_power("reboot")
    for call in (machine.reboot, machine.lock_sessions, machine.preparing_for_shutdown):
        with pytest.raises(ActionError, match="D-Bus cannot be used"):
            await call()


async def test_no_logind_on_the_bus(bus):
    """A container without logind: it is named."""
    machine = Logind(ManualClock(), bus_address=bus.address)
    await machine.look()
    assert LOGIND in machine.missing_power("poweroff")
    with pytest.raises(ActionError, match=LOGIND):
        await machine.power_off()


async def test_a_reboot_without_an_answer_may_have_been_begun(bus, monkeypatch):
    """A logind that is busy going down does not answer: that is no failure, the caller waits."""
    machine = await logind(bus)
    await bus.add_method(
        LOGIND, PATH, "Reboot", "import time; time.sleep(5)", interface=MANAGER, arguments="b"
    )
    monkeypatch.setattr("agent.logind._ANSWER_S", 0.2)
    await machine.reboot()


async def test_what_is_possible_is_looked_at_again(bus):
    """A polkit rule that is installed later is noticed without a restart."""
    clock = ManualClock()
    machine = Logind(clock, bus_address="unix:path=/nonexistent/bus")
    async with watching(machine, clock):
        assert machine.missing_power("reboot")
        await bus.mock(LOGIND, "--template", "logind")
        machine._bus_address = bus.address  # nothing else moves a machine to another bus
        await clock.advance(30)
        async with asyncio.timeout(10):
            while machine.missing_power("reboot"):
                await asyncio.sleep(0.01)
