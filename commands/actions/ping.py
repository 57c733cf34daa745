"""``ping``: is anybody there, and how long does an answer take."""

from typing import Any

from pydantic import Field

from commands.action import Action, Invocation
from contract.keys import ROLES
from contract.wire import WireModel


class PingArguments(WireModel):
    """Text to send back."""

    echo: str | None = Field(default=None, max_length=256)


def ping(agent_version: str) -> Action[PingArguments]:
    """Make the action. Its result: ``agent_version``, ``monotonic_ms``, ``wait_ms``, ``echo``."""

    async def run(arguments: PingArguments, invocation: Invocation) -> dict[str, Any]:
        begun, received = invocation.begun.monotonic_ms, invocation.received.monotonic_ms
        result = {
            "agent_version": agent_version,
            "monotonic_ms": begun,
            "wait_ms": begun - received,
        }
        return result if arguments.echo is None else result | {"echo": arguments.echo}

    return Action(
        name="ping",
        arguments=PingArguments,
        roles=ROLES,
        run=run,
        idempotent=True,
        disruptive=False,
    )
