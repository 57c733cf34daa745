"""One connection of HTTP/1.1 (RFC 9112): h11 speaks the protocol, here are its bounds in time."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import urlsplit

import h11

from agent.local.http_message import Answer, Limits, Request, RoomOf, answer_for
from agent.local.problem import ProblemError

_CHUNK = 64 * 1024
_LINGER_BYTES = 1024 * 1024
_UCRED = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


class Connection:
    """Reads requests and writes answers, one after the other."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: Limits,
        room_of: RoomOf,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.uid = _uid(writer)
        """The user at the other end, as the kernel says."""
        self._limits = limits
        self._room_of = room_of
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._clock = asyncio.get_running_loop().time
        self._idle_since: float | None = self._clock()
        self._head_only = False
        writer.transport.set_write_buffer_limits(high=_CHUNK)

    @property
    def may_give_way(self) -> bool:
        """Whether it is idle, and not only since a moment ago."""
        return (
            self._idle_since is not None
            and self._clock() - self._idle_since >= self._limits.grace_s
        )

    async def next_request(self) -> Request | None:
        """Wait for a request; ``None``: the peer has left, or has been idle for too long.

        Raises:
            ProblemError: it is not HTTP, too large, or too slow; answer, then close.
        """
        self._idle_since = self._clock()
        if not self._http.trailing_data[0] and not await self._hear():
            return None
        self._idle_since = None
        try:
            async with asyncio.timeout(self._limits.request_s):
                return await self._read_request()
        except TimeoutError:
            detail = f"the request was not complete within {self._limits.request_s:g} s"
            raise ProblemError(408, detail) from None
        except h11.RemoteProtocolError as error:
            raise ProblemError(error.error_status_hint, f"not HTTP/1.1: {error}") from None

    async def send(self, answer: Answer) -> bool:
        """Write an answer. Returns whether another request may follow.

        Raises:
            OSError: the peer has left, or does not take what was sent (``TimeoutError``).
        """
        if answer.stream is not None:
            await self._write(self._http.send(_head(answer)))
            await self._stream(answer.stream)
            return False
        await self._write(self._whole(answer))
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def refuse(self, error: ProblemError) -> None:
        """Answer with a problem as far as the protocol still allows, and say no more.

        Raises:
            OSError: the peer has left.
        """
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._write(self._whole(answer_for(error), ("connection", "close")))
        await self._linger()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    def abort(self) -> None:
        """Hang up, whatever the peer has not taken yet."""
        self._writer.transport.abort()

    async def _hear(self) -> bool:
        """Wait for the first byte of a request."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                data = await self._reader.read(self._limits.head_bytes)
        except TimeoutError:
            return False
        self._http.receive_data(data)
        return bool(data)

    async def _read_request(self) -> Request | None:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._head_only = head.method == b"HEAD"
        if not head.http_version.startswith(b"1."):
            msg = "this is HTTP/1.1"
            raise ProblemError(505, msg)
        method, path = head.method.decode("ascii"), _path(head.target)
        limit = max(self._limits.body_bytes, self._room_of(method, path).body_bytes)
        fields = dict(head.headers)
        if int(fields.get(b"content-length", b"0")) > limit:
            raise _too_large(limit)
        body = bytearray()
        while isinstance(part := await self._next_event(), h11.Data):
            body += part.data
            if len(body) > limit:
                raise _too_large(limit)
        return Request(method=method, path=path, body=bytes(body), uid=self.uid)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._write(self._http.send(go_on))
            self._http.receive_data(await self._reader.read(self._limits.head_bytes))
        return event

    def _whole(self, answer: Answer, *more: tuple[str, str]) -> bytes:
        body = b"" if self._head_only else answer.body
        parts = (_head(answer, *more), h11.Data(data=body), h11.EndOfMessage())
        return b"".join(self._http.send(part) or b"" for part in parts)

    async def _stream(self, stream: AsyncGenerator[bytes, None]) -> None:
        """Write until the stream ends, or the peer hangs up or says anything more."""
        pump = asyncio.ensure_future(self._pump(stream))
        gone = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pump.cancel()
            gone.cancel()
            results = await asyncio.gather(pump, gone, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _pump(self, stream: AsyncGenerator[bytes, None]) -> None:
        async with contextlib.aclosing(stream):
            async for chunk in stream:
                await self._write(self._http.send(h11.Data(data=chunk)))
        await self._write(self._http.send(h11.EndOfMessage()))

    async def _write(self, data: bytes | None) -> None:
        self._writer.write(data or b"")
        async with asyncio.timeout(self._limits.write_s):
            await self._writer.drain()

    async def _linger(self) -> None:
        """Let the peer read the answer before its unread words make the kernel reset the line."""
        self._writer.write_eof()
        left = _LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.grace_s):
                while left > 0 and (data := await self._reader.read(_CHUNK)):
                    left -= len(data)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"the body is larger than {limit} bytes")


def _uid(writer: asyncio.StreamWriter) -> int:
    peer = writer.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(raw)[1])


def _path(target: bytes) -> str:
    try:
        return urlsplit(target.decode("ascii")).path
    except ValueError:
        msg = "the target of the request is not a URL"
        raise ProblemError(400, msg) from None


def _head(answer: Answer, *more: tuple[str, str]) -> h11.Response:
    headers = [("date", formatdate(usegmt=True)), ("cache-control", "no-store"), *answer.headers]
    if answer.body or answer.stream is not None:
        headers.append(("content-type", answer.media_type))
    if answer.stream is None and answer.status != 204:
        headers.append(("content-length", str(len(answer.body))))
    return h11.Response(
        status_code=answer.status,
        reason=HTTPStatus(answer.status).phrase,
        headers=[*headers, *more],
    )
