"""Samples the kiosk's health, sends it, and lets the alarms be judged by it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import structlog

from contract.health import Health
from contract.message import Publish
from contract.stamp import Clock, Stamp
from telemetry.alarms import AlarmBoard
from telemetry.health.deadband import changed
from telemetry.health.numbers import AgentNumbers
from telemetry.health.probe import Probe, Sampler
from telemetry.health.process import LoopLag
from telemetry.health.settings import HealthSettings
from telemetry.timesync import UNKNOWN, TimeStatus

_log = structlog.get_logger()


class HealthMonitor:
    """Sends a sample at every interval, and between them when a value left its dead-band.

    ``numbers`` tells about the agent's parts and ``time_status`` about the clock; both are called
    on the event loop at every sample. Nothing that fails in a sample ends the sampling.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        publish: Publish,
        board: AlarmBoard,
        probes: Sequence[Probe],
        numbers: Callable[[], AgentNumbers] = AgentNumbers,
        time_status: Callable[[], TimeStatus] = lambda: UNKNOWN,
        settings: HealthSettings | None = None,
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._board = board
        self._numbers = numbers
        self._time_status = time_status
        self._settings = settings or HealthSettings()
        self._sampler = Sampler(probes, clock=clock, timeout_s=self._settings.probe_timeout_s)
        self._lag = LoopLag(clock)
        self._started = clock.monotonic()
        self._sent: Health | None = None
        self._interval_due = self._change_due = float("-inf")
        self._failing = False
        self.latest: Health | None = None
        """The newest sample, sent or not."""

    async def run(self) -> None:
        """Sample until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._lag.run(), name="health-loop-lag")
                group.create_task(self._sample_for_ever(), name="health-sample")
        finally:
            self._sampler.close()

    async def _sample_for_ever(self) -> None:
        # What is measured from one sample to the next needs one to begin with.
        await self._sampler.sample()
        while True:
            await self._clock.sleep(self._settings.sample_s)
            try:
                await self._sample()
            except Exception:  # noqa: BLE001  # one bad sample, not the end
                if not self._failing:
                    _log.exception("health_sample_failed")
                self._failing = True
            else:
                self._failing = False

    async def _sample(self) -> None:
        values: dict[str, Any] = await self._sampler.sample()
        stamp = self._clock.stamp()
        health = self._health(values, stamp)
        await self._board.observe_health(health, stamp.time_quality)
        self.latest = health = health.model_copy(update={"alarms": self._board.active()})
        await self._send_if_due(health, stamp)

    def _health(self, values: dict[str, Any], stamp: Stamp) -> Health:
        status = self._time_status()
        numbers = self._numbers()
        return Health(
            cause="interval",
            uptime_s=stamp.monotonic_ms // 1000,
            clock_offset_ms=status.offset_ms,
            clock_error_ms=status.error_ms,
            agent_uptime_s=int(self._clock.monotonic() - self._started),
            agent_loop_lag_ms=self._lag.take_worst_ms(),
            **{field.name: getattr(numbers, field.name) for field in fields(AgentNumbers)},
            **values,
        )

    async def _send_if_due(self, health: Health, stamp: Stamp) -> None:
        now = self._clock.monotonic()
        if now >= self._interval_due:
            await self._publish(health, stamp)
            self._interval_due = now + self._settings.interval_s
        elif self._sent is not None and now >= self._change_due:
            names = changed(self._sent, health, self._settings.bands)
            if not names:
                return
            await self._publish(
                health.model_copy(update={"cause": "change", "changed": names}), stamp
            )
            self._change_due = now + self._settings.change_min_s
        else:
            return
        self._sent = health
