"""``diagnostics``: everything that somebody far away wants to see of an agent that is not well."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from commands.action import Action, Invocation, Result
from commands.media import GZIP, SendMedia, send
from contract.actions import Diagnostics


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar.gz without secrets and pictures."""

    content: bytes
    files: tuple[str, ...]
    problems: tuple[str, ...]
    """What could not be collected, a sentence each."""


def diagnostics(
    collect: Callable[[], Awaitable[Archive]], send_media: SendMedia
) -> Action[Diagnostics]:
    """Make the action.

    Its result: ``files``, ``problems`` and what :func:`commands.media.send` adds.
    """

    async def run(_: Diagnostics, invocation: Invocation) -> Result:
        archive = await collect()
        sent = await send(send_media, invocation, archive.content, GZIP)
        return {"files": list(archive.files), "problems": list(archive.problems), **sent}

    return Action(arguments=Diagnostics, run=run, idempotent=True)
