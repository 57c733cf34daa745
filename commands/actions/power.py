"""``reboot`` and ``poweroff``: the machine goes down, announced, and not under a citizen's hands.

Whether it happened is told by the kernel's boot id alone: the clock of a machine that comes up
may be years off.
"""

from typing import Protocol

from commands.action import Action, Invocation, Result, Serving
from commands.errors import ActionError
from commands.machine import Machine, PowerKind
from contract import Clock
from contract.actions import PowerOff, Reboot

GROUP = "power"
GOING_DOWN_S = 120.0
"""A machine that agreed is down within this time, or it will not go."""

_TICK_S = 1.0
_TELL_EVERY_S = 5.0
_LOOK_S = 2.0
_UNKNOWN = "unknown"
"""The boot id of a machine that hides it (see ``telemetry.clock.SystemClock``)."""

_DONE: dict[PowerKind, str] = {"reboot": "restarted", "poweroff": "switched off"}


class Screen(Protocol):
    """What the citizen sees of it."""

    def announce_power(self, kind: PowerKind, seconds_left: float) -> None:
        """Say once that the machine goes down in so many seconds; no session begins until then."""
        ...

    def withdraw_power(self) -> None:
        """It does not go down after all."""
        ...


def reboot(machine: Machine, screen: Screen, serving: Serving, clock: Clock) -> Action[Reboot]:
    """Make the action. Its result: ``boot_id``, and ``took_s`` where the clock can be believed."""
    going = _Going("reboot", machine, screen, serving, clock)
    return Action(
        arguments=Reboot,
        run=going.run,
        resume=going.resume,
        group=GROUP,
        missing=lambda: machine.missing_power("reboot"),
    )


def poweroff(machine: Machine, screen: Screen, serving: Serving, clock: Clock) -> Action[PowerOff]:
    """Make the action; it ends when somebody has switched the machine on again."""
    going = _Going("poweroff", machine, screen, serving, clock)
    return Action(
        arguments=PowerOff,
        run=going.run,
        resume=going.resume,
        group=GROUP,
        missing=lambda: machine.missing_power("poweroff"),
    )


class _Going:
    """One way of going down."""

    def __init__(
        self,
        kind: PowerKind,
        machine: Machine,
        screen: Screen,
        serving: Serving,
        clock: Clock,
    ) -> None:
        self._kind: PowerKind = kind
        self._go = machine.reboot if kind == "reboot" else machine.power_off
        self._machine = machine
        self._screen = screen
        self._serving = serving
        self._clock = clock

    async def run(self, arguments: Reboot | PowerOff, invocation: Invocation) -> Result:
        """Announce, go down, and be cancelled with the agent; the next life tells the rest."""
        going = False
        try:
            await self._clear_the_way(arguments, invocation)
            invocation.no_return()
            await self._go()
            going = True
            await invocation.progress(f"the machine is being {_DONE[self._kind]}")
            await self._clock.sleep(GOING_DOWN_S)
            going = False
        finally:
            if not going:
                self._screen.withdraw_power()
        msg = f"the machine did not go down within {GOING_DOWN_S:.0f} s"
        raise ActionError(msg)

    async def resume(self, _: Reboot | PowerOff, invocation: Invocation) -> Result:
        """Tell by the boot id whether the machine was down."""
        invocation.no_return()
        begun, deadline = invocation.begun, self._clock.monotonic() + GOING_DOWN_S
        now = self._clock.stamp()
        if _UNKNOWN in {begun.boot_id, now.boot_id}:
            msg = "the kernel's boot id cannot be read: nobody knows whether the machine was down"
            raise ActionError(msg)
        if now.boot_id != begun.boot_id:
            result: Result = {"boot_id": now.boot_id}
            if begun.time_quality == now.time_quality == "synced":
                result["took_s"] = round((now.time - begun.time).total_seconds(), 1)
            return result
        while await self._is_going_down() and self._clock.monotonic() < deadline:
            await self._clock.sleep(_LOOK_S)
        msg = f"the machine was not {_DONE[self._kind]} (the agent was restarted meanwhile)"
        raise ActionError(msg)

    async def _clear_the_way(self, arguments: Reboot | PowerOff, invocation: Invocation) -> None:
        """Return when the grace period is over and nobody is being served."""
        counted = False
        while not counted:
            if self._is_in_the_way(arguments):
                await invocation.progress("waits for the end of the citizen's session")
                await self._serving.wait_until_free()
            counted = await self._count_down(arguments, invocation)

    async def _count_down(self, arguments: Reboot | PowerOff, invocation: Invocation) -> bool:
        """Announce the grace period; False where a session began all the same."""
        begun, told = self._clock.monotonic(), float("-inf")
        end = begun + arguments.grace_s
        self._screen.announce_power(self._kind, arguments.grace_s)
        while (now := self._clock.monotonic()) < end:
            if now - told >= _TELL_EVERY_S:
                told = now
                await invocation.progress(
                    f"the machine is {_DONE[self._kind]} in {end - now:.0f} s",
                    round(100 * (now - begun) / arguments.grace_s, 1),
                )
            await self._clock.sleep(min(_TICK_S, end - now))
            if self._is_in_the_way(arguments):
                break
        # Nothing is awaited between this look and the call to the machine.
        if self._is_in_the_way(arguments):
            self._screen.withdraw_power()
            return False
        return True

    def _is_in_the_way(self, arguments: Reboot | PowerOff) -> bool:
        return not arguments.force and self._serving.is_serving

    async def _is_going_down(self) -> bool:
        try:
            return await self._machine.preparing_for_shutdown()
        except ActionError:  # no bus: it may just have been stopped
            return False
