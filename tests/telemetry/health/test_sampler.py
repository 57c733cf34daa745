import asyncio
import threading

from structlog.testing import capture_logs

from telemetry.health.probe import Probe, Sampler, in_thread
from tests.support.clock import ManualClock


def sampler(*probes: Probe, clock: ManualClock | None = None, timeout_s: float = 5.0) -> Sampler:
    return Sampler(probes, clock=clock or ManualClock(), timeout_s=timeout_s)


async def one() -> dict[str, float]:
    return {"cpu_percent": 1.0}


async def test_a_probe_that_fails_leaves_its_values_out_and_says_so_once():
    """Other probes go on; the log has one line when it fails and one when it is well again."""
    answers = iter([OSError("cable off"), OSError("cable off"), 20.0, OSError("cable off")])

    async def moody() -> dict[str, float]:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return {"temperature_max_c": answer}

    probes = sampler(Probe("mood", moody), Probe("cpu", one))
    with capture_logs() as logs:
        samples = [await probes.sample() for _ in range(4)]
    well = {"cpu_percent": 1.0}
    assert samples == [well, well, well | {"temperature_max_c": 20.0}, well]
    assert [entry["event"] for entry in logs] == [
        "probe_failed",
        "probe_recovered",
        "probe_failed",
    ]
    assert logs[0]["error"] == "OSError: cable off"


async def test_a_probe_that_hangs_holds_one_thread_and_nobody_up():
    """A disk that does not answer is asked once; when it answers, its values are back."""
    asked = 0
    stuck = threading.Event()

    def disk() -> dict[str, float]:
        nonlocal asked
        asked += 1
        stuck.wait()
        return {"disk_used_percent": 50.0}

    probes = sampler(Probe("disk", in_thread(disk)), Probe("cpu", one), timeout_s=0.02)
    for _ in range(5):
        assert await probes.sample() == {"cpu_percent": 1.0}
    assert asked == 1
    stuck.set()
    while "disk_used_percent" not in await probes.sample():  # a thread ends
        await asyncio.sleep(0.001)
    assert asked == 1
    await probes.sample()
    assert asked == 2


async def test_an_answer_is_good_for_its_time():
    """A probe of slow things is not asked again before its time; its values stay."""
    clock = ManualClock()
    values = iter([10.0, 20.0])

    async def wear() -> dict[str, float]:
        return {"disk_wear_percent": next(values)}

    probes = sampler(Probe("wear", wear, every_s=3600), clock=clock)
    assert await probes.sample() == {"disk_wear_percent": 10.0}
    await clock.advance(3599)
    assert await probes.sample() == {"disk_wear_percent": 10.0}
    await clock.advance(1)
    assert await probes.sample() == {"disk_wear_percent": 20.0}


async def test_probes_that_may_block_run_in_a_thread():
    """The event loop goes on while a file is read."""

    def where() -> dict[str, str]:
        return {"network_interface": threading.current_thread().name}

    sample = await sampler(Probe("where", in_thread(where))).sample()
    assert sample["network_interface"] != threading.main_thread().name
