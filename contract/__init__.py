"""What crosses the wire, and nothing else: both the kiosk and the centre import this room."""

# Importing the modules registers their message types.
from contract import audit, business, config, events, gap, health, identity, plates, receipt, state
from contract.errors import ContractError, MalformedError, OversizeError, SignatureError
from contract.message import REGISTRY, Data, Envelope, Event, Priority, open_message, seal
from contract.stamp import Clock, Stamp
from contract.topics import DEFAULT_ROOT, Topics

__all__ = [
    "DEFAULT_ROOT",
    "REGISTRY",
    "Clock",
    "ContractError",
    "Data",
    "Envelope",
    "Event",
    "MalformedError",
    "OversizeError",
    "Priority",
    "SignatureError",
    "Stamp",
    "Topics",
    "audit",
    "business",
    "config",
    "events",
    "gap",
    "health",
    "identity",
    "open_message",
    "plates",
    "receipt",
    "seal",
    "state",
]
