"""Whether the wall clock can be believed: the kernel knows, systemd-timedated where it may not say.

Every time daemon (chrony, systemd-timesyncd, ntpd) tells the kernel how far the clock may be off;
the kernel lets that bound grow while the daemon is silent, and starts at the limit after boot.
"""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass

from contract.stamp import TimeQuality
from telemetry.dbus import BusError, ask

_MAX_ERROR_US = 16_000_000
"""The kernel's own limit (NTP_PHASE_LIMIT). The flag STA_UNSYNC says less: chrony and
systemd-timesyncd set it on a good clock to keep the kernel from writing the RTC."""
_STA_PLL = 0x0001
_STA_NANO = 0x2000


@dataclass(frozen=True, slots=True)
class TimeStatus:
    """What is known about the wall clock."""

    quality: TimeQuality
    offset_ms: float | None = None
    """Distance to the time source that the kernel still has to make up; absent under chrony,
    which keeps it to itself."""
    error_ms: float | None = None
    """Bound of the error, while synced."""


UNKNOWN = TimeStatus("unsynced")


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2), as far as it is read here."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def kernel_status() -> TimeStatus:
    """Ask adjtimex(2), which never blocks.

    Raises:
        OSError: the process may not ask, such as under systemd's ``ProtectClock=``.
    """
    timex = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if timex.maxerror >= _MAX_ERROR_US:
        return UNKNOWN
    offset_ms = None
    if timex.status & _STA_PLL:
        offset_ms = timex.offset / (1e6 if timex.status & _STA_NANO else 1e3)
    return TimeStatus("synced", offset_ms, timex.maxerror / 1e3)


async def timedated_status(bus_address: str | None = None) -> TimeStatus:
    """Ask systemd-timedated.

    Raises:
        BusError: there is no D-Bus, or nobody answers.
    """
    (answer,) = await ask(
        "org.freedesktop.timedate1",
        "/org/freedesktop/timedate1",
        "org.freedesktop.DBus.Properties",
        "Get",
        "org.freedesktop.timedate1",
        "NTPSynchronized",
        bus_address=bus_address,
        start_service=True,
    )
    return TimeStatus("synced" if answer.value is True else "unsynced")


async def time_status(
    *, kernel: Callable[[], TimeStatus] = kernel_status, bus_address: str | None = None
) -> TimeStatus:
    """Ask whoever may answer; nobody does: unsynced. Never raises."""
    try:
        return kernel()
    except OSError:
        pass
    try:
        return await timedated_status(bus_address)
    except BusError:
        return UNKNOWN
