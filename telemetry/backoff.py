"""How long to wait before the next try."""

from collections.abc import Callable


class Backoff:
    """Exponential with full jitter: a fleet that lost its broker does not come back as one.

    Each pause is drawn from zero to a ceiling that doubles from ``first_s`` to ``last_s``
    (after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Args:
        first_s: first ceiling, seconds.
        last_s: highest ceiling, seconds.
        random: gives a number from 0 to 1.
    """

    def __init__(self, first_s: float, last_s: float, random: Callable[[], float]) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._random = random
        self._ceiling_s = first_s

    def reset(self) -> None:
        """It worked: start small again."""
        self._ceiling_s = self._first_s

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        pause = self._random() * self._ceiling_s
        self._ceiling_s = min(self._last_s, self._ceiling_s * 2)
        return pause

    def slow_s(self) -> float:
        """Seconds to wait where only a person can help: the upper half of the longest pause."""
        return self._last_s * (0.5 + self._random() / 2)
