"""Each alarm stands in the runbook, in both languages."""

import re
from pathlib import Path

import pytest

from agent.alarms import FAULTS
from telemetry.alarm_rules import DEFAULT_RULES

DOCS = Path(__file__).parents[1] / "docs"
ALARMS = {rule.code for rule in DEFAULT_RULES} | FAULTS.keys()


@pytest.mark.parametrize("page", ["runbook.md", "runbook.zh.md"])
def test_the_runbook_has_every_alarm_and_no_other(page: str):
    """Who has the night shift finds what to do; what is gone from the code is gone here."""
    alarms = (DOCS / page).read_text().partition("\n## ")[2]
    found = {
        code
        for line in alarms.splitlines()
        for code in re.findall(r"\*\*`([a-z_]+\.[a-z_]+)`\*\*", line)
    }
    assert found == ALARMS
