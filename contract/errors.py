"""Errors of the wire contract.

ContractError              anything that may not cross the wire
├── MalformedError         not JSON, wrong field, unknown field, wrong type of message
├── OversizeError          larger than the limit of its topic
└── SignatureError         a command whose signature or signer cannot be trusted
    └── UnknownKeyError    signed, but by no key that is trusted here
"""


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
