"""``agent.restart``: a new process for the agent; the machine stays up."""

from collections.abc import Callable

from commands.action import Action, Invocation, Result
from commands.actions.power import GROUP
from commands.errors import ActionError
from contract import Clock, Stamp
from contract.actions import AgentRestart
from contract.wire import format_time

ENDING_S = 90.0
"""The agent has ended within this time, or it will not."""


def agent_restart(
    restart: Callable[[], None], *, started: Stamp, clock: Clock
) -> Action[AgentRestart]:
    """Make the action.

    Args:
        restart: ends this process in order, so that it is run again; returns at once.
        started: when this process started, the ``started`` and ``boot_id`` of the result.
        clock: the time that the process has to end.
    """

    async def run(_: AgentRestart, invocation: Invocation) -> Result:
        invocation.no_return()
        await invocation.progress("the agent is being restarted")
        restart()
        await clock.sleep(ENDING_S)
        msg = f"the agent did not end within {ENDING_S:.0f} s"
        raise ActionError(msg)

    async def resume(_: AgentRestart, __: Invocation) -> Result:
        return {"started": format_time(started.time), "boot_id": started.boot_id}

    return Action(arguments=AgentRestart, run=run, resume=resume, group=GROUP)
