"""What ``kiosk-agent check`` warns of."""

import pytest

from agent.alarms import FAULTS
from agent.settings import parse
from agent.settings_check import warnings
from commands.door_settings import DoorSettings
from telemetry.alarm_rules import DEFAULT_RULES

OLD = ["fire", "gas", "mains.lost", "panic", "smoke", "tamper", "temperature.high", "water"]
NAMED = "[kiosk]\nid = 'k1'\n[link]\nhost = 'b'\n"


def warned(text: str) -> list[str]:
    return list(warnings(parse(NAMED + text, "agent.toml")))


def test_what_opens_the_door_by_default_can_be_raised():
    """No alarm is promised that nothing ever raises."""
    assert set(DoorSettings().open_on) <= FAULTS.keys() | {rule.code for rule in DEFAULT_RULES}
    assert warned("[door]\ndriver = 'simulated'\n") == []


def test_an_alarm_that_nothing_raises_opens_no_door():
    """Files that name such alarms go on working, and it is said."""
    found = warned(f"[door]\nopen_on = {OLD}\n")
    assert len(found) == len(OLD) - 1
    assert found[0].startswith("door.open_on: no alarm fire ")
    assert not any("temperature.high" in one for one in found)


@pytest.mark.parametrize(("driver", "count"), [("simulated", 1), ("none", 0)])
def test_a_rule_that_is_switched_off_opens_no_door(driver: str, count: int):
    """The rules in force are those of the file; without a door nobody misses them."""
    off = "[alarms.rules.'temperature.high']\nenabled = false\n"
    assert len(warned(f"[door]\ndriver = '{driver}'\n{off}")) == count


def test_faults_of_the_agent_may_open_the_door():
    """A fault is raised without a rule."""
    assert warned("[door]\nopen_on = ['agent.safe_mode', 'camera.tampered']\n") == []
