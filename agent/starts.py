"""The loop breaker at start: an agent that started too often without a healthy spell rests.

Whatever takes the agent down over and over (a camera's driver, a full memory, the machine itself)
should not take the command centre's hand off the kiosk as well. In safe mode cameras rest and the
line is up. It ends by itself after a healthy spell; the count begins anew only after one more,
with cameras.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from pydantic import Field

from agent.settings import SafeModeSettings
from agent.state_file import StateFile
from contract import Clock, ContractError
from contract.wire import WireModel, parse_kept

LOOK_S = 2.0
_MAX_BYTES = 256

_log = structlog.get_logger()


class _Count(WireModel):
    starts: int = Field(ge=0, lt=2**31)


class Starts:
    """How often the agent started since it was healthy last, in one small file.

    All methods block, and none fails: where the file cannot be used, it is counted in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = StateFile(path, limit=_MAX_BYTES)
        self.count = 0
        """Starts without a healthy spell, this one included."""

    def begin(self) -> None:
        """Count this start."""
        self.count = self._read() + 1
        self._write()

    def forgive(self) -> None:
        """Do not count this start: its process is about to end as it was told to."""
        self.count = max(0, self.count - 1)
        self._write()

    def reset(self) -> None:
        """Begin anew: the agent is healthy."""
        self.count = 0
        self._write()

    def _read(self) -> int:
        try:
            content = self._file.load()
            return parse_kept(_Count, content).starts if content else 0
        except (OSError, ContractError):
            return 0

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file.save(_Count(starts=self.count).model_dump_json().encode())


class SafeMode:
    """Whether the agent is in safe mode, and how it gets out of it.

    Args:
        starts: with this start counted.
        settings: how often is too often, and how long is healthy.
        clock: the time of healthy spells.
        alive: whether the agent is well now.
        on_change: called when safe mode ended: cameras may work again. May fail, and is then
            called again.
    """

    def __init__(
        self,
        *,
        starts: Starts,
        settings: SafeModeSettings,
        clock: Clock,
        alive: Callable[[], bool],
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        self._starts = starts
        self._settings = settings
        self._clock = clock
        self._alive = alive
        self._on_change = on_change
        self.is_on = starts.count > settings.max_starts
        if self.is_on:
            _log.error("safe_mode", starts=starts.count)

    @property
    def reason(self) -> str | None:
        """Why cameras rest, while they do."""
        if not self.is_on:
            return None
        starts, spell_s = self._starts.count, self._settings.healthy_s
        return (
            f"the agent started {starts} times without running well for {spell_s:g} s: "
            "cameras rest until it does"
        )

    async def run(self) -> None:
        """Wait for healthy spells until cancelled."""
        if self.is_on:
            await self._healthy_spell()
            self.is_on = False
            try:
                await self._on_change()
            except BaseException:
                self.is_on = True
                raise
            _log.info("safe_mode_ended")
        await self._healthy_spell()
        await asyncio.to_thread(self._starts.reset)
        await asyncio.Event().wait()

    async def _healthy_spell(self) -> None:
        since = self._clock.monotonic()
        while self._clock.monotonic() - since < self._settings.healthy_s:
            await self._clock.sleep(LOOK_S)
            if not self._alive():
                since = self._clock.monotonic()
