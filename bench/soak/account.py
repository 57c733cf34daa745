"""What the centre knows of one kiosk: its numbers, its receipts, and what its commands did."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import cast

from bench.soak.numbers import Numbers
from contract import ContractError, Envelope, Topics, open_message
from contract.business import DoorLocked, ServiceLocked
from contract.gap import Gap
from contract.message import Data
from contract.receipt import TERMINAL, Receipt
from contract.state import AgentStarted, State

_MEDIA = "up/media/"

End = tuple[str, str | None, str]
"""Status, code and text of a terminal receipt: a repeated one says the same."""


@dataclass(slots=True)
class CommandLife:
    """What was said of one command id."""

    recorded: bool = False
    """Whether a receipt vouches for it; others only quote the id."""
    ends: set[End] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    """By code: messages with this id that were turned away unrecorded."""
    effects: int = 0
    """Events that name it as the cause of what they tell."""
    media: int = 0
    """Pictures and archives for it, those included that came twice."""


@dataclass(slots=True)
class Account:
    """Takes every message of one kiosk, in any order and as often as it comes."""

    topics: Topics
    numbers: Numbers = field(default_factory=Numbers)
    messages: Counter[str] = field(default_factory=Counter)
    """By CloudEvents type; each once."""
    commands: defaultdict[str, CommandLife] = field(
        default_factory=lambda: defaultdict(CommandLife)
    )
    """By id."""
    repeated: int = 0
    starts: int = 0
    """Of the agent, as it tells."""
    unclean_starts: int = 0
    state: str = ""
    faults: list[str] = field(default_factory=list)
    """What no kiosk may ever say, a sentence each."""
    _session: int = 0

    def take(self, topic: str, payload: bytes, at_s: float) -> None:
        """Take a message as it came at a moment of the centre's monotonic clock."""
        suffix = topic.removeprefix(self.topics.base + "/")
        if suffix.startswith(_MEDIA):
            self.commands[suffix.removeprefix(_MEDIA)].media += 1
            return
        try:
            message = open_message(payload)
            if message.sequence is None:
                self._take_unnumbered(message)
                return
            new = self.numbers.take(message.sequence, message.id, at_s)
        except (ContractError, ValueError) as error:
            self.faults.append(f"{topic}: {error}")
            return
        if not new:
            self.repeated += 1
            return
        self.messages[message.type] += 1
        self._take_data(message, at_s)

    def _take_unnumbered(self, message: Envelope[Data]) -> None:
        self.messages[message.type] += 1
        if isinstance(message.data, State) and message.data.session >= self._session:
            self._session, self.state = message.data.session, message.data.state

    def _take_data(self, message: Envelope[Data], at_s: float) -> None:
        match message.data:
            case Gap() as gap:
                self.numbers.admit(gap.first_sequence, gap.last_sequence, gap.count, at_s)
            case Receipt():
                self._take_receipt(cast("Envelope[Receipt]", message).data)
            case DoorLocked(command_id=str(cause)) | ServiceLocked(command_id=str(cause)):
                self.commands[cause].effects += 1
            case AgentStarted(clean=clean):
                self.starts += 1
                self.unclean_starts += not clean

    def _take_receipt(self, receipt: Receipt) -> None:
        if receipt.command_id is None:
            if receipt.claimed_id is not None:
                self.commands[receipt.claimed_id].refusals[receipt.code or ""] += 1
            return
        life = self.commands[receipt.command_id]
        life.recorded = True
        if receipt.status in TERMINAL:
            life.ends.add((receipt.status, receipt.code, receipt.text))
