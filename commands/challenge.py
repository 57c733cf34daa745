"""Proof of freshness without a clock: random numbers that an operator signs back.

Each is given out with the refusal of one command and is only good for what answers that one:
else a broker that makes up a refusal of a command that was done could have it signed again.
"""

from contract import Clock
from contract.command import Command
from contract.ids import new_challenge

LIFE_S = 600.0
_MOST = 32


class Challenges:
    """What was given out and not yet used: each is good for one command, for ten minutes.

    They live in memory: after a restart of the agent a new one is asked for.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given: dict[str, tuple[str, float]] = {}

    def issue(self, refused: Command) -> str:
        """Give out a new one with the refusal of a command; the oldest makes room for it."""
        if len(self._given) >= _MOST:
            del self._given[next(iter(self._given))]
        challenge = new_challenge()
        self._given[challenge] = refused.id, self._clock.monotonic() + LIFE_S
        return challenge

    def accepts(self, command: Command) -> bool:
        """Whether its challenge was given out here, lately, for what it answers, and is unused."""
        refused, until = self._given.get(command.challenge or "", ("", 0.0))
        return command.answers == refused and self._clock.monotonic() < until

    def spend(self, command: Command) -> None:
        """Use its challenge up."""
        self._given.pop(command.challenge or "", None)
