"""How long the kiosk's certificate is good, and the alarm well before its end."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.provision.certificate import make_request
from contract.events import AlarmCleared, AlarmRaised
from contract.health import Health
from telemetry.alarms import AlarmBoard
from telemetry.health.certificate import CertificateProbe
from tests.support.authority import Authority, new_key
from tests.support.clock import START, ManualClock


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A leaf for 90 days from the clock's start, below an intermediate."""
    between = Authority("Between", above=Authority("Root"))
    path = tmp_path / "chain.pem"
    path.write_bytes(between.sign(make_request(new_key(), "k1"), since=START) + between.pem)
    return path


def test_days_left(chain: Path):
    clock = ManualClock()
    probe = CertificateProbe(lambda: chain, clock)
    assert probe.read() == {"certificate_days_left": 90.0}
    clock.wall_offset = timedelta(days=91.5)
    assert probe.read() == {"certificate_days_left": -1.5}


def test_nothing_is_said_by_a_clock_that_may_be_wrong(chain: Path):
    assert CertificateProbe(lambda: chain, ManualClock(quality="unsynced")).read() == {}


def test_without_a_certificate():
    assert CertificateProbe(lambda: None, ManualClock()).read() == {}


async def test_alarm_well_before_the_end():
    """Raised at 30 days, cleared by a renewal; a sample without the number changes nothing."""
    clock, told = ManualClock(), []

    async def publish(data, _stamp) -> None:
        told.append(data)

    board = AlarmBoard(clock=clock, publish=publish)

    async def observe(days: float | None) -> None:
        health = Health(
            cause="interval", agent_uptime_s=1, agent_loop_lag_ms=0, certificate_days_left=days
        )
        for _ in range(3):
            await board.observe_health(health, "synced")
            await clock.advance(60)

    await observe(31)
    assert told == []
    await observe(29)
    [raised] = told
    assert isinstance(raised, AlarmRaised)
    assert (raised.code, raised.severity) == ("certificate.expiring", "major")
    assert raised.text == "Certificate good for 29 more days (limit 30): renew it in time"
    await observe(None)
    assert len(told) == 1
    await observe(700)
    assert isinstance(told[-1], AlarmCleared)
