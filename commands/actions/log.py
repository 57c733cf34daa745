"""``log.level`` and ``log.fetch``: what the agent says of itself."""

import asyncio
import gzip

from commands.action import Action, Invocation, Result
from commands.journal import Journal
from commands.log_level import LogLevel
from commands.media import GZIP, SendMedia, send
from contract.actions import LogFetch
from contract.actions import LogLevel as LogLevelArguments
from contract.limits import MAX_MEDIA_BYTES


def log_level(level: LogLevel) -> Action[LogLevelArguments]:
    """Make the action. Its result: ``level``, and ``for_s`` where it ends by itself."""

    async def run(arguments: LogLevelArguments, _: Invocation) -> Result:
        level.change(arguments.level, arguments.for_s)
        return arguments.model_dump(exclude_none=True)

    return Action(arguments=LogLevelArguments, run=run, idempotent=True)


def log_fetch(journal: Journal, send_media: SendMedia) -> Action[LogFetch]:
    """Make the action.

    Its result: ``lines`` sent, ``lines_left_out`` of the older ones because they would not fit,
    and what :func:`commands.media.send` adds.
    """

    async def run(arguments: LogFetch, invocation: Invocation) -> Result:
        found = await journal.newest(since_s=arguments.since_s, lines=arguments.lines)
        archive, kept = await asyncio.to_thread(pack, found, MAX_MEDIA_BYTES)
        sent = await send(send_media, invocation, archive, GZIP)
        return {"lines": kept, "lines_left_out": len(found) - kept, **sent}

    return Action(arguments=LogFetch, run=run, idempotent=True, missing=lambda: journal.missing)


def pack(lines: list[str], limit: int) -> tuple[bytes, int]:
    """Return the newest lines that fit into ``limit`` bytes of gzip, and how many these are."""
    kept = len(lines)
    while True:
        text = "".join(f"{line}\n" for line in lines[len(lines) - kept :])
        packed = gzip.compress(text.encode(), mtime=0)
        if len(packed) <= limit or not kept:
            return packed, kept
        kept = min(kept - 1, int(kept * 0.95 * limit / len(packed)))
