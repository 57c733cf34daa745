"""What goes wrong, and when: a schedule that a seed decides, and the hands that do it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

FIRST_S = 20.0
_PAUSE_S = (6.0, 22.0)
"""From the beginning of one fault to that of the next: some overlap."""
_KILLS_UNTIL = 0.4
"""The agent is killed in this part of the run only: memory is watched in the long life after."""
_STEPS_S = (-7200, -900, -40, 40, 900, 7200)


class Kind(StrEnum):
    """What can go wrong."""

    LINE_CUT = "line_cut"
    LINE_HALF_CLOSED = "line_half_closed"
    LINE_STALLED = "line_stalled"
    LINE_SLOW = "line_slow"
    LINE_REFUSED = "line_refused"
    BROKER_RESTARTED = "broker_restarted"
    BROKER_KILLED = "broker_killed"
    CAMERA_LOST = "camera_lost"
    CAMERA_REPLACED = "camera_replaced"
    DISK_FULL = "disk_full"
    CLOCK_STEPPED = "clock_stepped"
    CHILD_KILLED = "child_killed"
    CHILD_STOPPED = "child_stopped"
    AGENT_KILLED = "agent_killed"


_LASTS_S: dict[Kind, tuple[float, float]] = {
    Kind.LINE_STALLED: (5, 60),
    Kind.LINE_SLOW: (10, 30),
    Kind.LINE_REFUSED: (3, 30),
    Kind.BROKER_RESTARTED: (0.5, 15),
    Kind.BROKER_KILLED: (0.5, 15),
    Kind.CAMERA_LOST: (40, 80),
    Kind.CAMERA_REPLACED: (40, 80),
    Kind.DISK_FULL: (5, 45),
    Kind.CLOCK_STEPPED: (10, 40),
}
"""How long it lasts; what is not here is over at once."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at_s: float
    kind: Kind
    for_s: float
    number: int
    """Decides what is left to choose: which camera, which child, how far the clock."""


def plan(seed: int, duration_s: float, kinds: Sequence[Kind]) -> list[Fault]:
    """Return the faults of a run in order; all are over when ``duration_s`` is.

    Every kind comes once before any comes again; one kind never overlaps itself.
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    over_s: dict[Kind, float] = {}
    deck: list[Kind] = []
    at_s = FIRST_S
    while True:
        late = at_s > _KILLS_UNTIL * duration_s
        if not deck:
            deck = [one for one in kinds if not (late and one is Kind.AGENT_KILLED)]
            chance.shuffle(deck)
            if not late and Kind.AGENT_KILLED in deck[1:]:  # a short run should have one, too
                deck.remove(Kind.AGENT_KILLED)
                deck.insert(len(deck) // 4, Kind.AGENT_KILLED)
        kind = deck.pop(0)
        for_s = chance.uniform(*_LASTS_S.get(kind, (0.0, 0.0)))
        at_s = max(at_s, over_s.get(kind, 0.0))
        if at_s > duration_s:
            return faults
        in_time = at_s + for_s <= duration_s
        if in_time and not (late and kind is Kind.AGENT_KILLED):
            faults.append(Fault(round(at_s, 1), kind, round(for_s, 1), chance.randrange(2**16)))
            over_s[kind] = at_s + for_s
        at_s += chance.uniform(*_PAUSE_S)


def clock_step_s(number: int) -> int:
    """Return how far a fault's clock is off."""
    return _STEPS_S[number % len(_STEPS_S)]
