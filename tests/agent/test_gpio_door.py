"""The calls that a GPIO door makes, on a pretended libgpiod; no hardware is touched."""

import sys
from enum import Enum
from types import SimpleNamespace

import pytest

from agent.gpio_door import GpioDoor, door_driver
from commands.door import SimulatedDoor
from commands.door_settings import DoorSettings
from commands.errors import ActionError

Value = Enum("Value", ["INACTIVE", "ACTIVE"])
Direction = Enum("Direction", ["OUTPUT"])


class Chip:
    """A chip with line 17: what happened to it, and what it answers instead."""

    def __init__(self):
        self.calls: list[tuple] = []
        self.fault: Exception | None = None
        self.fault_of_set: Exception | None = None

    def request_lines(self, path, *, consumer, config):
        if self.fault:
            raise self.fault
        ((line, settings),) = config.items()
        assert settings.direction is Direction.OUTPUT
        self.calls.append(("request", path, line, settings.output_value, consumer))
        return SimpleNamespace(set_value=self.set_value, release=self.release)

    def set_value(self, line, value):
        if self.fault_of_set:
            raise self.fault_of_set
        self.calls.append(("set", line, value))

    def release(self):
        self.calls.append(("release",))


@pytest.fixture
def chip(monkeypatch):
    chip = Chip()
    module = SimpleNamespace(
        line=SimpleNamespace(Value=Value, Direction=Direction),
        LineSettings=lambda *, direction, output_value: SimpleNamespace(
            direction=direction, output_value=output_value
        ),
        request_lines=chip.request_lines,
    )
    monkeypatch.setitem(sys.modules, "gpiod", module)
    return chip


@pytest.fixture
def door():
    return GpioDoor("/dev/gpiochip0", 17)


def request(value: Value) -> tuple:
    return ("request", "/dev/gpiochip0", 17, value, "kiosk-agent door")


async def test_locked_is_held_high_unlocked_is_low_and_given_back(chip, door):
    """The line is ours only while the door is locked."""
    await door.lock()
    assert await door.state() == "locked"
    assert chip.calls == [request(Value.ACTIVE)]
    await door.unlock()
    assert await door.state() == "unlocked"
    assert chip.calls[1:] == [("set", 17, Value.INACTIVE), ("release",)]


async def test_locking_twice_takes_the_line_once(chip, door):
    """A line that is held is set again, not requested again."""
    await door.lock()
    await door.lock()
    assert chip.calls == [request(Value.ACTIVE), ("set", 17, Value.ACTIVE)]


async def test_opening_a_line_that_is_not_held_drives_it_low(chip, door):
    """At the start nobody knows how the line stands: it is taken, set low and let go."""
    await door.unlock()
    assert chip.calls == [request(Value.INACTIVE), ("set", 17, Value.INACTIVE), ("release",)]


async def test_a_line_that_cannot_be_set_low_is_let_go(chip, door):
    """The fault is told, and the line is given back all the same."""
    await door.lock()
    chip.fault_of_set = OSError(5, "Input/output error")
    with pytest.raises(ActionError, match=r"line 17 on /dev/gpiochip0 does not obey: .*Input"):
        await door.unlock()
    assert chip.calls[-1] == ("release",)
    assert await door.state() == "unlocked"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (FileNotFoundError(2, "No such file"), "has no line 17, or is not there"),
        (PermissionError(13, "Permission denied"), "may not use the door's GPIO chip"),
        (OSError(16, "Device or resource busy"), "does not obey: .*busy"),
        (ValueError("line offset of out range"), "does not obey: line offset"),
    ],
)
async def test_every_fault_is_a_sentence(chip, door, fault, sentence):
    """A missing chip, missing rights, a line in use, a line that does not exist."""
    chip.fault = fault
    with pytest.raises(ActionError, match=sentence):
        await door.lock()
    assert await door.state() == "unlocked"


async def test_without_the_module_the_extra_is_named(monkeypatch, door):
    """The optional module is not there: the sentence says how to get it."""
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(ActionError, match="with its extra 'gpio'"):
        await door.unlock()


def test_the_settings_name_the_driver():
    """none, simulated, gpio."""
    assert door_driver(DoorSettings()) is None
    assert isinstance(door_driver(DoorSettings(driver="simulated")), SimulatedDoor)
    assert isinstance(door_driver(DoorSettings(driver="gpio", line="door")), GpioDoor)
