"""A reboot from the signed order to the receipt, over logind's mock on a private bus."""

from pathlib import Path

import pytest

from agent.logind import Logind
from commands.actions.power import reboot
from commands.desk.desk import Desk
from contract.business import SessionBegin
from tests.support.clock import ManualClock
from tests.support.commanded import CommandedKiosk
from tests.support.operators import make_command, make_key
from tests.support.system_bus import private_bus

LOGIND = "org.freedesktop.login1"
LI = make_key("li")


class NoStore:
    """Nothing survives."""

    def load(self) -> None:
        """Nothing was saved."""

    def save(self, content: bytes) -> None:
        """It is forgotten."""


class Machine:
    """A kiosk whose machine is logind's mock, and whose boot id the clock tells."""

    def __init__(self, folder: Path, address: str):
        self.clock = ManualClock()
        self.logind = Logind(self.clock, bus_address=address)
        self.desk = Desk(clock=self.clock, publish=self._publish, store=NoStore())
        self.events: list = []
        self.kiosk = CommandedKiosk(
            folder,
            [LI],
            actions=[reboot(self.logind, self.desk, self.desk, self.clock)],
            clock=self.clock,
            serving=self.desk,
        )

    async def _publish(self, data, _stamp) -> None:
        self.events.append(data)

    async def come_up(self, boot_id: str) -> None:
        """Another life of the agent, on this boot."""
        await self.kiosk.ledger.close()
        self.clock.boot_id = boot_id
        self.kiosk.boot()


@pytest.fixture
async def machine(tmp_path):
    with private_bus() as bus:
        await bus.mock(LOGIND, "--template", "logind")
        machine = Machine(tmp_path, bus.address)
        machine.bus = bus
        await machine.logind.look()
        await machine.kiosk.ledger.knows_since()
        yield machine
        await machine.kiosk.ledger.close()


async def reboots(machine: Machine) -> int:
    """How often logind was told to reboot."""
    calls = await machine.bus.calls(LOGIND, "/org/freedesktop/login1")
    return sum(name == "Reboot" for _, name, _ in calls)


async def until_told(machine: Machine) -> None:
    """Let time pass until logind has the call."""
    for _ in range(2000):  # small steps: the ledger's thread takes real time
        if await reboots(machine):
            return
        await machine.clock.advance(0.05)
    raise AssertionError(machine.kiosk.receipts)


async def test_a_reboot_has_succeeded_when_the_machine_is_back(machine):
    """Running before the machine goes down, succeeded on another boot id, told once to logind."""
    command = make_command(action="reboot", args={"grace_s": 3})
    async with machine.kiosk.running():
        await machine.kiosk.send(command)
        await until_told(machine)
        assert not machine.kiosk.terminal(command)
    await machine.come_up("boot-2")
    async with machine.kiosk.running():
        await machine.kiosk.send(command)  # the broker repeats it
        await machine.kiosk.ended(command)
    assert machine.kiosk.terminal(command) == {"succeeded"}
    assert machine.kiosk.receipts[-1].result["boot_id"] == "boot-2"
    assert await reboots(machine) == 1


async def test_a_reboot_that_does_not_happen_is_a_failure(machine):
    """The machine agreed and stayed up: after two minutes the command has failed."""
    command = make_command(action="reboot", args={"grace_s": 0})
    async with machine.kiosk.running():
        await machine.kiosk.send(command)
        await until_told(machine)
        await machine.clock.advance(121)
        await machine.kiosk.ended(command)
    assert machine.kiosk.terminal(command) == {"failed"}
    assert "did not go down" in machine.kiosk.receipts[-1].text


async def test_an_agent_that_comes_back_on_the_same_boot_says_so(machine):
    """Only the agent was restarted: the reboot has failed, and is not tried again by itself."""
    command = make_command(action="reboot", args={"grace_s": 0})
    async with machine.kiosk.running():
        await machine.kiosk.send(command)
        await until_told(machine)
    await machine.come_up("boot-1")
    async with machine.kiosk.running():
        await machine.kiosk.ended(command)
    assert machine.kiosk.terminal(command) == {"failed"}
    assert await reboots(machine) == 1


async def test_a_reboot_waits_for_the_citizen(machine):
    """While a session is open the order waits; when it ends the grace period begins."""
    session = await machine.desk.sessions.begin("violation.pay", "self_service")
    assert isinstance(machine.events[-1], SessionBegin)
    command = make_command(action="reboot", args={"grace_s": 0})
    async with machine.kiosk.running():
        await machine.kiosk.send(command)
        await machine.clock.advance(30)
        assert machine.kiosk.statuses == ["accepted"]
        assert await reboots(machine) == 0
        await machine.desk.sessions.end(session.id)
        await until_told(machine)
