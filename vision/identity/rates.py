"""How often a threshold errs on labelled pairs, and how sure that is.

False match rate, false non-match rate: ISO/IEC 19795-1. The intervals are Wilson's (1927), at 95 %;
they take pairs for independent, which pairs of few persons are not: the truth is wider.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z95 = 1.959964
NEVER = -math.inf
"""The similarity of a pair that has none, as no face was found: no threshold matches it."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a threshold does with labelled pairs."""

    threshold: float
    genuine: int
    """Pairs of one person."""
    impostor: int
    """Pairs of two persons."""
    missed: int
    """Genuine pairs below the threshold."""
    false: int
    """Impostor pairs at or above it."""

    @property
    def fmr(self) -> float | None:
        """False match rate; None without impostor pairs."""
        return self.false / self.impostor if self.impostor else None

    @property
    def fnmr(self) -> float | None:
        """False non-match rate; None without genuine pairs."""
        return self.missed / self.genuine if self.genuine else None

    @property
    def accuracy(self) -> float | None:
        """Share of all pairs told rightly; None without any."""
        pairs = self.genuine + self.impostor
        return 1 - (self.missed + self.false) / pairs if pairs else None


def rates_at(threshold: float, similarities: Sequence[float], same: Sequence[bool]) -> Rates:
    """Count the errors of a threshold."""
    pairs = list(zip(similarities, same, strict=True))
    return Rates(
        threshold=threshold,
        genuine=sum(same),
        impostor=len(pairs) - sum(same),
        missed=sum(truth and similarity < threshold for similarity, truth in pairs),
        false=sum(not truth and similarity >= threshold for similarity, truth in pairs),
    )


def roc(
    similarities: Sequence[float], same: Sequence[bool]
) -> list[tuple[float | None, float | None, float]]:
    """List false match rate, true match rate and threshold, from strict to loose.

    Only thresholds are listed at which one of the rates turns from rising to resting.
    """
    ranked = sorted(zip(similarities, same, strict=True), reverse=True)
    genuine, impostor = sum(same), len(same) - sum(same)
    points: list[tuple[float | None, float | None, float]] = []
    true = false = 0
    for at, (similarity, truth) in enumerate(ranked):
        if similarity == NEVER:
            break
        true, false = true + truth, false + (not truth)
        following = ranked[at + 1] if at + 1 < len(ranked) else (NEVER, not truth)
        # Pairs of one similarity are told apart by no threshold.
        if following[0] < similarity and (following[1] != truth or following[0] == NEVER):
            rate = false / impostor if impostor else None
            points.append((rate, true / genuine if genuine else None, similarity))
    return points


def interval(count: int, of: int) -> tuple[float, float]:
    """Give the 95 % interval of a rate of which ``count`` in ``of`` were seen."""
    if not of:
        return 0.0, 1.0
    share, square = count / of, _Z95**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    reach = _Z95 / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of**2))
    return max(0.0, middle - reach) if count else 0.0, min(
        1.0, middle + reach
    ) if count < of else 1.0
