"""The daemon's own process: ``python -m agent.run [SETTINGS]``, which ``kiosk-agent run`` becomes.

It carries nothing of the command line, because memory is short on a kiosk.
"""

import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path

# structlog would load rich for its tracebacks: 4 MiB that a journal has no use for.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

from agent.daemon import Agent  # noqa: E402
from agent.errors import AgentError  # noqa: E402
from agent.log import configure  # noqa: E402
from agent.settings import Settings, load  # noqa: E402


async def _live(settings: Settings) -> None:
    me = asyncio.current_task()
    if me is None:
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, me.cancel)
    try:
        await Agent(settings).run()
    except asyncio.CancelledError:
        return


def _lock(folder: Path) -> int | None:
    """Keep a second agent off our database and socket; the lock ends with the process.

    Raises:
        AgentError: another agent has this folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None  # read-only or worse: the outbox says so
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = f"another agent runs already on {folder}"
        raise AgentError(msg) from None
    return descriptor


def main() -> None:
    """Run until told to stop; a fault in the settings is a sentence and exit status 1."""
    try:
        settings = load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
        _lock(settings.kiosk.state_folder)
    except AgentError as error:
        sys.exit(str(error))
    configure(settings.log)
    # A thread that writes to the database may hold up the event loop for a millisecond, not five.
    sys.setswitchinterval(0.001)
    asyncio.run(_live(settings))


if __name__ == "__main__":
    main()
