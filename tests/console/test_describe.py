"""Messages about plates and persons in one line, for people."""

from datetime import timedelta

import pytest

from console.arguments import read_arguments
from console.describe import describe
from contract import open_message, seal
from contract.identity import IdentityDecision, SupervisionFinding
from contract.plates import PlateHit, PlateRead
from tests.support.clock import START, ManualClock

READ = {
    "camera": "street",
    "begin": START,
    "end": START + timedelta(seconds=7),
    "duration_s": 7.0,
    "purpose": "statistics",
    "readable": True,
    "kind": "civil",
    "class_code": "02",
    "well_formed": True,
    "colour": "yellow_green",
    "colour_confidence": 0.99,
    "rows": 1,
    "confidences": (0.91, 0.99),
    "min_confidence": 0.91,
    "width_px": 140,
    "views": 6,
    "detector": "plates-1",
    "reader": "characters-1",
}
HIT = {
    "camera": "street",
    "watch_list": "wanted",
    "purpose": "case 7",
    "code": "stolen",
    "text": "蒙BK2345",
    "match": "exact",
    "read": "蒙BK2345",
    "min_confidence": 0.9,
    "views": 3,
    "begin": START,
    "expires": START,
}


def said(data):
    sealed = seal(data, kiosk="k-1", stamp=ManualClock().stamp(), sequence=1)
    return describe(open_message(sealed.payload))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"text": "蒙BK2345", "pseudonym": "0123456789abcdef" * 2},
            "蒙BK2345 yellow/green civil camera street 7 s 6 views sure 91%",
        ),
        (
            {"pseudonym": "0123456789abcdef" * 2},
            "0123456789ab yellow/green civil camera street 7 s 6 views sure 91%",
        ),
        (
            {"readable": False, "partial": "蒙BK2?45", "min_confidence": 0.4},
            "蒙BK2?45 unreadable yellow/green civil camera street 7 s 6 views sure 40%",
        ),
        (
            {"readable": False, "min_confidence": 0.4},
            "unreadable yellow/green civil camera street 7 s 6 views sure 40%",
        ),
    ],
)
def test_a_plate_in_one_line(changes, line):
    """The text stands first where it may be known, else the pseudonym; unreadable is said."""
    assert said(PlateRead(**READ | changes)) == line


def test_a_hit_in_one_line():
    """A hit names plate, reason, list and camera; a near one what was read."""
    assert said(PlateHit(**HIT)) == "蒙BK2345 stolen, list wanted, camera street"
    near = PlateHit(**HIT | {"match": "near", "read": "蒙BK2?45"})
    assert said(near) == "蒙BK2345 read as 蒙BK2?45 (near) stolen, list wanted, camera street"


def test_a_date_is_an_argument():
    """A time may be written after --arg as it is on the wire."""
    entries = '[{"text": "蒙BK2345", "code": "stolen"}]'
    texts = ["name=a", "purpose=b", "expires=2026-12-01T08:00:00+08:00", f"entries:={entries}"]
    arguments = read_arguments("plates.watchlist.put", texts)
    assert arguments["expires"] == "2026-12-01T08:00:00+08:00"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"outcome": "match", "pseudonym": "0123456789abcdef" * 2, "camera": "counter"},
            "verify match for licence.renew of 0123456789ab camera counter 1.5 s",
        ),
        (
            {"outcome": "refer", "reasons": ("turned", "timeout")},
            "verify refer turned, timeout for licence.renew 1.5 s",
        ),
    ],
)
def test_a_decision_in_one_line(changes, line):
    """Outcome and reasons stand first; the person is a pseudonym."""
    decision = {
        "decision_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "check": "verify",
        "purpose": "licence.renew",
        "consent_code": "c-1",
        "took_ms": 1500,
    }
    assert said(IdentityDecision(**decision | changes)) == line


def test_a_finding_in_one_line():
    """The rule and its sentence, and how long it lasted."""
    finding = SupervisionFinding(
        finding_id="01890a5d-ac96-774b-bcce-b302099a8057",
        rule="counter_unattended",
        phase="end",
        text="staff is back at the counter",
        begun=START,
        duration_s=75.4,
    )
    assert said(finding) == "counter_unattended end after 75 s: staff is back at the counter"
