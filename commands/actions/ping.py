"""``ping``: is anybody there, and how long does an answer take."""

from commands.action import Action, Invocation, Result
from contract.actions import Ping


def ping(agent_version: str) -> Action[Ping]:
    """Make the action. Its result: ``agent_version``, ``monotonic_ms``, ``wait_ms``, ``echo``."""

    async def run(arguments: Ping, invocation: Invocation) -> Result:
        begun, received = invocation.begun.monotonic_ms, invocation.received.monotonic_ms
        result: Result = {
            "agent_version": agent_version,
            "monotonic_ms": begun,
            "wait_ms": begun - received,
        }
        return result if arguments.echo is None else result | {"echo": arguments.echo}

    return Action(Ping, run=run, instant=True, idempotent=True)
