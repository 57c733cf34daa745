"""What ``kiosk-agent status`` shows."""

import io

import pytest
from rich.console import Console

from agent.status_view import render

STATUS = {
    "kiosk": "k-1",
    "version": "1.2.3",
    "alive": True,
    "link": {
        "state": "online",
        "broker": "b:8883",
        "session": 2,
        "reconnects": 1,
        "last_error": "nothing heard from b:8883",
    },
    "outbox": {"rows": 0, "bytes": 0, "oldest_s": 0, "lost": 0, "last_sequence": 7},
    "operators": "2 keys",
    "config": {"version": 0, "state": "confirmed", "last_error": None, "failed_version": None},
    "safe_mode": None,
    "cameras": [],
    "alarms": [],
    "task_restarts": {},
    "task_errors": {},
    "health": None,
}


@pytest.mark.parametrize("state", ["online", "connecting"])
def test_an_error_that_is_over_is_not_shown(state):
    """While there is a line, why there was none would look like a fault."""
    screen = io.StringIO()
    render(STATUS | {"link": STATUS["link"] | {"state": state}}, Console(file=screen, width=100))
    assert ("nothing heard" in screen.getvalue()) == (state != "online")
