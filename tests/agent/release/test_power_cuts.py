"""The power fails at any step of an update: afterwards a whole release runs, and it can go on."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("often", ["false", "true"], ids=["once", "each_time"])
def test_power_fails_at_any_step(often):
    """Of fetching, unpacking, switching, starting, confirming and taking back."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.mortal_update", often],
        check=True,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)
    assert told["faults"] == []
    assert told["deaths"] > 100
