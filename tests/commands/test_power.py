"""The machine goes down announced, not under a citizen's hands, and tells the truth afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from commands.action import Action
from commands.actions.agent_restart import agent_restart
from commands.actions.power import poweroff, reboot
from commands.errors import ActionError
from contract.actions import AgentRestart, PowerOff, Reboot
from tests.support.clock import ManualClock
from tests.support.invocations import Told, invocation


class Box:
    """A machine that agrees, and goes down or not."""

    def __init__(self):
        self.asked: list[str] = []
        self.refusal: str | None = None
        self.going_down = False

    async def reboot(self):
        await self._go("reboot")

    async def power_off(self):
        await self._go("poweroff")

    async def _go(self, kind):
        self.asked.append(kind)
        if self.refusal:
            raise ActionError(self.refusal)

    async def preparing_for_shutdown(self):
        return self.going_down

    async def lock_sessions(self):
        raise NotImplementedError

    unlock_sessions = lock_sessions

    def missing_power(self, kind):
        return "no polkit rule" if kind == "poweroff" else None


class Screen:
    """Remembers what it showed: the grace period, None when it was withdrawn."""

    def __init__(self):
        self.shown: list[int | None] = []

    def announce_power(self, kind, seconds_left):
        self.shown.append(seconds_left)

    def withdraw_power(self):
        self.shown.append(None)


class Counter:
    """Whether a citizen is being served."""

    def __init__(self):
        self._free = asyncio.Event()
        self._free.set()

    @property
    def is_serving(self):
        return not self._free.is_set()

    async def wait_until_free(self):
        await self._free.wait()

    def begin(self):
        self._free.clear()

    def end(self):
        self._free.set()


class Scene:
    """One machine and the action on it."""

    def __init__(self, make=reboot, arguments: Reboot | PowerOff | None = None):
        self.clock = ManualClock()
        self.box, self.screen, self.counter, self.told = Box(), Screen(), Counter(), Told()
        self.action: Action = make(self.box, self.screen, self.counter, self.clock)
        self.arguments = arguments or Reboot(grace_s=3)
        self.begun = self.clock.stamp()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task]:
        task = asyncio.create_task(self.action.run(self.arguments, self.invocation()))
        await self.clock.settle()
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def resume(self):
        return await self.action.resume(self.arguments, self.invocation())

    def invocation(self):
        return invocation(self.arguments, self.begun, told=self.told)


@pytest.mark.parametrize(
    ("make", "arguments", "asked"),
    [
        (reboot, Reboot(grace_s=12), "reboot"),
        (poweroff, PowerOff(grace_s=12), "poweroff"),
    ],
)
async def test_the_grace_period_is_announced_and_then_the_machine_is_asked_once(
    make, arguments, asked
):
    """Once on the screen, every five seconds to the operator; after the call no way back."""
    scene = Scene(make, arguments)
    async with scene.running():
        await scene.clock.advance(11.5)
        assert scene.screen.shown == [12]
        assert scene.told.percents == pytest.approx([0, 41.7, 83.3])
        assert scene.told.texts[-1].endswith("in 2 s")
        assert (scene.box.asked, scene.told.past_return) == ([], False)
        await scene.clock.advance(0.5)
        assert (scene.box.asked, scene.told.past_return) == ([asked], True)


async def test_the_end_of_the_agent_leaves_the_screen_as_it_is():
    """The machine goes down and takes the agent along: the screen says so to the end."""
    scene = Scene()
    async with scene.running():
        await scene.clock.advance(5)
    assert scene.screen.shown == [3]


async def test_cancelled_in_the_grace_period_nothing_happens():
    """The screen takes its announcement back, and the machine is never asked."""
    scene = Scene()
    async with scene.running():
        await scene.clock.advance(1.5)
    assert scene.screen.shown == [3, None]
    await scene.clock.advance(300)
    assert scene.box.asked == []


async def test_a_session_that_begins_in_the_grace_period_is_waited_for():
    """The announcement goes, the citizen is served, and the grace period is given anew."""
    scene = Scene()
    async with scene.running():
        await scene.clock.advance(1.5)
        scene.counter.begin()
        await scene.clock.advance(600)
        assert scene.screen.shown == [3, None]
        assert scene.told.texts[-1] == "waits for the end of the citizen's session"
        assert scene.box.asked == []
        scene.counter.end()
        await scene.clock.advance(3)
        assert scene.screen.shown == [3, None, 3]
        assert scene.box.asked == ["reboot"]


async def test_a_session_in_the_last_moment_is_seen_too():
    """The last look is right before the call."""
    scene = Scene(arguments=Reboot(grace_s=1))
    async with scene.running():
        await scene.clock.advance(0.9)
        scene.counter.begin()
        await scene.clock.advance(60)
        assert scene.box.asked == []


async def test_force_does_not_wait():
    """With force the machine goes down under a citizen's hands, announced all the same."""
    scene = Scene(arguments=Reboot(grace_s=2, force=True))
    scene.counter.begin()
    async with scene.running():
        await scene.clock.advance(2)
        assert scene.screen.shown == [2]
        assert scene.box.asked == ["reboot"]


async def test_without_grace_it_goes_at_once():
    """No grace period: one word on the screen and down."""
    scene = Scene(arguments=Reboot(grace_s=0))
    async with scene.running():
        assert scene.screen.shown == [0]
        assert scene.box.asked == ["reboot"]


async def test_a_refusal_is_the_operators_answer():
    """What the machine says is the receipt's text, and the screen is free again."""
    scene = Scene(arguments=Reboot(grace_s=0))
    scene.box.refusal = "the machine did not restart: polkit"
    with pytest.raises(ActionError, match="polkit"):
        await scene.action.run(scene.arguments, scene.invocation())
    assert scene.screen.shown == [0, None]


async def test_the_reboot_that_does_not_happen_is_a_failure():
    """Two minutes after the machine agreed it is still up: said so, screen free again."""
    scene = Scene(arguments=Reboot(grace_s=0))
    async with scene.running() as task:
        await scene.clock.advance(119)
        assert not task.done()
        await scene.clock.advance(1)
        with pytest.raises(ActionError, match="did not go down within 120 s"):
            await task
    assert scene.screen.shown == [0, None]


@pytest.mark.parametrize("shift", [timedelta(days=-4000), timedelta(), timedelta(days=30)])
async def test_another_boot_id_is_success_whatever_the_clock_says(shift):
    """Years back or ahead: the boot id alone decides."""
    scene = Scene()
    scene.clock.boot_id, scene.clock.wall_offset = "boot-2", shift
    scene.clock.quality = "unsynced"
    assert await scene.resume() == {"boot_id": "boot-2"}
    assert scene.told.past_return


async def test_how_long_it_took_is_told_between_two_clocks_that_are_right():
    """Synchronised before and after: seconds from the beginning to the next life."""
    scene = Scene()
    await scene.clock.advance(42.25)
    scene.clock.boot_id = "boot-2"
    assert await scene.resume() == {"boot_id": "boot-2", "took_s": 42.2}


async def test_the_same_boot_id_is_a_failure():
    """Only the agent was restarted: the operator is told that the machine was not."""
    scene = Scene()
    with pytest.raises(ActionError, match=r"the machine was not restarted \(the agent was"):
        await scene.resume()


async def test_an_agent_restarted_while_the_machine_goes_down_waits_for_it():
    """Still going down: no verdict yet, but not for ever either."""
    scene = Scene(poweroff, PowerOff())
    scene.box.going_down = True
    resuming = asyncio.create_task(scene.resume())
    await scene.clock.advance(100)
    assert not resuming.done()
    await scene.clock.advance(30)
    with pytest.raises(ActionError, match="the machine was not switched off"):
        await resuming


async def test_a_boot_id_that_cannot_be_read_proves_nothing():
    """A machine that hides its boot id: no success is claimed."""
    scene = Scene()
    scene.clock.boot_id = "unknown"
    with pytest.raises(ActionError, match="boot id cannot be read"):
        await scene.resume()


def test_what_the_machine_lacks_is_known_beforehand():
    """Each way of going down says what is missing for it; both wait for each other."""
    clock, box = ManualClock(), Box()
    actions = [make(box, Screen(), None, clock) for make in (reboot, poweroff)]
    assert [action.missing() for action in actions] == [None, "no polkit rule"]
    assert {action.group for action in actions} == {"power"}


async def test_agent_restart_ends_with_the_process():
    """It asks once and waits to be cancelled; the next life answers with its own start."""
    clock, restarts = ManualClock(), []
    action = agent_restart(lambda: restarts.append(1), started=clock.stamp(), clock=clock)
    told = Told()
    command = invocation(AgentRestart(), clock.stamp(), told=told)
    running = asyncio.create_task(action.run(AgentRestart(), command))
    await clock.advance(60)
    assert (restarts, running.done(), told.past_return) == ([1], False, True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await clock.advance(5)
    next_life = agent_restart(lambda: None, started=clock.stamp(), clock=clock)
    assert await next_life.resume(AgentRestart(), command) == {
        "started": "2026-11-01T08:01:05.000Z",
        "boot_id": "boot-1",
    }


async def test_an_agent_that_does_not_end_has_failed():
    """A process that hangs on its way out is told, in a sentence."""
    clock = ManualClock()
    action = agent_restart(lambda: None, started=clock.stamp(), clock=clock)
    running = asyncio.create_task(
        action.run(AgentRestart(), invocation(AgentRestart(), clock.stamp()))
    )
    await clock.advance(90)
    with pytest.raises(ActionError, match="did not end within 90 s"):
        await running
