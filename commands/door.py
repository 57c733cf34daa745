"""The kiosk's door: open unless somebody has just asked otherwise, and never a trap.

It starts open, opens by itself at the end of a lease and on alarms, and every fault ends in an
open door. What it locks is the way in only: the way out is the business of the hardware.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

import structlog

from commands.door_settings import DoorSettings
from commands.errors import ActionError
from contract import Clock, Event, Stamp
from contract.business import DoorLocked, DoorUnlocked
from contract.message import Publish

DoorState = Literal["locked", "unlocked"]
OpenReason = Literal["command", "lease", "alarm", "agent_stopped"]

_TICK_S = 1.0
_RETRY_S = 30.0
_MAX_UNTOLD = 64

log = structlog.get_logger()


class DoorDriver(Protocol):
    """What moves the lock. Every method raises :class:`ActionError` where it cannot."""

    async def lock(self) -> None:
        """Keep people from entering."""
        ...

    async def unlock(self) -> None:
        """Let people enter."""
        ...

    async def state(self) -> DoorState:
        """How the lock is driven now."""
        ...


class SimulatedDoor:
    """A door that is only thought of, for demonstrations."""

    def __init__(self) -> None:
        self._state: DoorState = "unlocked"

    async def lock(self) -> None:
        """Lock it."""
        self._state = "locked"

    async def unlock(self) -> None:
        """Unlock it."""
        self._state = "unlocked"

    async def state(self) -> DoorState:
        """How it is now."""
        return self._state


@dataclass(slots=True)
class _Lease:
    """The door is locked until ``end_s`` on the monotonic clock."""

    end_s: float
    until: datetime


class Door:
    """One door. Keep :meth:`run` running, and :meth:`close` it at the end.

    Args:
        driver: moves the lock.
        settings: how long at most, and which alarms open it.
        clock: the time that leases end by.
        publish: takes DoorLocked and DoorUnlocked.
        reasons_not_to_lock: who could be trapped now, a sentence each; empty: nobody.
        alarms: the codes of the alarms in force now.
    """

    def __init__(
        self,
        *,
        driver: DoorDriver,
        settings: DoorSettings,
        clock: Clock,
        publish: Publish,
        reasons_not_to_lock: Callable[[], list[str]],
        alarms: Callable[[], Iterable[str]],
    ) -> None:
        self._driver = driver
        self._settings = settings
        self._clock = clock
        self._publish = publish
        self._reasons_not_to_lock = reasons_not_to_lock
        self._alarms = alarms
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._telling = asyncio.Lock()
        self._untold: deque[tuple[Event, Stamp]] = deque(maxlen=_MAX_UNTOLD)
        self._lease: _Lease | None = None
        self._told_locked = False
        self._opened = False
        """Whether the driver has proved once that it can open."""
        self.problem: str | None = None
        """Why the lock could not be moved the last time."""

    @property
    def locked_until(self) -> datetime | None:
        """When the lease ends; None while people can enter."""
        return self._lease.until if self._lease else None

    async def state(self) -> DoorState:
        """How the lock is driven now."""
        return await self._driver.state()

    async def lock(self, for_s: float, command_id: str | None = None) -> datetime:
        """Lock the door, or lock it anew for so long; returns when the lease ends.

        Raises:
            ActionError: it could trap someone, the lease is too long, or the lock does not move.
        """
        async with self._turn:
            self._refuse(for_s)
            now = self._clock.stamp().time
            lease = _Lease(self._clock.monotonic() + for_s, now + timedelta(seconds=for_s))
            self._lease = lease
            try:
                await self._drive(self._driver.lock)
            except BaseException:
                lease.end_s = self._clock.monotonic()  # half locked is opened by run()
                raise
            finally:
                self._wake.set()
            self._told_locked = True
            log.info("door locked", until=lease.until.isoformat())
            self._note(DoorLocked(until=lease.until, command_id=command_id))
        await self._tell()
        return lease.until

    async def unlock(self, command_id: str | None = None) -> None:
        """Let people enter, whatever was asked before. Raises ActionError where it stays locked."""
        await self._open("command", command_id=command_id)

    async def alarm_raised(self, code: str) -> None:
        """Open the door where the alarm is one of those that do; never raises for the lock."""
        if code in self._settings.open_on:
            await self._open_or_log("alarm", alarm=code)

    async def run(self) -> None:
        """Open the door at the start, at the end of each lease, and on alarms, until cancelled."""
        while True:
            lease = self._lease
            if lease is None:
                self._wake.clear()
                if self._opened or await self._open_or_log("lease"):
                    await self._wake.wait()
                else:
                    await self._clock.sleep(_RETRY_S)
            elif codes := self._opening_alarms():
                await self._open_or_log("alarm", alarm=codes[0])
            elif self._clock.monotonic() >= lease.end_s:
                await self._open_or_log("lease")
            if self._lease is not None:
                left = self._lease.end_s - self._clock.monotonic()
                await self._clock.sleep(left if 0 < left < _TICK_S else _TICK_S)

    async def close(self) -> None:
        """Leave the door open, as the agent stops."""
        await self._open_or_log("agent_stopped")

    def _refuse(self, for_s: float) -> None:
        if for_s > self._settings.max_lease_s:
            msg = f"the door may be locked for {self._settings.max_lease_s} s at most"
            raise ActionError(msg)
        reasons = [f"alarm {code} is in force" for code in self._opening_alarms()]
        reasons += self._reasons_not_to_lock()
        if reasons:
            msg = f"locking the door could trap someone: {'; '.join(reasons)}"
            raise ActionError(msg)

    def _opening_alarms(self) -> list[str]:
        opening = set(self._settings.open_on)
        return sorted({code for code in self._alarms() if code in opening})

    async def _open_or_log(self, reason: OpenReason, *, alarm: str | None = None) -> bool:
        before = self.problem
        try:
            await self._open(reason, alarm=alarm)
        except ActionError as error:
            if before != self.problem:
                log.error("door does not open", reason=reason, error=str(error))  # noqa: TRY400
            return False
        return True

    async def _open(
        self, reason: OpenReason, *, alarm: str | None = None, command_id: str | None = None
    ) -> None:
        async with self._turn:
            if self._lease is not None:
                # Should the lock not move now, run() tries again.
                self._lease.end_s = min(self._lease.end_s, self._clock.monotonic())
            await self._drive(self._driver.unlock)
            self._opened, self._lease = True, None
            if self._told_locked:
                self._told_locked = False
                log.info("door unlocked", reason=reason, alarm=alarm)
                self._note(DoorUnlocked(reason=reason, alarm=alarm, command_id=command_id))
        await self._tell()

    def _note(self, event: Event) -> None:
        self._untold.append((event, self._clock.stamp()))

    async def _tell(self) -> None:
        """Publish in the order of what happened; a door that has to open waits for no publisher."""
        async with self._telling:
            while self._untold:
                event, stamp = self._untold.popleft()
                await self._publish(event, stamp)

    async def _drive(self, move: Callable[[], Awaitable[None]]) -> None:
        try:
            await move()
        except ActionError as error:
            self.problem = str(error)
            raise
        self.problem = None
