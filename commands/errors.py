"""Errors of the command path.

CommandError         anything that the command path cannot do
├── LedgerError      the ledger cannot be read or written now: nothing was recorded, try again
├── RefusedError     a command that may not be done, with the receipt's code
│   ├── ReplayError  it is not known, but old enough to have been done and forgotten
│   └── UndatedError its date tells nothing here: it wants a challenge
├── ActionError      an action could not do its work, in a sentence for the operator
└── DeskError        the business application asked for what cannot be now, and why
"""

from typing import Literal

from contract.receipt import ReceiptCode


class CommandError(Exception):
    """Something in the command path failed; the text says what."""

    retryable = False


class LedgerError(CommandError):
    """The ledger cannot be read or written now. What was asked of it did not happen."""

    retryable = True


class RefusedError(CommandError):
    """A command may not be done."""

    def __init__(self, *, code: ReceiptCode, text: str) -> None:
        super().__init__(text)
        self.code: ReceiptCode = code
        self.text = text


class ReplayError(RefusedError):
    """A command that is not known, but may have been done and forgotten."""

    def __init__(self, text: str) -> None:
        super().__init__(code="expired", text=text)


class UndatedError(RefusedError):
    """A command that may be an old one; signed anew with the challenge of its receipt it is not."""

    def __init__(self) -> None:
        text = (
            "the kiosk's clock is not synchronised, so it cannot tell whether this is still "
            "valid; sign it anew with the challenge in this receipt"
        )
        super().__init__(code="clock", text=text)


class ActionError(CommandError):
    """An action failed; the text goes into the receipt."""

    def __init__(self, text: str, *, code: ReceiptCode = "action_failed") -> None:
        super().__init__(text)
        self.code: ReceiptCode = code


DeskCode = Literal[
    "locked",
    "maintenance",
    "going_down",
    "too_many_sessions",
    "no_such_session",
    "no_such_decision",
    "no_such_person",
    "no_card",
    "not_applicable",
]


class DeskError(CommandError):
    """The business application asked for what cannot be now."""

    def __init__(self, text: str, *, code: DeskCode) -> None:
        super().__init__(text)
        self.code: DeskCode = code
