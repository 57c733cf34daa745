"""CPU, load, memory and swap."""

import psutil

from telemetry.health.probe import Values


class SystemProbe:
    """CPU use is measured from one reading to the next, so the first has none."""

    def __init__(self) -> None:
        self._cpu: tuple[float, float] | None = None

    def read(self) -> Values:
        """Read /proc; cheap, but files all the same."""
        load = psutil.getloadavg()
        memory = psutil.virtual_memory()
        swap = psutil.swap_memory()
        return {
            "cpu_percent": self._cpu_percent(),
            "load_1m": load[0],
            "load_5m": load[1],
            "load_15m": load[2],
            "memory_used_percent": memory.percent,
            "memory_available_bytes": memory.available,
            "swap_used_percent": swap.percent if swap.total else None,
        }

    def _cpu_percent(self) -> float | None:
        # psutil.cpu_percent() remembers the reading before per thread; readers here change threads.
        times = psutil.cpu_times()
        # The kernel counts guest time in user time too.
        total: float = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle: float = times.idle + getattr(times, "iowait", 0.0)
        before, self._cpu = self._cpu, (total, idle)
        if before is None or total <= before[0]:
            return None
        # The kernel's iowait may run backwards.
        idle_share = (idle - before[1]) / (total - before[0])
        return round(100 * min(1.0, max(0.0, 1 - idle_share)), 1)
