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


def shown(**changes) -> str:
    screen = io.StringIO()
    render(STATUS | changes, Console(file=screen, width=160))
    return screen.getvalue()


def test_an_alarm_says_what_it_is_about():
    """Code, subject and sentence: what to do is in the sentence."""
    alarm = {
        "severity": "major",
        "code": "peripheral.fault",
        "subject": "id-card-reader",
        "text": "id-card-reader is unplugged or does not work: the health data say why",
    }
    line = next(line for line in shown(alarms=[alarm]).splitlines() if "alarm" in line)
    assert "major: peripheral.fault id-card-reader  id-card-reader is unplugged" in line
    whole = shown(alarms=[alarm | {"code": "link.refused", "subject": None, "text": "by [tls]"}])
    assert "major: link.refused  by [tls]" in whole


def test_a_reader_that_does_not_work_says_why():
    """The state of each peripheral, and its code where it is not well."""
    reader = {"name": "id-card-reader", "state": "ok", "code": "ready", "text": ""}
    assert "ready" not in shown(peripherals=[reader])
    gone = reader | {"state": "absent", "code": "not_found", "text": "is it plugged in?"}
    assert "absent  not_found: is it plugged in?" in shown(peripherals=[gone])


def test_a_camera_that_reads_plates_says_how_many():
    """Whether plates are read, why not, the counts, and how long a look takes."""
    plates = {
        "state": "watching",
        "text": "",
        "look_ms": 25.4,
        "read": 12,
        "unreadable": 3,
        "suppressed": 1,
    }
    camera = {
        "name": "street",
        "state": "online",
        "frames_per_s": 5.0,
        "restarts": 0,
        "conditions": [],
        "plates": plates,
        "identity": {"state": "failed", "text": "no models", "look_ms": None, "checks": 0},
    }
    text = shown(cameras=[camera])
    assert "watching  12 read, 3 unreadable, 1 suppressed, 25 ms a look" in text
    assert "failed  0 checks  no models" in text


@pytest.mark.parametrize("rows", [0, 3])
def test_an_empty_outbox_has_no_oldest_message(rows):
    """Its age was looked at before: shown beside nothing, it would look like a fault."""
    outbox = STATUS["outbox"] | {"rows": rows, "oldest_s": 921.9}
    assert ("921.9" in shown(outbox=outbox)) == (rows > 0)
