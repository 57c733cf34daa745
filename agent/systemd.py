"""Talking to the service manager (sd_notify(3)); silent where there is none."""

import os
import socket
from collections.abc import Callable

_TELL_S = 5.0
_EXTENDED_S = 90
"""For one file, or a disk that pauses."""


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1``; never raises, never blocks for long."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.connect(address)
            line.send("\n".join(assignments).encode())
    except OSError:
        return


class SlowStart:
    """Has the service manager wait for as long as a start goes on, however slowly.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told_at = float("-inf")

    def goes_on(self) -> None:
        """Say that something was done; may be called for each of thousands of small things."""
        now = self._clock()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            # The first is heard where the agent became another image while it was up already.
            notify("WATCHDOG=1", f"EXTEND_TIMEOUT_USEC={_EXTENDED_S * 1_000_000}")


def watchdog_interval_s() -> float | None:
    """How often to feed the watchdog (half its time), or ``None`` where there is none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None
