import asyncio
import ctypes
import errno
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from telemetry.clock import SystemClock, watch_time_quality
from telemetry.timesync import UNKNOWN, TimeStatus, kernel_status, time_status
from tests.support.system_bus import private_bus

NO_BUS = "unix:path=/nonexistent/bus"
SYNCED = TimeStatus("synced", offset_ms=1.5, error_ms=20.0)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def forbidden() -> TimeStatus:
    raise PermissionError(1, "Operation not permitted")


def test_stamp_is_this_machine_now():
    """A stamp has the kernel's boot id, the time since boot and the wall clock in UTC."""
    stamp = SystemClock().stamp()
    assert stamp.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    since_boot_ms = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
    assert 0 <= since_boot_ms - stamp.monotonic_ms < 5000
    assert stamp.time.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - stamp.time).total_seconds()) < 5


def test_without_proc_the_clock_still_works(tmp_path):
    """A machine that hides its boot id gets stamps all the same."""
    assert SystemClock(proc=tmp_path).stamp().boot_id == "unknown"


def test_unsynced_until_known():
    """Nobody has said anything yet: the time is not to be believed."""
    clock = SystemClock(now=lambda: NOON)
    assert clock.stamp().time_quality == "unsynced"
    clock.set_status(SYNCED)
    assert clock.stamp().time_quality == "synced"
    assert clock.status == SYNCED


@pytest.mark.parametrize("year", [1970, 2025])
def test_a_time_before_this_software_is_unsynced(year):
    """A clock that stands before the year of the build is wrong, whatever the time source says."""
    clock = SystemClock(now=lambda: datetime(year, 1, 1, tzinfo=UTC))
    clock.set_status(SYNCED)
    assert clock.stamp().time_quality == "unsynced"
    assert clock.status == UNKNOWN


async def test_watch_follows_the_time_source():
    """The quality follows the time source, both ways."""
    clock = SystemClock(now=lambda: NOON)
    answers = iter([UNKNOWN, SYNCED, UNKNOWN])
    seen = []

    async def probe():
        seen.append(clock.stamp().time_quality)
        try:
            return next(answers)
        except StopIteration:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await watch_time_quality(clock, probe=probe, every_s=0)
    assert seen == ["unsynced", "unsynced", "synced", "unsynced"]


def test_the_kernel_answers():
    """adjtimex(2) says synced with a bound below its limit of 16 s, or unsynced with none."""
    status = kernel_status()
    if status.quality == "synced":
        assert 0 <= status.error_ms < 16_000
    else:
        assert status == UNKNOWN


PLL, UNSYNC, NANO = 0x0001, 0x0040, 0x2000


@pytest.mark.parametrize(
    ("maxerror_us", "status", "offset", "expected"),
    [
        (20_000, PLL | NANO, 1_500_000, TimeStatus("synced", 1.5, 20.0)),
        (20_000, PLL, -1_500, TimeStatus("synced", -1.5, 20.0)),
        (20_000, NANO, 0, TimeStatus("synced", None, 20.0)),
        (15_999_000, PLL | UNSYNC, 0, TimeStatus("synced", 0.0, 15_999.0)),
        (16_000_000, PLL | UNSYNC, 0, UNKNOWN),
    ],
)
def test_the_kernels_bound_decides(monkeypatch, maxerror_us, status, offset, expected):
    """Synced is a clock whose error has a bound, whatever STA_UNSYNC says; the offset is told
    only where the kernel's own loop steers the clock.
    """

    def adjtimex(pointer):
        timex = pointer._obj  # the struct behind ctypes.byref
        assert timex.modes == 0
        timex.maxerror, timex.status, timex.offset = maxerror_us, status, offset
        return 5

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(adjtimex=adjtimex))
    assert kernel_status() == expected


def test_a_kernel_that_refuses_says_why(monkeypatch):
    """Under a system call filter the error of the call is passed on."""

    def adjtimex(pointer):
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(adjtimex=adjtimex))
    with pytest.raises(PermissionError):
        kernel_status()


async def test_without_a_bus_the_kernel_is_enough():
    """A machine without D-Bus gets the kernel's answer, not an exception."""
    assert await time_status(kernel=lambda: SYNCED, bus_address=NO_BUS) == SYNCED


async def test_nobody_to_ask_is_unsynced():
    """Where the kernel may not be asked and there is no bus, the clock counts as unsynced."""
    assert await time_status(kernel=forbidden, bus_address=NO_BUS) == UNKNOWN


@pytest.mark.parametrize(("ntp", "quality"), [("true", "synced"), ("false", "unsynced")])
async def test_timedated_answers_where_the_kernel_may_not_be_asked(ntp, quality):
    """Under ProtectClock= the answer of systemd-timedated counts."""
    with private_bus() as bus:
        await bus.mock(
            "org.freedesktop.timedate1", "--template", "timedated", "-p", f'{{"NTP": {ntp}}}'
        )
        status = await time_status(kernel=forbidden, bus_address=bus.address)
    assert status == TimeStatus(quality)


async def test_a_bus_without_timedated_is_unsynced():
    """A bus on which nobody knows the time is no error."""
    with private_bus() as bus:
        assert await time_status(kernel=forbidden, bus_address=bus.address) == UNKNOWN
