"""What holds for every test: nothing of ours blocks the event loop, and no face leaves the box."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from tests.support.payload_watch import no_biometrics_leave

__all__ = ["no_biometrics_leave"]  # a fixture, for every test

# On a new machine the first draw of a text builds hypothesis' tables, for a second and more.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOMS = ("agent", "commands", "console", "contract", "telemetry", "vision")


@pytest.fixture(autouse=True)
def no_blocking_on_the_loop() -> Iterator[BlockBuster]:
    """A blocking call from one of our rooms on the event loop's thread fails the test."""
    with blockbuster_ctx(scanned_modules=list(ROOMS)) as blockbuster:
        for function in ("io.BufferedReader.read", "os.stat"):
            # A trace in the log quotes source lines.
            quoting = blockbuster.functions[function]
            quoting.can_block_in("linecache.py", {"updatecache", "checkcache"})
            quoting.can_block_in("rich/traceback.py", {"_render_stack"})
        # The kernel answers for /proc at once.
        boot_id = blockbuster.functions["io.TextIOWrapper.read"]
        boot_id.can_block_in("telemetry/clock.py", {"__init__"})
        yield blockbuster
