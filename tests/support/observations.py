"""Plates as cameras see them, made up."""

from dataclasses import replace
from datetime import timedelta

from tests.support.clock import ManualClock
from vision.plates.grammar import judge
from vision.plates.plate import Character, Reading
from vision.plates.watcher import Observation

TEXT = "蒙BK2345"


def characters(text=TEXT, **changes):
    """Sure characters; a change by place, such as ``at4=("B", 0.5, {"8": 0.4})``."""
    made = [Character(one, 0.99) for one in text]
    for name, (read, confidence, others) in changes.items():
        made[int(name.removeprefix("at"))] = Character(read, confidence, tuple(others.items()))
    return tuple(made)


def observation(
    text=TEXT, *, clock=None, camera="street", passage="1", final=True, colour="blue", **changes
):
    """A vehicle that came 5 s ago and left now; characters below 0.8 are doubtful."""
    end = (clock or ManualClock()).stamp()
    begin = replace(end, time=end.time - timedelta(seconds=5), monotonic_ms=end.monotonic_ms - 5000)
    read = Reading(characters(text, **changes), colour, 0.98, 1)
    return Observation(
        camera=camera,
        id=passage,
        begin=begin,
        end=end,
        final=final,
        reading=read,
        doubtful=tuple(n for n, one in enumerate(read.characters) if one.confidence < 0.8),
        verdict=judge(read.text, colour, 1),
        width_px=140,
        views=4,
        detector="plates-1",
        reader="characters-1",
    )
