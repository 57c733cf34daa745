"""Asking the running agent through its local door."""

import asyncio
import json
from pathlib import Path
from typing import Any

import h11

from agent.errors import AgentError, NotRunningError

MAX_ANSWER_BYTES = 4 * 1024 * 1024
_TIMEOUT_S = 35.0
"""The agent itself gives up before."""
_CHUNK = 64 * 1024


async def ask(path: Path, method: str, target: str, body: object = None) -> dict[str, Any]:
    """Send one request; returns the JSON object of the answer, empty where it has no body.

    Args:
        path: of the agent's socket.
        method: of HTTP.
        target: such as ``/v1/status``.
        body: anything that JSON can say; ``None``: no body.

    Raises:
        NotRunningError: nobody answers on the socket, or it is not the agent.
        AgentError: the agent did not do it; the text says why.
    """
    content = b"" if body is None else json.dumps(body).encode()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            status, answer = await _exchange(path, method, target, content)
    except TimeoutError:
        msg = f"no agent answers on {path}: no answer in time"
        raise NotRunningError(msg) from None
    except OSError as error:
        msg = f"no agent answers on {path}: {error}"
        raise NotRunningError(msg) from None
    except (h11.ProtocolError, ValueError):
        msg = f"whatever answers on {path} is not the agent"
        raise NotRunningError(msg) from None
    if status >= 400:
        raise AgentError(str(answer.get("detail") or answer.get("title") or f"status {status}"))
    return answer


async def _exchange(
    path: Path, method: str, target: str, content: bytes
) -> tuple[int, dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        http = h11.Connection(h11.CLIENT)
        headers = [("host", "localhost"), ("connection", "close")]
        if content:
            headers.append(("content-type", "application/json"))
        if content or method != "GET":
            headers.append(("content-length", str(len(content))))
        request = h11.Request(method=method, target=target, headers=headers)
        for part in (request, h11.Data(data=content), h11.EndOfMessage()):
            writer.write(http.send(part) or b"")
        await writer.drain()
        return await _read(reader, http)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, http: h11.Connection) -> tuple[int, dict[str, Any]]:
    """Raises ``ValueError`` for what the agent would not say."""
    status, body = 0, bytearray()
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        match event:
            case h11.NEED_DATA:
                http.receive_data(await reader.read(_CHUNK))
            case h11.Response(status_code=status):
                pass
            case h11.Data(data=data):
                body += data
                if len(body) > MAX_ANSWER_BYTES:
                    msg = f"an answer of more than {MAX_ANSWER_BYTES} bytes"
                    raise ValueError(msg)
            case h11.ConnectionClosed():
                msg = "hung up without an answer"
                raise ConnectionError(msg)
    answer = json.loads(body) if body else {}
    if not isinstance(answer, dict):
        msg = "not a JSON object"
        raise ValueError(msg)  # noqa: TRY004 - of the answer, not of our caller
    return status, answer
