"""The agent's wall clock, which the soak can set: a small library that is loaded before the others.

Real: everything in the agent's processes that asks for the time (Python, SQLite, logs) gets the
stepped one, and the kernel's word that the clock is synchronised. Not real: file times and the
kernel's own timers, which no part of the agent uses.
"""

import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock_step.c")


class SteppedClock:
    """Built in ``folder``; without a C compiler the clock cannot be stepped. Methods block."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock-step"
        self._library = folder / "clock-step.so"
        self.step(0)
        compiler = shutil.which("cc")
        self.works = compiler is not None
        if compiler is not None:
            command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def environment(self) -> dict[str, str]:
        """Return what a process needs whose clock can be stepped."""
        if not self.works:
            return {}
        return {"LD_PRELOAD": str(self._library), "CLOCK_STEP": str(self._file)}

    def step(self, seconds: int) -> None:
        """Let the clock be off by so much, at once; 0: right again."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))
