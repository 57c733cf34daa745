"""The agent's lines in the machine's journal (journalctl(1))."""

import asyncio
import os
import shutil
from collections.abc import Callable

from commands.errors import ActionError
from commands.process import run_process

UNIT = "kiosk-agent"
MAX_JOURNAL_BYTES = 3 * 1024 * 1024
_READ_S = 30.0
_MARK = 64
"""Output that was cut is shorter than its limit by a few digits, never by so many."""


class Journal:
    """Reads the newest lines; :meth:`look` once at the start.

    Args:
        unit: the agent's unit; where that has said nothing, this process's own lines are taken.
        clean: takes out of the text what must not leave the kiosk.
        journalctl: name or path of the program.
    """

    def __init__(
        self,
        *,
        unit: str = UNIT,
        clean: Callable[[str], str] = lambda text: text,
        journalctl: str = "journalctl",
    ) -> None:
        self._unit = unit
        self._clean = clean
        self._journalctl = journalctl
        self.missing: str | None = None
        """Why it cannot be read, in a sentence, as far as known."""

    async def look(self) -> None:
        """Find out whether the program is there."""
        found = await asyncio.to_thread(shutil.which, self._journalctl)
        self.missing = None if found else f"{self._journalctl} is not installed on this machine"

    async def newest(self, *, since_s: int, lines: int) -> list[str]:
        """Return at most so many of the newest lines, the oldest first.

        Of more than :data:`MAX_JOURNAL_BYTES` the older ones are left out.

        Raises:
            ActionError: the journal cannot be read, or has no line of the agent.
        """
        for match in (("-u", self._unit), (f"_PID={os.getpid()}",)):
            found, words = await self._read(match, since_s, lines)
            if found:
                return found
        msg = (
            f"the journal has no line of the agent in the last {since_s} s: "
            "it logs elsewhere, or may not read the journal (group systemd-journal)"
        )
        raise ActionError(f"{msg}; {words}" if words else msg)

    async def _read(
        self, match: tuple[str, ...], since_s: int, lines: int
    ) -> tuple[list[str], str]:
        while True:
            done = await run_process(
                [
                    self._journalctl,
                    "--quiet",
                    "--no-pager",
                    "--output=short-iso",
                    f"--since=-{since_s}s",
                    f"--lines={lines}",
                    *match,
                ],
                timeout_s=_READ_S,
                limit=MAX_JOURNAL_BYTES + _MARK,
            )
            if len(done.stdout) <= MAX_JOURNAL_BYTES or lines <= 1:
                break
            lines //= 2  # it was cut in the middle; what is asked for is the end
        if done.status:
            msg = f"{self._journalctl} ended with status {done.status}: {done.words[:500]}"
            raise ActionError(msg)
        text = await asyncio.to_thread(self._text, done.stdout)
        complaints = done.stderr.decode(errors="replace").strip()
        return text.splitlines(), complaints[:500]

    def _text(self, output: bytes) -> str:
        return self._clean(output.decode(errors="replace"))
