"""Proof of freshness without a clock: random numbers that an operator signs back."""

from contract import Clock
from contract.ids import new_challenge

LIFE_S = 600.0
_MOST = 32


class Challenges:
    """What was given out and not yet used: each is good for one command, for ten minutes.

    They live in memory: after a restart of the agent a new one is asked for.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        """Give out a new one; the oldest makes room for it."""
        if len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        challenge = new_challenge()
        self._until[challenge] = self._clock.monotonic() + LIFE_S
        return challenge

    def holds(self, challenge: str | None) -> bool:
        """Whether it was given out here, lately, and is not used."""
        return self._clock.monotonic() < self._until.get(challenge or "", 0.0)

    def spend(self, challenge: str | None) -> None:
        """Use it up."""
        self._until.pop(challenge or "", None)
