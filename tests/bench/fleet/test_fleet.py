import pytest

from bench import fleet
from tests.support.brokers import need_mosquitto


@pytest.fixture(autouse=True)
def _broker_is_there() -> None:
    need_mosquitto()


def test_a_small_fleet_is_measured_over_a_restart_of_its_broker():
    figures = fleet.run(
        kiosks=20,
        every=0.5,
        seconds=2,
        commands_per_s=5,
        broker=None,
        ca=None,
        certificate=None,
        certificate_key=None,
    )
    assert figures["ok"]
    assert (figures["kiosks"], figures["lost"], figures["not_back"]) == (20, 0, 0)
    assert float(figures["messages_per_s"]) > 20
    assert float(figures["all_back_s"]) < 60
    assert {"command_p50_ms", "command_p99_ms", "rss_per_kiosk_kib"} <= figures.keys()
