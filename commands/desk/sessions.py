"""Citizens being served: sessions that the business application begins, keeps alive and ends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from commands.desk.state import Session, age_s
from commands.desk.view import SessionsView, SessionView
from commands.errors import DeskError
from contract import Clock, Event, Stamp
from contract.business import Mode, SessionBegin, SessionEnd
from contract.ids import uuid7_at

MAX_SESSIONS = 8


@dataclass(slots=True)
class _Open:
    session: Session
    due: float
    """On the monotonic clock: forgotten then."""


class Sessions:
    """Implements :class:`commands.action.Serving`.

    Args:
        clock: the time that forgotten sessions end by.
        commit: saves the desk's state and publishes an event.
        changed: called after each change.
        refusal: why no session may begin now, if so.
        idle_timeout_s: a session that is not kept alive for so long ends by itself.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        commit: Callable[[Event], Awaitable[None]],
        changed: Callable[[], None],
        refusal: Callable[[], DeskError | None],
        idle_timeout_s: float,
    ) -> None:
        self._clock = clock
        self._commit = commit
        self._changed = changed
        self._refusal = refusal
        self._idle_timeout_s = idle_timeout_s
        self._open: dict[str, _Open] = {}
        self._free = asyncio.Event()
        self._free.set()

    @property
    def is_serving(self) -> bool:
        """Whether a citizen is being served now."""
        return bool(self._open)

    async def wait_until_free(self) -> None:
        """Return when nobody is being served."""
        while self._open:
            await self._free.wait()

    @property
    def stored(self) -> tuple[Session, ...]:
        """All open sessions, the oldest first."""
        return tuple(one.session for one in self._open.values())

    @property
    def view(self) -> SessionsView:
        """All open sessions, the oldest first."""
        return SessionsView(sessions=tuple(self._view(session) for session in self.stored))

    @property
    def too_many(self) -> DeskError | None:
        """Why no more can be open, if so."""
        if len(self._open) < MAX_SESSIONS:
            return None
        return DeskError(f"{MAX_SESSIONS} sessions are open already", code="too_many_sessions")

    async def begin(self, business: str, mode: Mode) -> SessionView:
        """A citizen is being served from now on. Raises :class:`DeskError` where none can be."""
        if refusal := self._refusal():
            raise refusal
        now = self._clock.stamp()
        session = Session(id=uuid7_at(now.time), business=business, mode=mode, begun=now)
        self._open[session.id] = _Open(session, self._clock.monotonic() + self._idle_timeout_s)
        self._free.clear()
        self._changed()
        await self._commit(SessionBegin(session_id=session.id, business=business, mode=mode))
        return self._view(session)

    def keep_alive(self, session_id: str) -> SessionView:
        """Somebody is still there. Raises :class:`DeskError` where the session is not open."""
        one = self._find(session_id)
        one.due = self._clock.monotonic() + self._idle_timeout_s
        return self._view(one.session)

    async def end(self, session_id: str) -> None:
        """The citizen is served or has left. Raises :class:`DeskError` where it is not open."""
        await self._end(self._find(session_id).session, "ended")

    def next_s(self) -> float | None:
        """Seconds to the next end of a forgotten session."""
        dues = [one.due for one in self._open.values()]
        return min(dues) - self._clock.monotonic() if dues else None

    async def end_due(self) -> None:
        """End what was forgotten."""
        for session_id in list(self._open):
            one = self._open.get(session_id)
            if one is not None and one.due <= self._clock.monotonic():
                await self._end(one.session, "timeout")

    async def _end(self, session: Session, reason: Literal["ended", "timeout"]) -> None:
        del self._open[session.id]
        if not self._open:
            self._free.set()
        self._changed()
        await self._commit(session_end(session, self._clock.stamp(), reason))

    def _find(self, session_id: str) -> _Open:
        if one := self._open.get(session_id):
            return one
        msg = "no such session is open: it has ended, was forgotten, or the agent was restarted"
        raise DeskError(msg, code="no_such_session")

    def _view(self, session: Session) -> SessionView:
        return SessionView(
            id=session.id,
            business=session.business,
            mode=session.mode,
            begun=session.begun.time,
            idle_timeout_s=self._idle_timeout_s,
        )


def session_end(
    session: Session, now: Stamp, reason: Literal["ended", "timeout", "agent_restarted"]
) -> SessionEnd:
    """Make the event; its duration is 0 where no clock can tell it."""
    return SessionEnd(
        session_id=session.id,
        business=session.business,
        mode=session.mode,
        begun=session.begun.time,
        duration_s=age_s(session.begun, now) or 0.0,
        reason=reason,
    )
