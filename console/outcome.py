"""How a command ended, from what the kiosk says about it."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import cast

from contract import ContractError, Envelope, open_message
from contract.receipt import TERMINAL, Receipt

LEEWAY_S = 30
"""How far clocks of operators and kiosks may differ."""


class Outcome(IntEnum):
    """How it ended; the value is the exit code, of several commands the highest."""

    SUCCEEDED = 0
    FAILED = 1
    REJECTED = 3
    EXPIRED = 4
    NO_ANSWER = 5
    NO_BROKER = 6


_OUTCOMES = {
    "succeeded": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "cancelled": Outcome.FAILED,
    "rejected": Outcome.REJECTED,
    "expired": Outcome.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a command."""

    kiosk: str
    command_id: str
    exp: int
    """When the command expires: seconds since 1970."""
    outcome: Outcome
    last: Receipt | None = None
    """The newest receipt."""
    media: bytes | None = None
    """What the kiosk published for it, where that was asked for."""
    answered: int | None = None
    """When the kiosk gave this answer, seconds since 1970, where that was before it was sent."""


@dataclass(slots=True)
class Conversation:
    """What the kiosk has said about one command so far."""

    kiosk: str
    command_id: str
    action: str | None = None
    """What was ordered: a receipt about something else is an impostor's under the same id."""
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    last: Receipt | None = None
    _time: datetime | None = None
    """When the kiosk said so, where it knows the time."""
    _told: set[tuple[str, str, float | None]] = field(default_factory=set)

    def hear(self, payload: bytes) -> tuple[Envelope[Receipt] | None, Outcome | None]:
        """Take in a receipt as it came from the broker; noise is nothing."""
        message = read_receipt(payload)
        return (None, None) if message is None else self.take(message)

    def take(self, message: Envelope[Receipt]) -> tuple[Envelope[Receipt] | None, Outcome | None]:
        """Take in a receipt; returns it where it is news, and the outcome where it is the end.

        A refusal that only quotes the id is the end as long as nothing was accepted.
        """
        receipt = message.data
        if message.kiosk != self.kiosk:
            return None, None
        claimed = receipt.claimed_id == self.command_id and not self.accepted.is_set()
        if receipt.command_id != self.command_id and not claimed:
            return None, None
        if not claimed and self.action is not None and receipt.action != self.action:
            return None, None
        outcome = _OUTCOMES[receipt.status] if receipt.status in TERMINAL else None
        if not claimed:
            self.accepted.set()
        said = (receipt.status, receipt.text, receipt.percent)
        if said in self._told:
            return None, outcome
        self._told.add(said)
        self.last = receipt
        self._time = message.time if message.timequality == "synced" else None
        return message, outcome

    def answered_before(self, sent: float) -> int | None:
        """When the kiosk gave its answer, where that was well before the command was sent.

        A command is answered once: whoever sends it again gets the old receipt. All times are
        in seconds since 1970.
        """
        if self._time is None or self.last is None or self.last.status not in TERMINAL:
            return None
        said = self._time.timestamp()
        return int(said) if said < sent - LEEWAY_S else None


def read_receipt(payload: bytes) -> Envelope[Receipt] | None:
    """Return a receipt, or ``None`` where it is none."""
    try:
        message = open_message(payload)
    except ContractError:
        return None
    return cast("Envelope[Receipt]", message) if isinstance(message.data, Receipt) else None
