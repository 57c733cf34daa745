"""The state of the kiosk's business, in one place: for commands and for the local door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any

from commands.desk.closing import Closing, Screen, no_screen
from commands.desk.follower import Change, Follower, Followers
from commands.desk.notices import Notices
from commands.desk.record import Record
from commands.desk.sessions import Sessions, session_end
from commands.desk.state import DeskState, Store
from commands.desk.view import IdentityView, ServiceView, SessionsView, Subject, View
from commands.errors import DeskError
from commands.machine import PowerKind
from contract import Clock
from contract.message import Publish

SUBJECTS: tuple[Subject, ...] = ("service", "sessions", "announcements", "power", "identity")


class Desk:
    """Implements :class:`commands.action.Serving`. :meth:`start` it once, then :meth:`run` it.

    Args:
        clock: the time that leases and sessions end by.
        publish: takes the events of :mod:`contract.business`.
        store: keeps lock, maintenance and open sessions over a restart.
        lock_screen: locks the machine's screen; whatever it raises, business is closed.
        unlock_screen: its opposite.
        idle_timeout_s: a session that is not kept alive for so long ends by itself.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        publish: Publish,
        store: Store,
        lock_screen: Screen = no_screen,
        unlock_screen: Screen = no_screen,
        idle_timeout_s: float = 300.0,
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._record = Record(clock=clock, publish=publish, store=store, state=self._state)
        self._followers = Followers()
        self._woken = asyncio.Event()
        self._identity = IdentityView()
        self.closing = Closing(
            clock=clock,
            commit=self._record.commit,
            changed=lambda: self._tell("service"),
            lock_screen=lock_screen,
            unlock_screen=unlock_screen,
        )
        self.notices = Notices(clock=clock, changed=self._notice)
        self.sessions = Sessions(
            clock=clock,
            commit=self._record.commit,
            changed=lambda: self._tell("sessions", "service"),
            refusal=self._refusal,
            idle_timeout_s=idle_timeout_s,
        )

    async def start(self) -> None:
        """Take up what an earlier life of the agent left behind; before anyone asks."""
        state = await self._record.load()
        if state == DeskState():
            return
        self.closing.take_up(state.lock, state.maintenance)
        now = self._clock.stamp()
        for session in state.sessions:
            await self._publish(session_end(session, now, "agent_restarted"), now)
        await self._record.commit()

    async def run(self) -> None:
        """End by themselves what has its time, until cancelled."""
        while True:
            self._woken.clear()
            await self.sessions.end_due()
            await self.closing.end_due()
            self.notices.end_due()
            waits = (self.sessions.next_s(), self.closing.next_s(), self.notices.next_s())
            await self._wait(min((wait for wait in waits if wait is not None), default=None))

    @property
    def is_serving(self) -> bool:
        """Whether a citizen is being served now."""
        return self.sessions.is_serving

    async def wait_until_free(self) -> None:
        """Return when nobody is being served."""
        await self.sessions.wait_until_free()

    def announce_power(self, kind: PowerKind, seconds_left: float) -> None:
        """The machine goes down after so long; no session begins until then."""
        self.notices.announce_power(kind, seconds_left)

    def withdraw_power(self) -> None:
        """The machine does not go down after all."""
        self.notices.withdraw_power()

    def show_identity(self, view: IdentityView) -> None:
        """Show how an identity check stands."""
        self._identity = view
        self._tell("identity")

    @property
    def identity(self) -> IdentityView:
        """How the identity check stands, or how the last one ended."""
        return self._identity

    @property
    def is_saved(self) -> bool:
        """Whether what holds now would survive a restart."""
        return self._record.is_saved

    @property
    def service(self) -> ServiceView:
        """Whether the kiosk does business now."""
        refusal = self._refusal()
        return ServiceView(
            state=self.closing.state,
            text=self.closing.text,
            until=self.closing.until,
            may_begin=refusal is None,
            reason=str(refusal or ""),
        )

    def follow(self) -> AbstractContextManager[Follower]:
        """Follow all changes inside a ``with``; the first are all subjects as they are now."""
        return self._followers.join(Change(subject, self._look(subject)) for subject in SUBJECTS)

    async def follow_sessions(self) -> AsyncIterator[SessionsView]:
        """Yield all open sessions, now and after each change; who falls behind begins anew."""
        while True:
            with self.follow() as follower:
                while (change := await follower.next()) is not None:
                    if isinstance(change.view, SessionsView):
                        yield change.view

    @property
    def follower_count(self) -> int:
        """How many follow now."""
        return len(self._followers)

    def _state(self) -> DeskState:
        return DeskState(
            lock=self.closing.locked,
            maintenance=self.closing.maintained,
            sessions=self.sessions.stored,
        )

    def _refusal(self) -> DeskError | None:
        return self.notices.refusal or self.closing.refusal or self.sessions.too_many

    def _notice(self, subject: Subject) -> None:
        self._tell(*((subject, "service") if subject == "power" else (subject,)))

    def _look(self, subject: Subject) -> View:
        match subject:
            case "service":
                return self.service
            case "sessions":
                return self.sessions.view
            case "announcements":
                return self.notices.announcements
            case "power":
                return self.notices.power
            case "identity":
                return self._identity

    def _tell(self, *subjects: Subject) -> None:
        self._woken.set()
        for subject in subjects:
            self._followers.tell(Change(subject, self._look(subject)))

    async def _wait(self, seconds: float | None) -> None:
        """Until something changes, but no longer than so long."""
        tasks: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._woken.wait())}
        if seconds is not None:
            tasks.add(asyncio.ensure_future(self._clock.sleep(max(0.0, seconds))))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
