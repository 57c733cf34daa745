"""The log's level can change while the agent runs, and a lost line ends nothing."""

import json
import subprocess
import sys
from pathlib import Path

CODE = """
import structlog
from agent.log import configure, set_level
from agent.settings import LogSettings

log = structlog.get_logger()
configure(LogSettings(level="warning", format="json"))
log.info("one"); log.warning("two")
set_level("debug")
log.debug("three"); log.bind(camera="front").info("four")
set_level("error")
log.warning("five"); log.error("six")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("seven")
"""


def test_the_level_changes_for_loggers_that_are_in_use():
    """Less, more, less again: each word counts by the level of its moment."""
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events == ["two", "three", "four", "six", "seven"]


def test_a_full_disk_ends_nothing():
    """Where standard error takes no line the program goes on."""
    code = f"{CODE}\nprint('alive', flush=True)\nimport os; os._exit(0)"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, stderr=full, text=True
        )
    assert done.stdout == "alive\n"
