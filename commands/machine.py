"""The machine as actions need it: going down, coming up again, its screens."""

from typing import Literal, Protocol

PowerKind = Literal["reboot", "poweroff"]


class Machine(Protocol):
    """Every method raises :class:`~commands.errors.ActionError` where the machine refuses."""

    async def reboot(self) -> None:
        """Begin to restart; returns when the machine has agreed, or may have."""
        ...

    async def power_off(self) -> None:
        """Begin to switch off; returns when the machine has agreed, or may have."""
        ...

    async def preparing_for_shutdown(self) -> bool:
        """Whether it is going down at this moment."""
        ...

    async def lock_sessions(self) -> None:
        """Lock the screen of every session."""
        ...

    async def unlock_sessions(self) -> None:
        """Unlock the screen of every session."""
        ...

    def missing_power(self, kind: PowerKind) -> str | None:
        """Why it cannot go down that way, in a sentence, as far as known."""
        ...
