"""Killed at any moment, the outbox keeps its promise through a real broker."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.broker import EmbeddedBroker
from tests.support.centre import Centre

KILLS = 200
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


class Publishers:
    """A process that forks publishers."""

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        self._parent = parent

    def say(self, line: str) -> str:
        """Give an order and return the answer."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(line + "\n")
        self._parent.stdin.flush()
        return self._parent.stdout.readline().strip()

    def kill_one(self, after_s: float) -> None:
        """Start one and kill it a moment later."""
        pid = int(self.say("go"))
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
        assert self.say(f"wait {pid}") == "gone"


def test_killed_two_hundred_times(tmp_path: Path, broker: EmbeddedBroker):
    """200 SIGKILLs at random moments: every event arrives, no number is missing."""
    centre = Centre(broker.port, "killed")
    command = [sys.executable, "-m", "tests.support.publisher"]
    with subprocess.Popen(
        [*command, tmp_path, str(broker.port), "killed"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        publishers = Publishers(parent)
        chance = random.Random(20261101)
        for _ in range(KILLS):
            publishers.kill_one(chance.uniform(0.0, 0.12))
        last = int(publishers.say("finish").removeprefix("last "))
        assert publishers.say("quit") == ""
    complete = centre.has(range(1, last + 1), within_s=20)
    centre.close()
    assert last > KILLS, "the publishers did publish"
    assert complete
