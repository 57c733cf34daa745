"""The cabinet: shut unless a member of staff was recognised for it, and shut again by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import structlog
from pydantic import Field, model_validator

from agent.gpio_line import GpioLine
from commands.errors import ActionError
from contract import Clock
from contract.identity import CabinetOpened
from contract.message import Publish
from vision.section import Section

_RETRY_S = 5.0

log = structlog.get_logger()


class CabinetSettings(Section):
    """What opens the cabinet. Every default works: there is none."""

    driver: Literal["none", "simulated", "gpio"] = Field(
        default="none", description="gpio: a line of a GPIO chip that is high while it may open."
    )
    chip: str = Field(default="/dev/gpiochip0", min_length=1, description="For gpio.")
    line: int | str | None = Field(default=None, description="For gpio: the line's number or name.")
    open_s: float = Field(default=10.0, gt=0, le=300, description="May be opened for so long.")

    @model_validator(mode="after")
    def _complete(self) -> "CabinetSettings":
        if self.driver == "gpio" and self.line is None:
            msg = "line: driver gpio needs the number or name of a line"
            raise ValueError(msg)
        return self


class Latch(Protocol):
    """What lets the cabinet be opened while it is held."""

    async def hold(self) -> None:
        """Let it be opened."""
        ...

    async def release(self) -> None:
        """Shut it."""
        ...


class SimulatedLatch:
    """A latch that is only thought of, for demonstrations."""

    def __init__(self) -> None:
        self.is_held = False

    async def hold(self) -> None:
        """Let it be opened."""
        self.is_held = True

    async def release(self) -> None:
        """Shut it."""
        self.is_held = False


def cabinet_latch(settings: CabinetSettings) -> Latch | None:
    """Make the latch that the settings name; None where the kiosk has no cabinet."""
    if settings.driver == "gpio" and settings.line is not None:
        return GpioLine("cabinet", settings.chip, settings.line)
    return SimulatedLatch() if settings.driver == "simulated" else None


class Cabinet:
    """One cabinet. Keep :meth:`run` running.

    Args:
        latch: None: there is no cabinet.
        open_s: it may be opened for so long.
        say: records the opening in the audit trail and publishes it, before it happens.
        clock: the time until it is shut.
    """

    def __init__(
        self, latch: Latch | None, *, open_s: Callable[[], float], say: Publish, clock: Clock
    ) -> None:
        self._latch = latch
        self._open_s = open_s
        self._say = say
        self._clock = clock
        self._turn = asyncio.Lock()
        self._until_s = 0.0
        self._changed = asyncio.Event()
        self._shut = False
        """Whether the latch has proved that it is shut."""

    async def open(self, *, enrolment: str, decision_id: str) -> float:
        """Let a member of staff open it; returns for how long.

        Raises:
            ActionError: there is no cabinet, or its latch does not obey.
        """
        if self._latch is None:
            msg = "this kiosk has no cabinet"
            raise ActionError(msg)
        for_s = self._open_s()
        opened = CabinetOpened(enrolment=enrolment, decision_id=decision_id, for_s=for_s)
        async with self._turn:
            await self._say(opened, self._clock.stamp())
            self._until_s = self._clock.monotonic() + for_s
            self._shut = False
            self._changed.set()
            await self._latch.hold()
        return for_s

    async def run(self) -> None:
        """Shut it at the start and at the end of each opening, until cancelled; shut it then."""
        if self._latch is None:
            await asyncio.get_running_loop().create_future()
            return
        try:
            while True:
                self._changed.clear()
                left = self._until_s - self._clock.monotonic()
                if left > 0:
                    await self._clock.sleep(left)
                elif self._shut or await self._release(self._latch.release):
                    await self._changed.wait()
                else:
                    await self._clock.sleep(_RETRY_S)
        finally:
            self._until_s = 0.0
            await self._release(self._latch.release)

    async def _release(self, release: Callable[[], Awaitable[None]]) -> bool:
        async with self._turn:
            if self._until_s > self._clock.monotonic():
                return True  # opened meanwhile
            try:
                await release()
            except ActionError as error:
                log.error("cabinet does not shut", error=str(error))  # noqa: TRY400
                return False
            self._shut = True
            return True
