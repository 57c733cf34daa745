"""Resident memory over time: one line per life of a process, and how steeply it rises."""

import csv
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

WARM_UP_S = 300.0
"""Of each life: caches fill, code is loaded."""
JUDGED_FROM_S = 900.0
"""Shorter spells after the warm-up say nothing about a slope."""
_POINTS = 200

Sample = tuple[float, float]
"""Seconds and KiB."""


@dataclass(slots=True)
class Lives:
    """Samples by life: a program and a number that no two of its lives share."""

    samples: defaultdict[tuple[str, int], list[Sample]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, program: str, life: int, at_s: float, kib: float) -> None:
        """Note one sample."""
        self.samples[program, life].append((at_s, kib))

    def programs(self) -> list[str]:
        """Return what there are samples of."""
        return sorted({program for program, _ in self.samples})

    def of(self, program: str) -> list[list[Sample]]:
        """Return the lives of a program."""
        return [samples for (name, _), samples in self.samples.items() if name == program]

    def longest_s(self, program: str) -> float:
        """Return how long the longest life of a program was watched."""
        return max((life[-1][0] - life[0][0] for life in self.of(program)), default=0.0)

    def rise_kib_per_h(self, program: str) -> float | None:
        """Return the steepest rise among the lives that can be judged; None: there is none."""
        judged = [samples for life in self.of(program) if (samples := settled(life))]
        return max(map(slope_kib_per_h, judged), default=None)

    def write(self, path: Path) -> None:
        """Write all samples down: program, life, seconds since the first, KiB."""
        began_s = min((at_s for life in self.samples.values() for at_s, _ in life), default=0.0)
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(("program", "life", "at_s", "kib"))
            for (program, life), samples in self.samples.items():
                for at_s, kib in samples:
                    table.writerow((program, life, round(at_s - began_s, 1), round(kib)))

    def peak_kib(self, program: str) -> float:
        """Return the most that any life of a program took."""
        return max((kib for life in self.of(program) for _, kib in life), default=0.0)


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples after the warm-up; none where they are too few to judge."""
    if not samples:
        return []
    warm = [one for one in samples if one[0] - samples[0][0] >= WARM_UP_S]
    return warm if warm and warm[-1][0] - warm[0][0] >= JUDGED_FROM_S else []


def slope_kib_per_h(samples: Sequence[Sample]) -> float:
    """Return the median of the slopes between all pairs of samples (Theil and Sen)."""
    thinned = samples[:: max(1, len(samples) // _POINTS)]
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for place, earlier in enumerate(thinned)
        for later in thinned[place + 1 :]
        if later[0] > earlier[0]
    ]
    return 3600 * statistics.median(slopes) if slopes else 0.0
