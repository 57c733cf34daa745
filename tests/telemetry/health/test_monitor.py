import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from contract import open_message, seal
from contract.events import AlarmRaised
from contract.health import CameraHealth, Health
from contract.message import Data
from contract.stamp import Stamp
from telemetry.alarms import AlarmBoard
from telemetry.health import AgentNumbers, HealthMonitor, HealthSettings, Probe, kiosk_probes
from telemetry.timesync import TimeStatus
from tests.support.clock import ManualClock


class Kiosk:
    """A kiosk whose values a test sets by hand, and what its monitor published."""

    def __init__(self, **settings: Any):
        self.clock = ManualClock()
        self.values: dict[str, Any] = {"cpu_percent": 10.0, "temperature_max_c": 40.0}
        self.numbers = AgentNumbers()
        self.published: list[Data] = []
        self.stamps: list[Stamp] = []
        self.broken = False
        self.monitor = HealthMonitor(
            clock=self.clock,
            publish=self.publish,
            board=AlarmBoard(clock=self.clock, publish=self.publish),
            probes=[Probe("made", self.read)],
            numbers=lambda: self.numbers,
            time_status=lambda: TimeStatus("synced", 12.5, 30.0),
            settings=HealthSettings(**settings),
        )

    async def read(self) -> dict[str, Any]:
        return dict(self.values)

    async def publish(self, data: Data, stamp: Stamp) -> None:
        if self.broken:
            msg = "disk full"
            raise OSError(msg)
        self.published.append(data)
        self.stamps.append(stamp)

    @property
    def sent(self) -> list[Health]:
        return [data for data in self.published if isinstance(data, Health)]

    @property
    def causes(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(health.cause, health.changed) for health in self.sent]


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Kiosk]:
    kiosk = Kiosk(**settings)
    task = asyncio.create_task(kiosk.monitor.run())
    await kiosk.clock.settle()
    try:
        yield kiosk
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_quiet_kiosk_sends_at_every_interval():
    """The first message after one sample, then one a minute, each as it is at that moment."""
    async with running() as kiosk:
        await kiosk.clock.advance(4)
        assert kiosk.sent == []
        await kiosk.clock.advance(600)
        assert kiosk.causes == [("interval", ())] * 10
        times = [stamp.monotonic_ms / 1000 for stamp in kiosk.stamps]
        assert times == [5 + 60 * number for number in range(10)]


async def test_a_message_has_the_numbers_of_everyone():
    """Probes, clock and the agent's parts all end up in one sample, which is kept."""
    async with running() as kiosk:
        kiosk.numbers = AgentNumbers(agent_task_restarts=3, outbox_rows=7, link_reconnects=2)
        await kiosk.clock.advance(5)
        (health,) = kiosk.sent
        assert health.cpu_percent == 10.0
        assert health.clock_offset_ms == 12.5
        assert health.clock_error_ms == 30.0
        assert (health.agent_task_restarts, health.outbox_rows, health.link_reconnects) == (3, 7, 2)
        assert health.uptime_s == health.agent_uptime_s == 5
        assert health.memory_used_percent is None
        assert kiosk.monitor.latest == health


async def test_a_value_that_leaves_its_dead_band_is_sent_at_once():
    """The message names what moved; what moved less does not count."""
    async with running() as kiosk:
        await kiosk.clock.advance(20)
        kiosk.values |= {"cpu_percent": 45.0, "temperature_max_c": 45.5}
        await kiosk.clock.advance(5)
        assert kiosk.causes == [("interval", ()), ("change", ("temperature_max_c",))]
        assert kiosk.sent[-1].temperature_max_c == 45.5
        assert kiosk.monitor.latest is not None
        await kiosk.clock.advance(30)
        assert len(kiosk.sent) == 2


async def test_drift_counts_from_what_was_sent_last():
    """Slow steps add up, so the centre is never further off than the dead-band."""
    async with running(interval_s=3600) as kiosk:
        await kiosk.clock.advance(5)
        for _ in range(12):
            kiosk.values["temperature_max_c"] += 1.0
            await kiosk.clock.advance(20)
        assert [health.temperature_max_c for health in kiosk.sent] == [40.0, 46.0, 52.0]


async def test_change_messages_keep_their_distance():
    """A value that jumps at every sample costs one message in 15 s, and the interval stays."""
    async with running(interval_s=3600) as kiosk:
        await kiosk.clock.advance(5)
        for number in range(60):
            kiosk.values["cpu_percent"] = 100.0 * (number % 2)
            await kiosk.clock.advance(5)
        times = [stamp.monotonic_ms for stamp in kiosk.stamps if stamp.monotonic_ms > 5000]
        assert 10 <= len(times) <= 20
        assert all(after - before >= 15_000 for before, after in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("network_interface", "eth0", "wwan0"),
        ("network_interface", "eth0", None),
        ("modem_signal_percent", None, 50.0),
        ("disk_read_only", False, True),
    ],
)
async def test_appearing_vanishing_and_other_names_are_changes(name, before, after):
    """A value that comes or goes, a name and a yes or no have no band."""
    async with running() as kiosk:
        kiosk.values[name] = before
        await kiosk.clock.advance(5)
        kiosk.values[name] = after
        await kiosk.clock.advance(5)
        assert kiosk.causes == [("interval", ()), ("change", (name,))]


async def test_a_camera_counts_by_its_state_and_conditions():
    """Frame counts move all the time; a camera that is lost or covered is a change."""
    camera = CameraHealth(
        name="front", state="online", frames_per_s=25, decode_errors=0, dropped_frames=0, restarts=0
    )
    async with running() as kiosk:
        kiosk.numbers = AgentNumbers(cameras=(camera,))
        await kiosk.clock.advance(5)
        kiosk.numbers = AgentNumbers(cameras=(camera.model_copy(update={"decode_errors": 99}),))
        await kiosk.clock.advance(5)
        assert len(kiosk.sent) == 1
        kiosk.numbers = AgentNumbers(cameras=(camera.model_copy(update={"state": "lost"}),))
        await kiosk.clock.advance(5)
        assert kiosk.causes[-1] == ("change", ("cameras",))


async def test_a_message_that_cannot_be_stored_is_tried_at_the_next_sample():
    """A full disk delays health; it ends nothing, and is logged once."""
    async with running() as kiosk:
        kiosk.broken = True
        with capture_logs() as logs:
            await kiosk.clock.advance(30)
        assert [entry["event"] for entry in logs] == ["health_sample_failed"]
        assert kiosk.monitor.latest is not None
        kiosk.broken = False
        await kiosk.clock.advance(5)
        assert kiosk.causes == [("interval", ())]


async def test_numbers_that_fail_do_not_end_the_sampling():
    """A part that cannot tell its numbers spoils a sample, not the monitor."""
    async with running() as kiosk:
        good, kiosk.numbers = kiosk.numbers, None
        await kiosk.clock.advance(10)
        assert kiosk.sent == []
        kiosk.numbers = good
        await kiosk.clock.advance(5)
        assert len(kiosk.sent) == 1


async def test_a_sample_that_raises_an_alarm_carries_it():
    """Alarms are judged at every sample, sent or not, and those in force are in the message."""
    async with running() as kiosk:
        kiosk.values["temperature_max_c"] = 90.0
        await kiosk.clock.advance(120)
        (raised,) = [data for data in kiosk.published if isinstance(data, AlarmRaised)]
        assert raised.code == "temperature.high"
        assert kiosk.monitor.latest is not None
        (alarm,) = kiosk.monitor.latest.alarms
        assert alarm.alarm_id == raised.alarm_id
        assert kiosk.sent[-1].alarms == (alarm,)


async def test_nothing_is_left_running():
    """When the monitor is cancelled, so is everything that it started."""
    before = asyncio.all_tasks()
    async with running() as kiosk:
        await kiosk.clock.advance(60)
    assert asyncio.all_tasks() == before


def test_dead_bands_are_settings():
    """A band can be changed by name; a name that does not exist is an error at start."""
    assert HealthSettings(dead_bands={"cpu_percent": 5}).bands["cpu_percent"] == 5
    assert HealthSettings().bands["temperature_max_c"] == 5
    with pytest.raises(ValidationError, match="'cpu' is not a value"):
        HealthSettings(dead_bands={"cpu": 5})


async def test_this_very_machine_gives_sane_numbers(tmp_path):
    """The real probes on the real machine, over the wire and back."""
    clock = ManualClock()
    published: list[Data] = []
    got_one = asyncio.Event()

    async def publish(data: Data, stamp: Stamp) -> None:
        published.append(data)
        got_one.set()

    class Impatient(ManualClock):
        """Real probes need real threads: only the waiting between them is left out."""

        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0.02)
            self._now += seconds

    clock = Impatient()
    monitor = HealthMonitor(
        clock=clock,
        publish=publish,
        board=AlarmBoard(clock=clock, publish=publish),
        probes=kiosk_probes(
            tmp_path,
            HealthSettings(),
            certificate=lambda: None,
            clock=clock,
            bus_address="unix:path=/nonexistent/system-bus",
        ),
    )
    task = asyncio.create_task(monitor.run())
    async with asyncio.timeout(20):
        await got_one.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    sealed = seal(published[0], kiosk="k1", stamp=clock.stamp(), sequence=1)
    health = open_message(sealed.payload).data
    assert isinstance(health, Health)
    assert 0 <= health.memory_used_percent <= 100
    assert 0 < health.disk_used_percent <= 100
    assert health.disk_free_bytes > 0
    assert health.disk_read_only is False
    assert health.cpu_percent is None or 0 <= health.cpu_percent <= 100
    assert health.agent_rss_bytes > 10_000_000
    assert health.network_received_bytes >= 0
