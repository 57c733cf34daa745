"""Errors of the wire contract.

ContractError              anything that may not cross the wire
├── MalformedError         not JSON, wrong field, unknown field, wrong type of message
├── OversizeError          larger than the limit of its topic
├── SignatureError         a command whose signature or signer cannot be trusted
│   └── UnknownKeyError    signed, but by no key that is trusted here
└── AuditError             an audit trail that is not as it was written
"""

from typing import Literal

AuditFault = Literal[
    "broken", "changed", "removed", "reordered", "added", "another_chain", "bad_head"
]


class ContractError(ValueError):
    """A message breaks the contract; the text says where and why."""


class MalformedError(ContractError):
    """The message cannot be read: not JSON, an unknown or missing field, a wrong value."""


class OversizeError(ContractError):
    """The message is larger than its topic allows."""


class SignatureError(ContractError):
    """The signature is missing, broken, or not by the key it names."""


class UnknownKeyError(SignatureError):
    """None of the keys that signed is known here."""


class AuditError(ContractError):
    """An audit trail is not as it was written; ``number`` is the entry where that shows."""

    def __init__(self, number: int | None, fault: AuditFault, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.fault: AuditFault = fault
