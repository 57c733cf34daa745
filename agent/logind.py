"""The machine through systemd-logind (org.freedesktop.login1(5)) on the system bus.

polkit decides what the agent may do, by the rule in deploy/polkit; nobody is asked for a password.
"""

from typing import Any

import structlog
from dbus_fast import Variant

from commands.errors import ActionError
from commands.machine import PowerKind
from contract import Clock
from telemetry.dbus import BusError, NoAnswerError, ask

_SERVICE = "org.freedesktop.login1"
_PATH = "/org/freedesktop/login1"
_MANAGER = "org.freedesktop.login1.Manager"

_ANSWER_S = 25.0
_LOOK_EVERY_S = 300.0
_LOOK_AGAIN_S = 30.0
"""While something is not possible: such as during an upgrade by apt, which holds a lock."""

_VERBS: dict[PowerKind, str] = {"reboot": "restart", "poweroff": "switch off"}
_METHODS: dict[PowerKind, str] = {"reboot": "Reboot", "poweroff": "PowerOff"}
_REFUSALS = {
    "na": "the machine cannot {verb} by software",
    "no": "the machine does not let the agent {verb}: polkit, or a lock that another program holds",
    "challenge": "the machine wants a password before the agent may {verb}: "
    "another program holds a lock, as apt does, or the polkit rule of kiosk-agent is not installed",
}
"""What CanReboot and CanPowerOff answer, other than yes."""

log = structlog.get_logger()


class Logind:
    """Implements :class:`commands.machine.Machine`.

    Args:
        clock: the time of looking again at what is possible.
        bus_address: default: the machine's system bus.
    """

    def __init__(self, clock: Clock, *, bus_address: str | None = None) -> None:
        self._clock = clock
        self._bus_address = bus_address
        self._missing: dict[PowerKind, str | None] = {}

    async def run(self) -> None:
        """Keep what :meth:`missing_power` says up to date until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(_LOOK_AGAIN_S if any(self._missing.values()) else _LOOK_EVERY_S)

    async def look(self) -> None:
        """Ask what the machine can do; never raises."""
        for kind in _METHODS:
            missing = await self._look(kind)
            if missing != self._missing.get(kind):
                log.info("power", kind=kind, missing=missing)
            self._missing[kind] = missing

    async def reboot(self) -> None:
        """Begin to restart."""
        await self._go_down("reboot")

    async def power_off(self) -> None:
        """Begin to switch off."""
        await self._go_down("poweroff")

    async def preparing_for_shutdown(self) -> bool:
        """Whether the machine is going down at this moment."""
        try:
            (value,) = await ask(
                _SERVICE,
                _PATH,
                "org.freedesktop.DBus.Properties",
                "Get",
                _MANAGER,
                "PreparingForShutdown",
                bus_address=self._bus_address,
            )
        except BusError as error:
            msg = f"whether the machine goes down is not known: {error}"
            raise ActionError(msg) from None
        return isinstance(value, Variant) and bool(value.value)

    async def lock_sessions(self) -> None:
        """Lock the screen of every session."""
        await self._screens("LockSessions", "locked")

    async def unlock_sessions(self) -> None:
        """Unlock the screen of every session."""
        await self._screens("UnlockSessions", "unlocked")

    def missing_power(self, kind: PowerKind) -> str | None:
        """Why the machine cannot go down that way, as the last look found."""
        return self._missing.get(kind)

    async def _screens(self, method: str, done: str) -> None:
        try:
            await self._call(method)
        except BusError as error:
            msg = f"the screens were not {done}: {error}"
            raise ActionError(msg) from None

    async def _go_down(self, kind: PowerKind) -> None:
        interactive = False
        try:
            await self._call(_METHODS[kind], interactive)
        except NoAnswerError as error:  # it may go down all the same: the caller waits and sees
            log.warning("power", kind=kind, error=str(error))
        except BusError as error:
            msg = f"the machine did not {_VERBS[kind]}: {error}"
            raise ActionError(msg) from None

    async def _look(self, kind: PowerKind) -> str | None:
        try:
            (answer,) = await self._call(f"Can{_METHODS[kind]}")
        except BusError as error:
            return f"the machine cannot be told to {_VERBS[kind]}: {error}"
        if answer == "yes":
            return None
        words = _REFUSALS.get(answer, f"logind answers {str(answer)[:40]!r} to {{verb}}")
        return words.format(verb=_VERBS[kind])

    async def _call(self, method: str, *args: bool) -> list[Any]:
        return await ask(
            _SERVICE,
            _PATH,
            _MANAGER,
            method,
            *args,
            bus_address=self._bus_address,
            start_service=True,
            timeout_s=_ANSWER_S,
        )
