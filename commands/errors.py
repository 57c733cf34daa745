"""Errors of the command path.

CommandError         anything that the command path cannot do
├── LedgerError      the ledger cannot be read or written now: nothing was recorded, try again
├── RefusedError     a command that may not be done, with the receipt's code
└── ActionError      an action could not do its work, in a sentence for the operator
"""

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


class ActionError(CommandError):
    """An action failed; the text goes into the receipt."""
