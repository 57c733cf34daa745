"""A TCP proxy that breaks lines in the ways that lines break."""

import asyncio
import contextlib
import socket
import struct
from typing import Self

_CHUNK_BYTES = 65_536
_LINGER_ZERO = struct.pack("ii", 1, 0)


class TcpProxy:
    """Stands on 127.0.0.1 before ``host:port``; every method acts on all connections through it.

    Use as ``async with TcpProxy(host, port) as proxy`` and connect to ``proxy.port``.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.accepted = 0
        """Connections taken since the start."""
        self._target = (host, port)
        self._delay_s = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self) -> None:
        """Take connections (again), on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no new connections: they are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def cut(self) -> None:
        """Reset every connection, as a router does that lost its state."""
        for pair in tuple(self._pairs):
            for writer in pair:
                sock = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                writer.transport.abort()

    def half_close(self) -> None:
        """End the direction to the client only; what the client says still arrives."""
        for client, _ in tuple(self._pairs):
            with contextlib.suppress(OSError):
                client.write_eof()

    def stall(self) -> None:
        """Let nothing through, in either direction, and close nothing: a black hole."""
        self._flowing.clear()

    def resume(self) -> None:
        """End a stall; what was on the way arrives."""
        self._flowing.set()

    def delay(self, seconds: float) -> None:
        """Hold everything up by so much from now on, each direction on its own."""
        self._delay_s = seconds

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._flowing.wait()
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, there_writer)
        self._pairs.add(pair)
        try:
            for one in pair:
                one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        except OSError:
            return  # the client was gone before it was served
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio calls it a RuntimeError to write where half_close() was.
        with contextlib.suppress(OSError, RuntimeError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flowing.wait()
                if not writer.is_closing():
                    writer.write(chunk)
                    await writer.drain()
            await self._flowing.wait()
            writer.write_eof()
