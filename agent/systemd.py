"""Talking to the service manager (sd_notify(3)); silent where there is none."""

import os
import socket


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


def watchdog_interval_s() -> float | None:
    """How often to feed the watchdog (half its time), or ``None`` where there is none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None
