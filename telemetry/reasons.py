"""MQTT 5 reason codes (OASIS standard, 2.4) as errors of the link, in sentences."""

from telemetry.transport import (
    LineLostError,
    LinkError,
    NotAuthorisedError,
    RefusedError,
    ServerBusyError,
    SessionTakenError,
)

_CONNACK: dict[int, tuple[type[LinkError], str]] = {
    0x84: (RefusedError, "does not speak MQTT 5"),
    0x85: (RefusedError, "does not accept the client id"),
    0x86: (NotAuthorisedError, "did not accept user name or password"),
    0x87: (NotAuthorisedError, "does not let this client in: not authorised"),
    0x88: (ServerBusyError, "is not available at the moment"),
    0x89: (ServerBusyError, "is busy"),
    0x8A: (NotAuthorisedError, "has banned this client"),
    0x8C: (NotAuthorisedError, "did not accept the way we log in"),
    0x90: (RefusedError, "does not accept the topic of the Last Will"),
    0x95: (RefusedError, "finds the connect packet too large: the Last Will, most likely"),
    0x97: (ServerBusyError, "is out of quota for this client"),
    0x9A: (RefusedError, "does not support retained messages, which the Last Will needs"),
    0x9B: (RefusedError, "does not support QoS 1"),
    0x9C: (RefusedError, "wants us to use another server"),
    0x9D: (RefusedError, "has moved to another server"),
    0x9F: (ServerBusyError, "gets too many connections"),
}
_DISCONNECT: dict[int, tuple[type[LinkError], str]] = {
    0x81: (RefusedError, "found a malformed packet"),
    0x82: (RefusedError, "found a breach of the protocol"),
    0x87: (NotAuthorisedError, "sent us away: not authorised"),
    0x89: (ServerBusyError, "is busy"),
    0x8B: (ServerBusyError, "is shutting down"),
    0x8D: (LineLostError, "heard nothing from us for too long"),
    0x8E: (SessionTakenError, "sent us away: another client connected with our client id"),
    0x93: (RefusedError, "got more unacknowledged messages than it allows"),
    0x95: (RefusedError, "got a packet larger than it allows"),
    0x96: (ServerBusyError, "gets messages too fast"),
    0x97: (ServerBusyError, "is out of quota for this client"),
    0x98: (LineLostError, "ended the connection: administrative action"),
    0x9C: (RefusedError, "wants us to use another server"),
    0x9D: (RefusedError, "has moved to another server"),
}


def connect_refused(where: str, code: int, name: str) -> LinkError:
    """Explain a CONNACK that is not a success."""
    error, text = _CONNACK.get(code, (RefusedError, f"refused the connection: {name}"))
    return error(f"the broker {where} {text}")


def sent_away(where: str, code: int, name: str) -> LinkError:
    """Explain a DISCONNECT by the broker."""
    error, text = _DISCONNECT.get(code, (LineLostError, f"ended the connection: {name}"))
    return error(f"the broker {where} {text}")
