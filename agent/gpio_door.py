"""A door behind one line of a GPIO chip, through libgpiod 2 (the extra ``gpio``).

The line is requested and held high while the door is locked, set low and given back otherwise.
The kernel gives it back as well when the agent dies, however that happens; what the line does
then is the chip's and the board's business: a pull-down resistor, or a relay that falls off when
nobody holds it, is what makes the dead agent's door an open one. Never tried on real hardware.
"""

import asyncio
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from commands.door import DoorDriver, DoorState, SimulatedDoor
from commands.door_settings import DoorSettings
from commands.errors import ActionError

_CONSUMER = "kiosk-agent door"
"""Who has the line, as gpioinfo(1) shows it."""


class GpioDoor:
    """Implements :class:`commands.door.DoorDriver`.

    Args:
        chip: path of the chip's device.
        line: number or name of the line.
    """

    def __init__(self, chip: str, line: int | str) -> None:
        self._chip = chip
        self._line = line
        self._request: Any = None
        self._one_at_a_time = threading.Lock()

    async def lock(self) -> None:
        """Take the line and hold it high."""
        await asyncio.to_thread(self._guarded, self._hold)

    async def unlock(self) -> None:
        """Set the line low and give it back. Without a request it takes the line for a moment."""
        await asyncio.to_thread(self._guarded, self._give_back)

    async def state(self) -> DoorState:
        """Whether the line is held."""
        return "unlocked" if self._request is None else "locked"

    def _hold(self, gpiod: Any) -> None:
        if self._request is None:
            self._request = self._take(gpiod, gpiod.line.Value.ACTIVE)
        else:
            self._request.set_value(self._line, gpiod.line.Value.ACTIVE)

    def _give_back(self, gpiod: Any) -> None:
        low = gpiod.line.Value.INACTIVE
        request = self._request
        if request is None:
            request = self._take(gpiod, low)
        try:
            request.set_value(self._line, low)
        finally:  # even a line that cannot be set is let go
            self._request = None
            request.release()

    def _take(self, gpiod: Any, value: Any) -> Any:
        settings = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT, output_value=value)
        return gpiod.request_lines(self._chip, consumer=_CONSUMER, config={self._line: settings})

    def _guarded(self, work: Callable[[Any], None]) -> None:
        """Work in this thread; every fault is a sentence."""
        with self._one_at_a_time:
            try:
                # Most kiosks have no such door, and no such module.
                work(import_module("gpiod"))
            except ImportError:
                msg = "the door's driver needs libgpiod: install kiosk-agent with its extra 'gpio'"
                raise ActionError(msg) from None
            except FileNotFoundError:
                msg = f"the door's GPIO chip {self._chip} has no line {self._line}, or is not there"
                raise ActionError(msg) from None
            except PermissionError:
                msg = f"the agent may not use the door's GPIO chip {self._chip}: see its group"
                raise ActionError(msg) from None
            except (OSError, ValueError) as error:
                msg = f"the door's line {self._line} on {self._chip} does not obey: {error}"
                raise ActionError(msg) from None


def door_driver(settings: DoorSettings) -> DoorDriver | None:
    """Make the driver that the settings name; None where the kiosk has no door."""
    if settings.driver == "gpio" and settings.line is not None:
        return GpioDoor(settings.chip, settings.line)
    return SimulatedDoor() if settings.driver == "simulated" else None
