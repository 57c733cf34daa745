"""How the command path tells the agent that something of its own is broken."""

from collections.abc import Callable
from typing import Literal

Fault = Literal["operators.unusable", "ledger.corrupted", "kiosk_key.replaced", "audit.incomplete"]
OnFault = Callable[[Fault, str | None], None]
"""Told on the event loop that a fault began (with a sentence) or ended (with ``None``)."""


def ignore_faults(_fault: Fault, _text: str | None) -> None:
    """Tell nobody."""
