"""What the agent does for plates beside its cameras."""

import asyncio
import contextlib

from agent.plates.plates import Plates
from contract.plates import PlateHit, PlateRead
from tests.support.clock import ManualClock
from vision.plates.settings import PlateSettings


async def test_events_are_kept_no_longer_than_is_set(tmp_path):
    """Every hour what waits longer than ``event_days`` is given up, hits too; a push counts."""
    clock, settings, calls = ManualClock(), [PlateSettings(event_days=3)], []

    async def expire(kinds, age_s):
        calls.append((set(kinds), age_s))

    plates = Plates(
        tmp_path,
        settings=lambda: settings[-1],
        clock=clock,
        publish=None,
        expire=expire,
        tell=lambda code, text: None,
    )
    task = asyncio.create_task(plates.tasks["plate_events"]())
    await clock.settle()
    settings.append(PlateSettings(event_days=1))
    await clock.advance(3600)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert calls == [({PlateRead, PlateHit}, days * 86_400) for days in (3, 1)]
