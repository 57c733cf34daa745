"""What the kiosk itself has on record at the end: its audit trail, proved and counted."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from agent.audit_trail import Trail
from agent.errors import TrailError
from agent.settings import load
from contract.audit import read_entry
from contract.receipt import TERMINAL

_ENDS = {f"command.{status}" for status in TERMINAL}
_ALL = 10_000_000


def read_trail(settings: Path) -> tuple[int, list[str]]:
    """Return the number of entries, and what is wrong with them, a sentence each."""
    trail = Trail(load(settings))
    try:
        proof = trail.verify()
        doubled = ended_twice(trail.newest(_ALL))
    except TrailError as error:
        return 0, [f"the audit trail does not stand: {error}"]
    return proof.last - proof.first + 1, doubled


def ended_twice(lines: Iterable[bytes]) -> list[str]:
    """Return the commands of which the trail has more than one end."""
    ends: Counter[str] = Counter()
    for line in lines:
        entry = read_entry(line)
        if entry.kind in _ENDS and (command_id := entry.data.get("command_id")):
            ends[command_id] += 1
    return [
        f"command {command_id} ended {count} times in the audit trail"
        for command_id, count in ends.items()
        if count > 1
    ]
