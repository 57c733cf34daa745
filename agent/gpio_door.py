"""A door behind one line of a GPIO chip: high while locked, so that a dead agent's is open."""

from agent.gpio_line import GpioLine
from commands.door import DoorDriver, DoorState, SimulatedDoor
from commands.door_settings import DoorSettings


class GpioDoor:
    """Implements :class:`commands.door.DoorDriver`.

    Args:
        chip: path of the chip's device.
        line: number or name of the line.
    """

    def __init__(self, chip: str, line: int | str) -> None:
        self._line = GpioLine("door", chip, line)

    async def lock(self) -> None:
        """Take the line and hold it high."""
        await self._line.hold()

    async def unlock(self) -> None:
        """Set the line low and give it back."""
        await self._line.release()

    async def state(self) -> DoorState:
        """Whether the line is held."""
        return "locked" if self._line.is_held else "unlocked"


def door_driver(settings: DoorSettings) -> DoorDriver | None:
    """Make the driver that the settings name; None where the kiosk has no door."""
    if settings.driver == "gpio" and settings.line is not None:
        return GpioDoor(settings.chip, settings.line)
    return SimulatedDoor() if settings.driver == "simulated" else None
