import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.soak.clock import SteppedClock

ASK = """
import time
from telemetry.timesync import kernel_status
boot = time.clock_gettime(time.CLOCK_BOOTTIME)
print(time.time(), time.monotonic(), boot, kernel_status().quality)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_wall_clock_alone_is_stepped_and_counts_as_synchronised(tmp_path: Path):
    clock = SteppedClock(tmp_path)
    clock.step(-7200)
    before = time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, **clock.environment()},
        capture_output=True,
        check=True,
        text=True,
    )
    wall, monotonic, boot, quality = asked.stdout.split()
    assert -7200 <= float(wall) - before[0] < -7140
    assert 0 <= float(monotonic) - before[1] < 60
    assert 0 <= float(boot) - before[2] < 60
    assert quality == "synced"
