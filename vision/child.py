"""The process's end of what :mod:`vision.process` starts: order in, reports out, and its end."""

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from pydantic import BaseModel

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


class Reporter:
    """Writes reports, one JSON line each; safe from every thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def send(self, report: BaseModel) -> None:
        """Write one report."""
        line = report.model_dump_json(exclude_none=True).encode() + b"\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()


def begin() -> tuple[bytes, Reporter]:
    """Settle the process; returns its order, a line of JSON, and where reports go.

    It dies with its parent, whose process id is the first argument, even while it is stopped.
    What a library prints goes to standard error.
    """
    end_with_the_agent()
    if os.getppid() != int(sys.argv[1]):
        os._exit(0)
    # Reports have the pipe to themselves: a library that prints must not get between them.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sys.stdin.buffer.readline(), Reporter(out)


def end_with_the_agent() -> None:
    """Have the kernel end this process with its parent, and leave the terminal's ^C to that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def await_end(stop: Callable[[], None], *, grace_s: float) -> None:
    """Wait until the agent closes standard input; call ``stop``, and give it so long."""
    while sys.stdin.buffer.read(1):
        pass
    stop()
    time.sleep(grace_s)


def read_on(take: Callable[[bytes], None], *, max_bytes: int) -> None:
    """Hand on each further line until the agent closes standard input; skip what is too long."""
    whole = True
    while part := sys.stdin.buffer.readline(max_bytes):
        ends = part.endswith(b"\n")
        if whole and ends:
            take(part)
        whole = ends
        del part  # it may be long, and what it holds is not to be kept


def keep_memory_in() -> None:
    """See to it that what this process has in memory gets into no core dump."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - each second
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
