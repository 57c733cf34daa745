"""The door is open unless somebody has just asked otherwise, and never a trap."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from pydantic import ValidationError

from commands.actions.door import door_lock, door_unlock
from commands.door import Door, SimulatedDoor
from commands.door_settings import DoorSettings
from commands.errors import ActionError
from contract.actions import DoorLock, DoorUnlock
from contract.business import DoorLocked, DoorUnlocked
from tests.support.clock import START, ManualClock
from tests.support.invocations import COMMAND_ID, Told, invocation


class Lock(SimulatedDoor):
    """A simulated door that can be stuck, and counts how often it was asked to open."""

    def __init__(self):
        super().__init__()
        self.stuck: set[str] = set()
        self.openings = 0
        self.slow = asyncio.Event()
        self.slow.set()

    async def lock(self):
        await self.slow.wait()
        self._check("lock")
        await super().lock()

    async def unlock(self):
        self.openings += 1
        self._check("unlock")
        await super().unlock()

    def _check(self, way):
        if way in self.stuck:
            msg = f"the bolt does not {way}"
            raise ActionError(msg)


class Scene:
    """One door and what is around it."""

    def __init__(self, **settings):
        self.clock, self.lock = ManualClock(), Lock()
        self.reasons: list[str] = []
        self.alarms: list[str] = []
        self.events: list[DoorLocked | DoorUnlocked] = []
        self.door = Door(
            driver=self.lock,
            settings=DoorSettings(driver="simulated", **settings),
            clock=self.clock,
            publish=self.publish,
            reasons_not_to_lock=lambda: self.reasons,
            alarms=lambda: self.alarms,
        )
        self.told = Told()

    async def publish(self, data, stamp):
        self.events.append(data)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.door.run())
        await self.clock.settle()
        yield
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def command(self, arguments: DoorLock | DoorUnlock):
        action = (door_lock if isinstance(arguments, DoorLock) else door_unlock)(self.door)
        return await action.run(
            arguments, invocation(arguments, self.clock.stamp(), told=self.told)
        )

    @property
    def reasons_told(self):
        return [getattr(event, "reason", "locked") for event in self.events]


@pytest.fixture
async def scene():
    scene = Scene()
    async with scene.running():
        yield scene


async def test_it_starts_open(scene):
    """Whatever the lock was before: the first thing is to open it, and nobody is told."""
    assert scene.lock.openings == 1
    assert await scene.door.state() == "unlocked"
    assert (scene.events, scene.door.locked_until) == ([], None)


async def test_the_lease_ends_by_itself(scene):
    """Locked for as long as asked, then open, and both are events."""
    result = await scene.command(DoorLock(for_s=60))
    until = START + timedelta(seconds=60)
    assert result == {"state": "locked", "until": "2026-11-01T08:01:00.000Z"}
    await scene.clock.advance(59.9)
    assert await scene.door.state() == "locked"
    assert scene.door.locked_until == until
    await scene.clock.advance(0.1)
    assert await scene.door.state() == "unlocked"
    assert scene.door.locked_until is None
    assert scene.events == [
        DoorLocked(until=until, command_id=COMMAND_ID),
        DoorUnlocked(reason="lease"),
    ]


async def test_the_lease_ends_on_time_when_the_wall_clock_steps(scene):
    """The monotonic clock counts: a clock set back by years keeps nobody out."""
    await scene.command(DoorLock(for_s=60))
    scene.clock.wall_offset = timedelta(days=-4000)
    await scene.clock.advance(60)
    assert await scene.door.state() == "unlocked"


async def test_a_new_lease_takes_the_place_of_the_old(scene):
    """Locked anew: the newer lease counts, longer or shorter."""
    await scene.command(DoorLock(for_s=60))
    await scene.clock.advance(50)
    await scene.command(DoorLock(for_s=60))
    await scene.clock.advance(30)
    assert await scene.door.state() == "locked"
    await scene.command(DoorLock(for_s=5))
    await scene.clock.advance(6)
    assert await scene.door.state() == "unlocked"


async def test_unlock_by_command(scene):
    """Open at once, told once; opening an open door is no event but drives the lock."""
    await scene.command(DoorLock(for_s=60))
    assert await scene.command(DoorUnlock()) == {"state": "unlocked"}
    await scene.command(DoorUnlock())
    await scene.clock.advance(120)
    assert scene.reasons_told == ["locked", "command"]
    assert scene.lock.openings == 3
    assert scene.told.past_return


async def test_an_alarm_opens_the_door_at_once(scene):
    """Heat opens; an alarm that is no danger to people does not."""
    await scene.command(DoorLock(for_s=60))
    await scene.door.alarm_raised("modem.weak")
    assert await scene.door.state() == "locked"
    await scene.door.alarm_raised("temperature.high")
    assert await scene.door.state() == "unlocked"
    assert scene.events[-1] == DoorUnlocked(reason="alarm", alarm="temperature.high")


async def test_an_alarm_in_force_that_nobody_told_of_opens_it_too(scene):
    """The alarms in force are looked at each second while the door is locked."""
    await scene.command(DoorLock(for_s=60))
    scene.alarms.append("temperature.high")
    await scene.clock.advance(1)
    assert await scene.door.state() == "unlocked"
    assert scene.events[-1] == DoorUnlocked(reason="alarm", alarm="temperature.high")


async def test_refused_while_it_could_trap_someone(scene):
    """Every reason is told, and the lock is not touched."""
    scene.reasons += ["a citizen is being served", "camera hall sees somebody"]
    scene.alarms += ["temperature.high", "cpu.high"]
    with pytest.raises(ActionError) as refusal:
        await scene.command(DoorLock())
    assert str(refusal.value) == (
        "locking the door could trap someone: alarm temperature.high is in force; "
        "a citizen is being served; camera hall sees somebody"
    )
    assert (await scene.door.state(), scene.events) == ("unlocked", [])


async def test_a_lease_longer_than_the_setting_is_refused():
    """The kiosk's own bound holds against every command."""
    scene = Scene(max_lease_s=30)
    async with scene.running():
        with pytest.raises(ActionError, match="30 s at most"):
            await scene.command(DoorLock(for_s=31))
        await scene.command(DoorLock(for_s=30))


async def test_a_lock_that_fails_half_way_is_opened(scene):
    """Nobody knows how far the bolt came: the command fails, the door is opened."""
    scene.lock.stuck = {"lock"}
    with pytest.raises(ActionError, match="does not lock"):
        await scene.command(DoorLock())
    assert door_lock(scene.door).missing() == "the bolt does not lock"
    await scene.clock.advance(1)
    assert (scene.lock.openings, scene.events) == (2, [])
    assert door_lock(scene.door).missing() is None


async def test_a_command_stopped_while_the_lock_moves_ends_in_an_open_door(scene):
    """What is cancelled in the middle is undone."""
    scene.lock.slow.clear()
    locking = asyncio.create_task(scene.command(DoorLock()))
    await scene.clock.settle()
    locking.cancel()
    await asyncio.gather(locking, return_exceptions=True)
    await scene.clock.advance(1)
    assert scene.lock.openings == 2
    assert scene.door.locked_until is None


async def test_a_lock_that_does_not_open_is_tried_until_it_does(scene):
    """A stuck bolt at the end of a lease: again each second, told when it is open."""
    await scene.command(DoorLock(for_s=10))
    scene.lock.stuck = {"unlock"}
    await scene.clock.advance(15)
    assert scene.lock.openings > 4
    assert scene.reasons_told == ["locked"]
    with pytest.raises(ActionError, match="does not unlock"):
        await scene.command(DoorUnlock())
    scene.lock.stuck = set()
    await scene.clock.advance(1)
    assert scene.reasons_told == ["locked", "lease"]


async def test_an_alarm_against_a_stuck_lock_does_not_raise(scene):
    """Whoever tells of the alarm has other things to do; the door goes on trying."""
    await scene.command(DoorLock(for_s=60))
    scene.lock.stuck = {"unlock"}
    await scene.door.alarm_raised("temperature.high")
    scene.lock.stuck = set()
    await scene.clock.advance(1)
    assert await scene.door.state() == "unlocked"


async def test_hardware_that_is_missing_at_the_start_is_looked_for_again():
    """Told beforehand as what is missing; found later, the door works."""
    scene = Scene()
    scene.lock.stuck = {"unlock"}
    async with scene.running():
        assert door_lock(scene.door).missing() == "the bolt does not unlock"
        scene.lock.stuck = set()
        await scene.clock.advance(30)
        assert door_lock(scene.door).missing() is None


async def test_the_agent_leaves_an_open_door(scene):
    """A stopping agent opens, and tells why."""
    await scene.command(DoorLock(for_s=60))
    await scene.door.close()
    assert await scene.door.state() == "unlocked"
    assert scene.reasons_told == ["locked", "agent_stopped"]


async def test_an_agent_that_was_restarted_says_that_the_door_is_open(scene):
    """The lease does not outlive the process: the open command ends as failed."""
    with pytest.raises(ActionError, match="starts with an open door"):
        await door_lock(scene.door).resume(DoorLock(), invocation(DoorLock(), scene.clock.stamp()))


async def test_events_come_in_the_order_of_what_happened(scene):
    """An alarm that opens while the lock is still being told: locked first, then unlocked."""
    gate = asyncio.Event()
    direct = scene.publish

    async def slow(data, stamp):
        await gate.wait()
        await direct(data, stamp)

    scene.door._publish = slow
    locking = asyncio.create_task(scene.command(DoorLock()))
    await scene.clock.settle()
    opening = asyncio.create_task(scene.door.alarm_raised("temperature.high"))
    await scene.clock.settle()
    assert await scene.door.state() == "unlocked"  # nobody waits for the outbox to get out
    gate.set()
    await asyncio.gather(locking, opening)
    assert scene.reasons_told == ["locked", "alarm"]


async def test_a_kiosk_without_a_door_says_so():
    """No driver: both actions lack what they need, in a sentence."""
    for make, arguments in ((door_lock, DoorLock()), (door_unlock, DoorUnlock())):
        action = make(None)
        assert "no door" in action.missing()
        with pytest.raises(ActionError, match="no door"):
            await action.run(arguments, invocation(arguments, ManualClock().stamp()))


def test_settings_of_a_gpio_door_need_its_line():
    """A driver without a line is a fault of the settings, found at the start."""
    with pytest.raises(ValidationError, match="number or name of a line"):
        DoorSettings(driver="gpio")
    assert DoorSettings(driver="gpio", line=17).line == 17
