"""``service.lock`` and ``service.unlock``: the kiosk's screen and business, closed from afar."""

from commands.action import Action, Invocation, Result
from commands.desk.desk import Desk
from contract.actions import ServiceLock, ServiceUnlock
from contract.wire import format_time

GROUP = "service"


def service_lock(desk: Desk) -> Action[ServiceLock]:
    """Make the action.

    Its result: ``until`` where it ends by itself, ``open_sessions`` that go on, ``saved`` (whether
    the lock outlives a restart) and ``screen_problem`` where only business was closed.
    """

    async def run(arguments: ServiceLock, invocation: Invocation) -> Result:
        invocation.no_return()
        problem = await desk.closing.lock(
            text=arguments.text, for_s=arguments.for_s, command_id=invocation.command.id
        )
        until = desk.closing.until
        return {
            **({"until": format_time(until)} if until else {}),
            "open_sessions": len(desk.sessions.stored),
            "saved": desk.is_saved,
            **({"screen_problem": problem} if problem else {}),
        }

    return Action(arguments=ServiceLock, run=run, idempotent=True, group=GROUP)


def service_unlock(desk: Desk) -> Action[ServiceUnlock]:
    """Make the action.

    Its result: ``state`` of the service now, ``saved``, and ``screen_problem`` where the screen
    is not open.
    """

    async def run(_: ServiceUnlock, invocation: Invocation) -> Result:
        invocation.no_return()
        problem = await desk.closing.unlock(command_id=invocation.command.id)
        return {
            "state": desk.closing.state,
            "saved": desk.is_saved,
            **({"screen_problem": problem} if problem else {}),
        }

    return Action(arguments=ServiceUnlock, run=run, idempotent=True, group=GROUP)
