"""The cabinet opens for who was recognised, is recorded first, and shuts by itself."""

import asyncio
import contextlib

import pytest

from agent.identity.cabinet import Cabinet, CabinetSettings, SimulatedLatch, cabinet_latch
from commands.errors import ActionError
from contract.identity import CabinetOpened
from tests.support.clock import ManualClock

STAFF = "0123456789abcdef"
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class Box:
    """A cabinet that runs, and what was said of it."""

    def __init__(self, latch):
        self.clock = ManualClock()
        self.latch = latch
        self.said = []
        self.cabinet = Cabinet(latch, open_s=lambda: 10.0, say=self._say, clock=self.clock)

    async def _say(self, data, stamp):
        self.said.append((data, self.latch.is_held if self.latch else None))

    async def open(self):
        return await self.cabinet.open(enrolment=STAFF, decision_id=ID)

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.cabinet.run())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class StubbornLatch(SimulatedLatch):
    """Does not move while it is told not to."""

    stuck = False

    async def hold(self):
        self._obey()
        await super().hold()

    async def release(self):
        self._obey()
        await super().release()

    def _obey(self):
        if self.stuck:
            msg = "the cabinet's line 4 does not obey"
            raise ActionError(msg)


async def test_it_opens_for_a_while():
    """Recorded before the latch moves; shut again after its time."""
    box = Box(SimulatedLatch())
    async with box.running():
        assert await box.open() == 10.0
        [(opened, held_then)] = box.said
        assert isinstance(opened, CabinetOpened)
        assert (opened.enrolment, opened.decision_id, held_then) == (STAFF, ID, False)
        assert box.latch.is_held
        await box.clock.advance(9.9)
        assert box.latch.is_held
        await box.clock.advance(0.2)
        assert not box.latch.is_held


async def test_opened_again_it_stays_open_for_the_time_of_the_later_one():
    """The time begins anew."""
    box = Box(SimulatedLatch())
    async with box.running():
        await box.open()
        await box.clock.advance(8)
        await box.open()
        await box.clock.advance(8)
        assert box.latch.is_held
        await box.clock.advance(3)
        assert not box.latch.is_held


async def test_it_is_shut_when_the_agent_starts_and_stops():
    """What an earlier life left open is shut; an agent that stops leaves nothing open."""
    box = Box(SimulatedLatch())
    box.latch.is_held = True
    async with box.running():
        assert not box.latch.is_held
        await box.open()
    assert not box.latch.is_held


async def test_a_latch_that_does_not_shut_is_tried_again():
    """Until it is shut."""
    box = Box(StubbornLatch())
    async with box.running():
        await box.open()
        box.latch.stuck = True
        await box.clock.advance(30)
        assert box.latch.is_held
        box.latch.stuck = False
        await box.clock.advance(6)
        assert not box.latch.is_held


async def test_a_latch_that_does_not_open_is_told():
    """Whoever asked learns why."""
    box = Box(StubbornLatch())
    async with box.running():
        box.latch.stuck = True
        with pytest.raises(ActionError, match="does not obey"):
            await box.open()


async def test_a_kiosk_without_a_cabinet_says_so():
    """Nothing is recorded of what cannot be."""
    box = Box(cabinet_latch(CabinetSettings()))
    async with box.running():
        with pytest.raises(ActionError, match="no cabinet"):
            await box.open()
    assert box.said == []


def test_settings_of_a_gpio_cabinet_need_its_line():
    """A driver without its line is a fault of the settings."""
    with pytest.raises(ValueError, match="line"):
        CabinetSettings(driver="gpio")
    assert cabinet_latch(CabinetSettings(driver="gpio", line=4)) is not None
