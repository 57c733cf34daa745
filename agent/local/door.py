"""The local door: HTTP on a Unix socket, for the business application and the person on site."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from agent.identity.requests import MaintenanceRequest
from agent.local.call import Call, Operate, answer_with, spend
from agent.local.http_message import Answer, Limits, Request
from agent.local.http_server import HttpServer
from agent.local.identity_calls import IdentityCalls, Persons
from agent.local.openapi import dumps
from agent.local.peer import user_name
from agent.local.problem import ProblemError
from agent.local.routes import Operation, SessionRequest, find, room_of
from commands.desk.desk import Desk
from commands.desk.follower import Change
from commands.errors import DeskError
from commands.rate import TokenBucket
from contract import Clock
from contract.actions import MaintenanceOff, MaintenanceOn
from contract.errors import ContractError
from contract.health import Health
from contract.wire import parse

OnLocalAct = Callable[[str, str], Awaitable[None]]
"""Told ``what`` (an action's name) and ``by`` whom before it is done; what it raises stops it."""

_EVENT_STREAM = "text/event-stream"
_RETRY = b"retry: 1000\n\n"
_HEARTBEAT = b": alive\n\n"


class LocalDoor:
    """Serves while :meth:`run` runs.

    Args:
        path: of the socket; owner and group may use it.
        desk: the state of the kiosk's business.
        status: how the agent is.
        health: the latest sample.
        on_local_act: told what a person on site does.
        persons: answers about persons.
        clock: the time of rates.
        group: owns the socket, as far as the agent may give it away; default: the agent's own.
        limits: of everything that comes from outside.
        name_of: the name of a user by number.
    """

    def __init__(
        self,
        path: Path,
        *,
        desk: Desk,
        status: Callable[[], Awaitable[dict[str, Any]]],
        health: Callable[[], Health | None],
        on_local_act: OnLocalAct,
        persons: Persons,
        clock: Clock,
        group: str | None = None,
        limits: Limits | None = None,
        name_of: Callable[[int], Awaitable[str]] = user_name,
    ) -> None:
        self._desk = desk
        self._latest_status = status
        self._latest_health = health
        self._on_local_act = on_local_act
        self._limits = limits or Limits()
        self._sessions = TokenBucket(self._limits.sessions_per_hour, 3600, clock)
        self._acts = TokenBucket(self._limits.acts_per_hour, 3600, clock)
        self._name_of = name_of
        self._persons = persons
        self._server = HttpServer(
            path, self._handle, group=group, limits=self._limits, room_of=room_of
        )
        identity = IdentityCalls(persons, desk=desk, by_user=self._by_user, clock=clock)
        self._operations: dict[Operation, Operate] = {
            **identity.operations,
            "status": self._status,
            "health": self._health,
            "service": self._service,
            "list_sessions": self._list_sessions,
            "begin_session": self._begin_session,
            "keep_session_alive": self._keep_session_alive,
            "end_session": self._end_session,
            "announcements": self._announcements,
            "events": self._events,
            "begin_maintenance": self._begin_maintenance,
            "end_maintenance": self._end_maintenance,
            "openapi": self._openapi,
        }

    async def run(self) -> None:
        """Serve until cancelled. Raises ``OSError`` where the socket cannot be made."""
        await self._server.run()

    async def opened(self) -> None:
        """Return when connections are taken."""
        await self._server.listening.wait()

    async def _handle(self, request: Request) -> Answer:
        route, parts = find(request.method, request.path)
        try:
            limit = max(self._limits.body_bytes, route.room.body_bytes)
            body = (
                parse(route.request, request.body or b"{}", limit=limit) if route.request else None
            )
            return await self._operations[route.operation](Call(parts, body, request.uid))
        except ContractError as error:
            raise ProblemError(400, f"body: {error}") from None
        except DeskError as error:
            status = 404 if error.code.startswith("no_such_") else 409
            raise ProblemError(status, str(error), code=error.code) from None

    # -- one for each operation ------------------------------------------------------------

    async def _status(self, _: Call) -> Answer:
        return Answer(body=to_json(await self._latest_status()))

    async def _health(self, _: Call) -> Answer:
        health = self._latest_health()
        if health is None:
            msg = "there is no sample yet: the agent has just begun"
            raise ProblemError(503, msg, headers=(("retry-after", "5"),))
        return answer_with(health)

    async def _service(self, _: Call) -> Answer:
        return answer_with(self._desk.service)

    async def _list_sessions(self, _: Call) -> Answer:
        return answer_with(self._desk.sessions.view)

    async def _begin_session(self, call: Call) -> Answer:
        wanted: SessionRequest = call.body
        spend(self._sessions, f"{self._limits.sessions_per_hour} sessions")
        return answer_with(
            await self._desk.sessions.begin(wanted.business, wanted.mode), status=201
        )

    async def _keep_session_alive(self, call: Call) -> Answer:
        return answer_with(self._desk.sessions.keep_alive(call.parts["id"]))

    async def _end_session(self, call: Call) -> Answer:
        await self._desk.sessions.end(call.parts["id"])
        return Answer(204)

    async def _announcements(self, _: Call) -> Answer:
        return answer_with(self._desk.notices.announcements)

    async def _events(self, _: Call) -> Answer:
        if self._desk.follower_count >= self._limits.streams:
            msg = f"{self._limits.streams} follow already"
            raise ProblemError(503, msg, headers=(("retry-after", "5"),))
        return Answer(media_type=_EVENT_STREAM, stream=self._stream())

    async def _begin_maintenance(self, call: Call) -> Answer:
        wanted: MaintenanceRequest = call.body
        staff = self._persons.use(wanted.decision_id, "maintenance") if wanted.decision_id else None
        by = await self._record_act(MaintenanceOn.ACTION, call.uid, staff)
        await self._desk.closing.begin_maintenance(text=wanted.text, for_s=wanted.for_s, by=by)
        return answer_with(self._desk.service)

    async def _end_maintenance(self, call: Call) -> Answer:
        await self._record_act(MaintenanceOff.ACTION, call.uid)
        await self._desk.closing.end_maintenance()
        return answer_with(self._desk.service)

    async def _openapi(self, _: Call) -> Answer:
        return Answer(body=await asyncio.to_thread(_document))

    async def _record_act(self, what: str, uid: int, staff: str | None = None) -> str:
        spend(self._acts, f"{self._limits.acts_per_hour} times that maintenance begins or ends")
        by = f"staff:{staff}" if staff else await self._by_user(uid)
        await self._on_local_act(what, by)
        return by

    async def _by_user(self, uid: int) -> str:
        return f"local:{await self._name_of(uid)}"

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        """All subjects as they are, then every change; ends for who falls behind."""
        with self._desk.follow() as follower:
            yield _RETRY
            while True:
                try:
                    async with asyncio.timeout(self._limits.heartbeat_s):
                        change = await follower.next()
                except TimeoutError:
                    yield _HEARTBEAT
                    continue
                if change is None:
                    return
                yield _event(change)


def _event(change: Change) -> bytes:
    """One event as the HTML standard writes it (9.2.6); JSON has no line breaks of its own."""
    data = change.view.model_dump_json(exclude_none=True)
    return f"event: {change.subject}\ndata: {data}\n\n".encode()


@cache
def _document() -> bytes:
    return dumps().encode()
