"""Temperatures of the machine's own sensors."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from telemetry.health.probe import Values

_CPU = re.compile(r"cpu|core|k10temp|zenpower|x86_pkg|soc", re.IGNORECASE)
_LOWEST_C, _HIGHEST_C = -60.0, 150.0
"""Beyond these a sensor is broken or not connected."""


class TemperatureProbe:
    """Hardware monitors (through psutil) and thermal zones; boards have either or both."""

    def __init__(
        self,
        *,
        sys: Path = Path("/sys"),
        monitors: Callable[[], Mapping[str, Sequence[Any]]] = psutil.sensors_temperatures,
    ) -> None:
        self._sys = sys
        self._monitors = monitors

    def read(self) -> Values:
        """Read every sensor. Blocks: some are behind slow buses."""
        readings = [
            (name, round(celsius, 1))
            for name, celsius in (*self._from_monitors(), *self._from_zones())
            if _LOWEST_C <= celsius <= _HIGHEST_C
        ]
        celsius = [value for _, value in readings]
        cpu = [value for name, value in readings if _CPU.search(name)]
        return {
            "temperature_max_c": max(celsius, default=None),
            "temperature_min_c": min(celsius, default=None),
            "temperature_cpu_c": max(cpu, default=None),
        }

    def _from_monitors(self) -> Iterator[tuple[str, float]]:
        for name, sensors in self._monitors().items():
            for sensor in sensors:
                yield name, float(sensor.current)

    def _from_zones(self) -> Iterator[tuple[str, float]]:
        for zone in self._sys.glob("class/thermal/thermal_zone*"):
            try:
                name = (zone / "type").read_text(encoding="ascii").strip()
                yield name, int((zone / "temp").read_text(encoding="ascii")) / 1000
            except (OSError, ValueError):
                continue  # a zone that is off answers with an error
