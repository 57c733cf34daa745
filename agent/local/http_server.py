"""HTTP on a Unix socket: who may connect, and how many at a time."""

import asyncio
import contextlib
import grp
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from agent.local.http_connection import Connection
from agent.local.http_message import NO_MORE, Answer, Handle, Limits, Request, RoomOf, answer_for
from agent.local.problem import ProblemError

SOCKET_MODE = 0o660
"""The owner and the group of the socket: nobody else."""
_BACKLOG = 512
_MAX_LEAVING = 256
"""So many are told that there is no room; more are hung up on."""

log = structlog.get_logger()


class HttpServer:
    """Serves while :meth:`run` runs.

    Args:
        path: of the socket.
        handle: answers requests.
        group: owns the socket, as far as the agent may give it away; default: the agent's own.
        limits: of everything that comes from outside.
        room_of: what single routes allow beyond that.
    """

    def __init__(
        self,
        path: Path,
        handle: Handle,
        *,
        group: str | None = None,
        limits: Limits | None = None,
        room_of: RoomOf = lambda _, __: NO_MORE,
    ) -> None:
        self._path = path
        self._handle = handle
        self._group = group
        self._limits = limits or Limits()
        self._room_of = room_of
        self._open: dict[asyncio.Task[None], Connection] = {}
        self._leaving: dict[asyncio.Task[None], Connection] = {}
        self.listening = asyncio.Event()
        """Set while connections are taken."""

    async def run(self) -> None:
        """Serve until cancelled. Raises ``OSError`` where the socket cannot be made."""
        listener = await asyncio.to_thread(_listener, self._path, self._group)
        server = await asyncio.start_unix_server(
            self._accept, sock=listener, limit=self._limits.head_bytes, backlog=_BACKLOG
        )
        self.listening.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.listening.clear()
            server.close()
            tasks = [*self._open, *self._leaving]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._limits, self._room_of)
        if self._has_room(connection.uid):
            self._start(connection, self._serve, self._open)
        elif len(self._leaving) < _MAX_LEAVING:
            self._start(connection, self._turn_away, self._leaving)
        else:
            connection.abort()

    def _start(
        self,
        connection: Connection,
        serve: Callable[[Connection], Awaitable[None]],
        tasks: dict[asyncio.Task[None], Connection],
    ) -> None:
        """Serve it in a task of its own; it is closed also where that never gets to run."""

        async def run() -> None:
            await serve(connection)

        def end(task: asyncio.Task[None]) -> None:
            del tasks[task]
            connection.close()
            if not task.cancelled() and (error := task.exception()):
                log.error("local_connection_failed", error=repr(error))

        task = asyncio.get_running_loop().create_task(run(), name="local connection")
        tasks[task] = connection
        task.add_done_callback(end)

    def _has_room(self, uid: int) -> bool:
        """Whether one more may come in.

        Who is idle has to go for it, the oldest first; else a user who has more than half of all
        has to give way to others.
        """
        if len(self._open) < self._limits.connections:
            return True
        for task, connection in self._open.items():
            if connection.may_give_way and not task.cancelling():
                task.cancel()
                return True
        users = Counter(connection.uid for connection in self._open.values())
        crowd, many = users.most_common(1)[0]
        if crowd == uid or many * 2 <= self._limits.connections:
            return False
        for task, connection in self._open.items():
            if connection.uid == crowd and not task.cancelling():
                task.cancel()
                return True
        return False

    async def _serve(self, connection: Connection) -> None:
        try:
            while request := await connection.next_request():
                if not await connection.send(await self._answer(request)):
                    break
        except ProblemError as error:
            await _refuse(connection, error)
        except OSError as error:  # also those who are too slow to read
            log.debug("local_connection_lost", error=str(error))
            connection.abort()

    async def _turn_away(self, connection: Connection) -> None:
        detail = f"{self._limits.connections} connections are open already"
        await _refuse(connection, ProblemError(503, detail, headers=(("retry-after", "1"),)))

    async def _answer(self, request: Request) -> Answer:
        room = self._room_of(request.method, request.path)
        try:
            async with asyncio.timeout(max(self._limits.answer_s, room.answer_s)):
                return await self._handle(request)
        except ProblemError as error:
            return answer_for(error)
        except TimeoutError:
            return answer_for(ProblemError(503, "the agent has no answer in time"))
        except Exception:
            log.exception("local_request_failed", method=request.method, path=request.path)
            return answer_for(ProblemError(500, "the agent failed; its log says why"))


async def _refuse(connection: Connection, error: ProblemError) -> None:
    try:
        await connection.refuse(error)
    except OSError:
        connection.abort()


def _listener(path: Path, group: str | None) -> socket.socket:
    """Make the socket; nobody can connect before it has its owner and mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)  # a killed agent leaves its own behind
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        if group is not None:
            _give_to(path, group)
        stack.pop_all()
    return listener


def _give_to(path: Path, group: str) -> None:
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, OSError) as error:
        log.warning("socket_group", group=group, effect="the agent's own group", error=str(error))
