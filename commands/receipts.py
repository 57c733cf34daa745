"""Receipts of a recorded command."""

from commands.action import Result
from commands.errors import RefusedError
from commands.ledger_store import Record
from contract.receipt import Receipt, ReceiptCode, ReceiptStatus

MAX_TEXT = 1024


def receipt_for(
    record: Record,
    status: ReceiptStatus,
    *,
    code: ReceiptCode | None = None,
    text: str = "",
    percent: float | None = None,
    challenge: str | None = None,
    result: Result | None = None,
) -> Receipt:
    """Make the receipt of one step; a text that is too long is cut."""
    return Receipt(
        command_id=record.command.id,
        action=record.command.action,
        status=status,
        code=code,
        text=text[:MAX_TEXT],
        percent=percent,
        challenge=challenge,
        signers=record.signers,
        result=result,
    )


def refused(record: Record, refusal: RefusedError, challenge: str | None = None) -> Receipt:
    """Make the terminal receipt of a command that is not done; the challenge is to be signed."""
    return receipt_for(
        record,
        "expired" if refusal.code == "expired" else "rejected",
        code=refusal.code,
        text=refusal.text,
        challenge=challenge,
    )
