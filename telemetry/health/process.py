"""The agent's own process, and how late its event loop is."""

import psutil

from contract.stamp import Clock
from telemetry.health.probe import Values


class ProcessProbe:
    """Memory, CPU and open files of this process."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None

    def read(self) -> Values:
        """Read /proc/self."""
        # Not in the constructor: psutil reads files even there.
        process = self._process = self._process or psutil.Process()
        with process.oneshot():
            return {
                "agent_rss_bytes": process.memory_info().rss,
                "agent_cpu_percent": process.cpu_percent(),
                "agent_open_files": process.num_fds(),
            }


class LoopLag:
    """Goes to sleep for a moment again and again, and notes how late it is woken."""

    def __init__(self, clock: Clock, *, every_s: float = 0.25) -> None:
        self._clock = clock
        self._every_s = every_s
        self._worst_s = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            asleep = self._clock.monotonic()
            await self._clock.sleep(self._every_s)
            late_s = self._clock.monotonic() - asleep - self._every_s
            self._worst_s = max(self._worst_s, late_s)

    def take_worst_ms(self) -> float:
        """Return the worst lag since the call before, in milliseconds."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return round(worst_s * 1000, 1)
