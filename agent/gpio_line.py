"""One line of a GPIO chip that is held high for a while, through libgpiod 2 (the extra ``gpio``).

The kernel gives it back when the agent dies, however that happens; what the line does then is the
chip's and the board's business: with a pull-down resistor, or a relay that falls off when nobody
holds it, it is low. Never tried on real hardware.
"""

import asyncio
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from commands.errors import ActionError


class GpioLine:
    """A line, set low and given back whenever it is not held. Methods raise ``ActionError``.

    Args:
        what: the line belongs to, as gpioinfo(1) and errors call it: ``door``.
        chip: path of the chip's device.
        line: number or name of the line.
    """

    def __init__(self, what: str, chip: str, line: int | str) -> None:
        self._what = what
        self._chip = chip
        self._line = line
        self._request: Any = None
        self._one_at_a_time = threading.Lock()

    @property
    def is_held(self) -> bool:
        """Whether it is held high."""
        return self._request is not None

    async def hold(self) -> None:
        """Take the line and hold it high."""
        await asyncio.to_thread(self._guarded, self._hold)

    async def release(self) -> None:
        """Set the line low and give it back. Without a request it takes the line for a moment."""
        await asyncio.to_thread(self._guarded, self._give_back)

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
        consumer = f"kiosk-agent {self._what}"
        return gpiod.request_lines(self._chip, consumer=consumer, config={self._line: settings})

    def _guarded(self, work: Callable[[Any], None]) -> None:
        """Work in this thread; every fault is a sentence."""
        what = self._what
        with self._one_at_a_time:
            try:
                # Most kiosks have no such line, and no such module.
                work(import_module("gpiod"))
            except ImportError:
                msg = (
                    f"the {what}'s driver needs libgpiod: install kiosk-agent with its extra 'gpio'"
                )
                raise ActionError(msg) from None
            except FileNotFoundError:
                msg = (
                    f"the {what}'s GPIO chip {self._chip} has no line {self._line}, or is not there"
                )
                raise ActionError(msg) from None
            except PermissionError:
                msg = f"the agent may not use the {what}'s GPIO chip {self._chip}: see its group"
                raise ActionError(msg) from None
            except (OSError, ValueError) as error:
                msg = f"the {what}'s line {self._line} on {self._chip} does not obey: {error}"
                raise ActionError(msg) from None
