"""``door.lock`` and ``door.unlock``: the way in, for a time."""

from commands.action import Action, Invocation, Result
from commands.door import Door
from commands.errors import ActionError
from contract.actions import DoorLock, DoorUnlock
from contract.wire import format_time

GROUP = "door"
_NO_DOOR = "this kiosk has no door that the agent can lock (setting driver in [door])"


def door_lock(door: Door | None) -> Action[DoorLock]:
    """Make the action, for a kiosk with or without a door. Its result: ``state``, ``until``."""

    async def run(arguments: DoorLock, invocation: Invocation) -> Result:
        invocation.no_return()
        there = _present(door)
        until = await there.lock(arguments.for_s, invocation.command.id)
        return {"state": await there.state(), "until": format_time(until)}

    async def resume(_: DoorLock, __: Invocation) -> Result:
        msg = "the agent was restarted meanwhile, and starts with an open door"
        raise ActionError(msg)

    return Action(
        arguments=DoorLock,
        run=run,
        resume=resume,
        group=GROUP,
        missing=lambda: _NO_DOOR if door is None else door.problem,
    )


def door_unlock(door: Door | None) -> Action[DoorUnlock]:
    """Make the action; also tried on a lock that did not move before. Its result: ``state``."""

    async def run(_: DoorUnlock, invocation: Invocation) -> Result:
        invocation.no_return()
        there = _present(door)
        await there.unlock(invocation.command.id)
        return {"state": await there.state()}

    return Action(
        arguments=DoorUnlock,
        run=run,
        idempotent=True,
        group=GROUP,
        missing=lambda: _NO_DOOR if door is None else None,
    )


def _present(door: Door | None) -> Door:
    if door is None:
        raise ActionError(_NO_DOOR)
    return door
