"""Asking probes so that none of them can hold up or end the sampling."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from contract.stamp import Clock

Values = Mapping[str, float | str | bool | None]
"""Values of the health message by their names there; one that is unknown is None or left out."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Probe:
    """A source of some values. ``read`` may raise: its values are then absent."""

    name: str
    read: Callable[[], Awaitable[Values]]
    every_s: float = 0.0
    """How long an answer is good for; 0: for one sample."""


def in_thread(read: Callable[[], Values]) -> Callable[[], Awaitable[Values]]:
    """Make a probe's ``read`` of a function that may block."""

    async def read_in_thread() -> Values:
        return await asyncio.to_thread(read)

    return read_in_thread


@dataclass(slots=True)
class _Asked:
    probe: Probe
    task: asyncio.Task[Values] | None = None
    values: Values = field(default_factory=dict)
    due: float = float("-inf")
    failing: bool = False


class Sampler:
    """Asks every probe that is due, one after the other.

    A probe that does not answer in time is left alone until it does, so that a hanging disk
    holds one thread and no more.
    """

    def __init__(self, probes: Iterable[Probe], *, clock: Clock, timeout_s: float) -> None:
        self._asked = [_Asked(probe) for probe in probes]
        self._clock = clock
        self._timeout_s = timeout_s

    async def sample(self) -> dict[str, float | str | bool | None]:
        """Collect what is known now."""
        sample: dict[str, float | str | bool | None] = {}
        for asked in self._asked:
            await self._refresh(asked)
            sample.update(asked.values)
        return sample

    def close(self) -> None:
        """Give up on probes that still have not answered."""
        for asked in self._asked:
            if asked.task is not None:
                asked.task.cancel()
                asked.task = None

    async def _refresh(self, asked: _Asked) -> None:
        now = self._clock.monotonic()
        if asked.task is None:
            if now < asked.due:
                return
            task = asyncio.ensure_future(asked.probe.read())
            asked.task = task
            await asyncio.wait({task}, timeout=self._timeout_s)
        task = asked.task
        if not task.done():
            self._failed(asked, f"no answer within {self._timeout_s:g} s")
            return
        asked.task = None
        try:
            asked.values = task.result()
        except Exception as error:  # noqa: BLE001  # a probe may fail in any way
            self._failed(asked, f"{type(error).__name__}: {error}")
            return
        finally:
            asked.due = now + asked.probe.every_s
        if asked.failing:
            asked.failing = False
            _log.info("probe_recovered", probe=asked.probe.name)

    @staticmethod
    def _failed(asked: _Asked, error: str) -> None:
        asked.values = {}
        if not asked.failing:
            asked.failing = True
            _log.warning("probe_failed", probe=asked.probe.name, error=error)
