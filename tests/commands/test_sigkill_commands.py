"""SIGKILL at every durable step of every action's life."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.support.mortal import SCENARIOS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("action", sorted(SCENARIOS))
async def test_a_killed_agent_keeps_its_promise(action):
    """Killed at any step, once or in every life: one end, at most one effect, no false success."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.mortal", action),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    outcome = json.loads(said)
    assert outcome["faults"] == []
    assert outcome["deaths"] > 10
