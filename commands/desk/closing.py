"""When the kiosk does no business: locked from afar, or in maintenance."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal

import structlog

from commands.desk.state import Lease, Lock, Maintenance, age_s
from commands.errors import ActionError, DeskError
from contract import Clock, Event, Stamp
from contract.business import MaintenanceBegin, MaintenanceEnd, ServiceLocked, ServiceUnlocked

SCREEN_S = 10.0
"""The machine has so long to lock or unlock its screen."""
LOOK_AGAIN_S = 30.0
"""Nobody tells when the wall clock is right, on which a lease over a reboot may wait."""

Screen = Callable[[], Awaitable[None]]

log = structlog.get_logger()


async def no_screen() -> None:
    """Where the machine has no screen to lock."""


class Closing:
    """Lock and maintenance, each with a lease. Open sessions are left to end in peace.

    Args:
        clock: the time of leases.
        commit: saves the desk's state and publishes an event.
        changed: called after each change.
        lock_screen: locks the machine's screen; whatever it raises, business is closed.
        unlock_screen: its opposite.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        commit: Callable[[Event], Awaitable[None]],
        changed: Callable[[], None],
        lock_screen: Screen,
        unlock_screen: Screen,
    ) -> None:
        self._clock = clock
        self._commit = commit
        self._changed = changed
        self._lock_screen = lock_screen
        self._unlock_screen = unlock_screen
        self.locked: Lock | None = None
        self.maintained: Maintenance | None = None

    def take_up(self, locked: Lock | None, maintained: Maintenance | None) -> None:
        """Go on with what an earlier life of the agent left behind."""
        now = self._clock.stamp()
        if locked is not None:
            self.locked = locked.model_copy(update={"lease": locked.lease.taken_up(now)})
        if maintained is not None:
            lease = maintained.lease.taken_up(now)
            self.maintained = maintained.model_copy(update={"lease": lease})

    @property
    def state(self) -> Literal["open", "locked", "maintenance"]:
        """The lock comes before maintenance."""
        return "locked" if self.locked else "maintenance" if self.maintained else "open"

    @property
    def text(self) -> str:
        """What citizens read meanwhile."""
        what = self.locked or self.maintained
        return what.text if what else ""

    @property
    def until(self) -> datetime | None:
        """When that ends by itself, by the wall clock as it is now."""
        what = self.locked or self.maintained
        return _until(what.lease, self._clock.stamp()) if what else None

    @property
    def refusal(self) -> DeskError | None:
        """Why no session may begin, if so."""
        match self.state:
            case "locked":
                return DeskError("the command centre has locked the kiosk", code="locked")
            case "maintenance":
                return DeskError("somebody works on the kiosk", code="maintenance")
            case "open":
                return None

    async def lock(
        self, *, text: str = "", for_s: float | None = None, command_id: str | None = None
    ) -> str | None:
        """Close screen and business. Returns why the machine's screen was not locked, if so."""
        now = self._clock.stamp()
        lease = Lease(granted=now, for_s=for_s)
        self.locked = Lock(text=text, command_id=command_id, lease=lease)
        self._changed()
        await self._commit(
            ServiceLocked(text=text, until=_until(lease, now), command_id=command_id)
        )
        return await _ask(self._lock_screen)

    async def unlock(self, *, command_id: str | None = None) -> str | None:
        """Open screen and business; also a screen of which this agent knows nothing.

        Returns why the machine's screen was not unlocked, if so.
        """
        return await self._unlock(
            ServiceUnlocked(reason="command", command_id=command_id) if self.locked else None
        )

    async def begin_maintenance(self, *, text: str, for_s: float, by: str) -> datetime:
        """Business rests while somebody works on the kiosk; again: the lease begins anew.

        Returns when it ends by itself.
        """
        now = self._clock.stamp()
        lease = Lease(granted=now, for_s=for_s)
        begun = self.maintained.begun if self.maintained else now
        self.maintained = Maintenance(text=text, by=by, begun=begun, lease=lease)
        self._changed()
        until = now.time + timedelta(seconds=for_s)
        await self._commit(MaintenanceBegin(text=text, until=until, by=by))
        return until

    async def end_maintenance(self, reason: Literal["ended", "lease"] = "ended") -> bool:
        """The work is over. Returns whether there was any."""
        work, self.maintained = self.maintained, None
        if work is None:
            return False
        self._changed()
        duration_s = age_s(work.begun, self._clock.stamp()) or 0.0
        await self._commit(
            MaintenanceEnd(begun=work.begun.time, duration_s=duration_s, reason=reason)
        )
        return True

    def next_s(self) -> float | None:
        """Seconds to the next end of a lease, or to the next look at one."""
        now = self._clock.stamp()
        waits = [left for lease in self._leases() if (left := lease.left_s(now)) is not None]
        if any(lease.may_shorten(now) for lease in self._leases()):
            waits.append(LOOK_AGAIN_S)
        return min(waits, default=None)

    async def end_due(self) -> None:
        """End the leases that are over."""
        if self.locked is not None and self._is_over(self.locked.lease):
            problem = await self._unlock(
                ServiceUnlocked(reason="lease", command_id=self.locked.command_id)
            )
            if problem:
                log.warning("screen_not_unlocked", error=problem)
        if self.maintained is not None and self._is_over(self.maintained.lease):
            await self.end_maintenance("lease")

    async def _unlock(self, event: ServiceUnlocked | None) -> str | None:
        self.locked = None
        if event is not None:
            self._changed()
            await self._commit(event)
        return await _ask(self._unlock_screen)

    def _leases(self) -> list[Lease]:
        return [what.lease for what in (self.locked, self.maintained) if what]

    def _is_over(self, lease: Lease) -> bool:
        return lease.left_s(self._clock.stamp()) == 0


def _until(lease: Lease, now: Stamp) -> datetime | None:
    left = lease.left_s(now)
    return None if left is None else now.time + timedelta(seconds=left)


async def _ask(screen: Screen) -> str | None:
    """Lock or unlock the machine's screen; returns what went wrong."""
    try:
        async with asyncio.timeout(SCREEN_S):
            await screen()
    except TimeoutError:
        return f"the machine's screen did not answer within {SCREEN_S:g} s"
    except ActionError as error:
        return str(error)
    except Exception as error:
        log.exception("screen")
        return f"the machine's screen cannot be reached ({type(error).__name__})"
    return None
