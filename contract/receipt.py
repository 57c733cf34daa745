"""``up/receipt``: each step of a command's life."""

from typing import Any, Literal

from pydantic import Field

from contract.ids import Challenge, MessageId
from contract.message import Data, Priority
from contract.wire import Name, Text

ReceiptStatus = Literal[
    "accepted", "running", "succeeded", "failed", "cancelled", "rejected", "expired"
]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "rejected", "expired"})
"""A command has exactly one receipt with one of these, whatever is redelivered."""

ReceiptCode = Literal[
    # refused
    "bad_signature",
    "unknown_key",
    "key_not_valid",
    "not_authorised",
    "second_signature",
    "wrong_kiosk",
    "unknown_action",
    "bad_arguments",
    "malformed",
    "expired",
    "not_yet_valid",
    "clock",
    "retained",
    "too_large",
    "rate_limited",
    "busy",
    "loop_breaker",
    "unavailable",
    "storage",
    # accepted, and not done
    "action_failed",
    "timed_out",
    "interrupted",
    "rolled_back",
    "cancelled",
]


class Receipt(Data, type_="kiosk.receipt.v1", suffix="up/receipt", priority=Priority.RECEIPT):
    """What became of a command."""

    command_id: MessageId | None = Field(
        default=None, description="Absent where nobody trusted vouched for the command."
    )
    claimed_id: MessageId | None = Field(
        default=None,
        description="The id in a message that was turned away unrecorded: broken, by an unknown "
        "key, for another kiosk. It says nothing about a command with that id.",
    )
    action: Name | None = None
    status: ReceiptStatus
    code: ReceiptCode | None = Field(default=None, description="Why it was not done.")
    text: Text = Field(default="", description="A sentence for the operator.")
    percent: float | None = Field(
        default=None, ge=0, le=100, description="While it runs: how much is done."
    )
    challenge: Challenge | None = Field(
        default=None,
        description="With code clock: sign the command anew with this in it, and dates do not "
        "count. For one command, and for ten minutes.",
    )
    signers: tuple[Name, ...] = Field(default=(), description="Key ids whose signature held.")
    result: dict[str, Any] | None = None
