"""``up/receipt``: each step of a command's life."""

from typing import Any, Literal

from pydantic import Field

from contract.ids import MessageId
from contract.message import Data, Priority
from contract.wire import Name, Text

ReceiptStatus = Literal[
    "accepted", "running", "succeeded", "failed", "cancelled", "rejected", "expired"
]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "rejected", "expired"})
"""A command has exactly one receipt with one of these, whatever is redelivered."""

ReceiptCode = Literal[
    "bad_signature",
    "unknown_key",
    "key_not_valid",
    "not_authorised",
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
    "action_failed",
    "interrupted",
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
    signers: tuple[Name, ...] = Field(default=(), description="Key ids whose signature held.")
    result: dict[str, Any] | None = None
