"""Faults of the agent's own parts become alarms."""

import asyncio
from dataclasses import dataclass

from contract import Clock
from contract.events import Severity
from telemetry.alarms import AlarmBoard
from telemetry.link import LinkState
from telemetry.transport import LinkError, NotAuthorisedError, SessionTakenError, TlsError

QUIET_S = 600.0
"""A fault of the line that did not show for so long is over."""

FAULTS: dict[str, Severity] = {
    "agent.safe_mode": "major",
    "outbox.storage": "critical",
    "outbox.corrupted": "major",
    "operators.unusable": "major",
    "ledger.corrupted": "major",
    "audit.incomplete": "major",
    "kiosk_key.replaced": "major",
    "link.session_taken": "critical",
    "link.refused": "major",
    "link.denied": "major",
    "plate.hit": "major",
    "watch_lists.damaged": "major",
    "gallery.damaged": "major",
    "gallery.key_lost": "major",
    "gallery.nearly_full": "warning",
}
"""Alarms that are no limit of a number, and how bad each is."""
_PASSING = (
    "link.session_taken",
    "link.denied",
    "outbox.corrupted",
    "ledger.corrupted",
    "kiosk_key.replaced",
    "plate.hit",
    "watch_lists.damaged",
    "gallery.damaged",
)
"""Faults that are moments: nobody tells when they are over."""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str | None
    at: float


class FaultAlarms:
    """Takes word of faults from callbacks and hands it to the alarm board in its own task."""

    def __init__(self, board: AlarmBoard, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self._heard: dict[str, _Word] = {}
        self._changed = asyncio.Event()

    def tell(self, code: str, text: str | None) -> None:
        """A fault began or is seen again (a sentence), or is over (``None``)."""
        self._heard[code] = _Word(text, self._clock.monotonic())
        self._changed.set()

    def link_changed(self, state: LinkState, error: LinkError | None) -> None:
        """What the link says of itself, as alarms."""
        match error:
            case SessionTakenError():
                self.tell("link.session_taken", f"two boxes with one id? {error}")
            case NotAuthorisedError() | TlsError():
                self.tell("link.refused", str(error))
        if state is LinkState.ONLINE:
            self.tell("link.refused", None)

    def denied(self, topic: str, reason: int) -> None:
        """The broker would not take a message."""
        self.tell(
            "link.denied",
            f"the broker refuses messages on {topic} (reason 0x{reason:02x}); check the "
            "kiosk's rights and quota there; they stay stored and are tried again",
        )

    async def run(self) -> None:
        """Hand on what is heard, and clear what was not heard of for long."""
        while True:
            await self._wait()
            self._changed.clear()
            for code, word in list(self._heard.items()):
                now = self._clock.monotonic()
                passed = code in _PASSING and now - word.at >= QUIET_S
                if word.text is not None and not passed:
                    await self._board.raise_(code, FAULTS[code], word.text)
                    continue
                await self._board.clear(code)
                if self._heard[code] is word:
                    del self._heard[code]

    async def _wait(self) -> None:
        """Until something is heard; with faults in force, no longer than it takes to forget."""
        if not self._heard:
            await self._changed.wait()
            return
        pause = asyncio.ensure_future(self._clock.sleep(QUIET_S / 10))
        heard = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((pause, heard), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            heard.cancel()
