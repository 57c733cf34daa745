"""The daemon's own process: ``python -m agent.run [SETTINGS]``, which ``kiosk-agent run`` becomes.

It carries nothing of the command line, because memory is short on a kiosk.
"""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

# structlog would load rich for its tracebacks: 4 MiB that a journal has no use for.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

from agent.boot import Boot, boot  # noqa: E402
from agent.daemon import Agent  # noqa: E402
from agent.errors import AgentError  # noqa: E402
from agent.log import configure  # noqa: E402
from agent.release.launched import launched  # noqa: E402
from agent.release.updates import forgive_start  # noqa: E402
from vision.freed_memory import give_all_back, give_large_blocks_back  # noqa: E402


async def _live(begun: Boot) -> bool:
    agent = Agent(begun, on_ready=_settle_memory)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    return await agent.run()


def _settle_memory() -> None:
    """Have the collector pass over what is there for good; a tenth of a second, once.

    It looks through everything when a quarter as many objects have come as there were, and 70,000
    more than went: connections that were lost, each in a ring of some 350 with its sockets and
    errors, would lie about for hours. What is left to look through takes it a millisecond, so that
    it may do so at 1,000.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # now there were next to none
    gc.set_threshold(100, 10, 1)
    give_all_back()


def main() -> None:
    """Run until told to stop; a fault in the settings is a sentence and exit status 1."""
    give_large_blocks_back()  # a portrait that came in once is no reason to stay larger for ever
    try:
        begun = boot(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    except AgentError as error:
        forgive_start(launched())  # another release would read the same settings
        sys.exit(str(error))
    configure(begun.settings.log)
    # A thread that writes to the database may hold up the event loop for a millisecond, not five.
    sys.setswitchinterval(0.001)
    if asyncio.run(_live(begun)):
        # For the service manager it stays the same process. The lock ends here, and is taken anew.
        # Through the launcher, where it started us: the release to run may be another now.
        told = launched()
        argv = told.argv if told else (sys.executable, *sys.orig_argv[1:])
        os.execv(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    main()
