"""What the units leave to root."""

from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy/systemd"
GIVEN_AWAY = ("StateDirectory", "CacheDirectory", "LogsDirectory", "RuntimeDirectory")


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_what_systemd_gives_to_the_agent_lies_in_folders_of_roots(unit):
    """Below a folder of its own the agent's user could put a link there, and newer systemd gives
    away, as root and with all that is in it, what that leads to.
    """
    lines = (UNITS / unit).read_text(encoding="utf-8").splitlines()
    settings = [line.split("=", 1) for line in lines if "=" in line and line[0] not in "#["]
    given = [name for key, value in settings if key in GIVEN_AWAY for name in value.split()]
    assert given
    assert not [name for name in given if "/" in name]


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_nothing_runs_from_where_a_unit_can_write(unit):
    """Each place is named: with ``/`` systemd 252 forbids none of them."""
    lines = (UNITS / unit).read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and line[0] not in "#[")
    places = {"StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"}
    places |= {"RuntimeDirectory": "/run"}
    given = {f"-{root}/{settings[key]}" for key, root in places.items() if key in settings}
    assert given | {"-/tmp", "-/var/tmp"} <= set(settings["NoExecPaths"].split())


def test_socket_can_be_given_to_its_group():
    """What is taken away with @privileged is given back after it: the last word counts."""
    lines = (UNITS / "kiosk-agent.service").read_text(encoding="utf-8").splitlines()
    filters = [line.split("=", 1)[1] for line in lines if line.startswith("SystemCallFilter=")]
    taken = next(number for number, calls in enumerate(filters) if "@privileged" in calls)
    given = " ".join(filters[taken + 1 :]).split()
    assert {"chown", "fchownat"} <= set(given)  # of x86-64, of arm64
