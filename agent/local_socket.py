"""The agent's local socket: one JSON object a line, asked and answered."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from agent.errors import NotRunningError

MAX_REQUEST_BYTES = 4096
_TIMEOUT_S = 5.0

log = structlog.get_logger()

Answer = Callable[[], Awaitable[dict[str, Any]]]


class LocalSocket:
    """Answers requests ``{"request": NAME}`` on a Unix socket that only user and group may use."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path = path
        self._answers = answers

    async def run(self) -> None:
        """Serve until cancelled. Raises ``OSError`` where the socket cannot be made."""
        server = await asyncio.start_unix_server(
            self._serve,
            limit=MAX_REQUEST_BYTES,
            sock=None,
            path=await asyncio.to_thread(self._clear),
        )
        try:
            await asyncio.to_thread(self._path.chmod, 0o660)
            await server.serve_forever()
        finally:
            server.close()
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _clear(self) -> Path:
        """Make room for the socket: a killed agent leaves its own behind."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)
        return self._path

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reply = await self._reply(await reader.readline())
                writer.write(json.dumps(reply, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError) as error:
            log.debug("local request failed", error=str(error))
        finally:
            writer.close()

    async def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            name = json.loads(line)["request"]
            answer = self._answers[name]
        except (ValueError, KeyError, TypeError):
            return {"error": f"unknown request; known: {', '.join(sorted(self._answers))}"}
        return await answer()


async def ask(path: Path, request: str) -> dict[str, Any]:
    """Ask the running agent.

    Raises:
        NotRunningError: nobody answers on the socket.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=1024 * 1024)
            writer.write(json.dumps({"request": request}).encode() + b"\n")
            line = await reader.readline()
            writer.close()
        reply = json.loads(line)
    except (OSError, ValueError, TimeoutError) as error:
        msg = f"no agent answers on {path}: {error or 'no answer in time'}"
        raise NotRunningError(msg) from None
    if not isinstance(reply, dict):
        msg = f"whatever answers on {path} is not the agent"
        raise NotRunningError(msg)
    return reply
