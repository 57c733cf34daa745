"""Ends a release on trial that has not proved itself in time, even where it cannot do so itself.

``python -I -m agent.release.guard AGENT STATE MANIFEST SECONDS``, a child of the agent, from the
packaged release. The service manager starts the agent again, and the launcher sees that its time
is over. It loads next to nothing: it lies in memory as long as the trial takes.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Wait, look once, and act."""
    agent, state, manifest, seconds = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:
        return
    time.sleep(seconds)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        with open(state, "rb") as file:  # noqa: PTH123 - pathlib is half a megabyte
            trial = json.load(file)["trial"]
        if trial["slot"]["manifest"] == manifest:
            os.kill(agent, signal.SIGKILL)


if __name__ == "__main__":
    main()
