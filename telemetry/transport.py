"""What the link needs of MQTT 5, and nothing else: the seam between our logic and a client library.

LinkError                     there is no line to the broker, or not any more
├── UnreachableError          no connection: unknown name, refused, no answer in time
├── LineLostError             it stood and broke: cut, reset, silent
│   └── HungUpError           the broker closed it and did not say why
├── TlsError                  the broker's certificate is not trusted, or our files are unusable
│   └── PassingTlsError       it may pass by itself: the broker just stops
│       └── TlsDatesError     or our clock is wrong: by it, the broker's certificate is not valid
├── NotAuthorisedError        user name, password, client certificate or a right is missing
├── SessionTakenError         another client connected with the same client id
├── ServerBusyError           the broker is overloaded, shutting down or out of quota
├── RefusedError              the broker and we do not speak the same: version, size, protocol
└── ClosedError               we closed it ourselves

Each text is a sentence that a person can act on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Protocol

PACKET_OVERHEAD_BYTES = 128
"""More than a PUBLISH packet ever adds to its topic and payload."""


class LinkError(Exception):
    """There is no line to the broker; the text says why."""

    retryable: ClassVar[bool] = True
    """Whether trying again soon may help. Where not, a person has to act: try slowly."""


class UnreachableError(LinkError):
    """No connection could be made: unknown name, refused, no answer in time."""


class LineLostError(LinkError):
    """The connection stood and broke."""


class HungUpError(LineLostError):
    """The broker closed the line and did not say why.

    A restart ends like this, and with Mosquitto 2.0 and rumqttd so does a line whose client id
    another client uses: they do not send the reason code that makes a SessionTakenError.
    """


class TlsError(LinkError):
    """The broker's certificate is not trusted, our files are unusable, or there is no TLS."""

    retryable = False


class PassingTlsError(TlsError):
    """It may pass by itself: our clock is wrong, or the broker went down in the handshake."""

    retryable = True


class TlsDatesError(PassingTlsError):
    """By our clock the broker's certificate is not valid yet, or not any more.

    A kiosk that starts in 1970 has to try again until its clock is right.
    """


class NotAuthorisedError(LinkError):
    """The broker does not let this client in, or not there: password, certificate, right."""

    retryable = False


class SessionTakenError(LinkError):
    """Another client connected with our client id, and the broker sent us away."""

    retryable = False


class ServerBusyError(LinkError):
    """The broker cannot serve us at the moment."""


class RefusedError(LinkError):
    """The broker does not accept what we say, or says what no MQTT 5 broker may."""

    retryable = False


class ClosedError(LinkError):
    """We closed the connection ourselves."""


class RetainHandling(IntEnum):
    """Whether retained messages come in answer to a subscription."""

    SEND = 0
    SEND_IF_NEW = 1
    NEVER = 2


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us (QoS 1) when the line breaks."""

    topic: str
    payload: bytes
    retain: bool = True
    delay_s: int = 0


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """PEM files. Without ``ca`` the system's roots are trusted."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """One connection. ``websocket_path`` None: plain TCP (or TLS)."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 30
    session_expiry_s: int = 0
    clean_start: bool = False
    receive_maximum: int = 20
    """How many unacknowledged messages the broker may send us."""
    maximum_packet_size: int = 256 * 1024
    """The largest packet, in bytes, that the broker may send us."""
    will: Will | None = None
    tls: TlsOptions | None = None
    websocket_path: str | None = None
    connect_timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from the broker."""

    topic: str
    payload: bytes
    retained: bool
    """Sent in answer to a subscription, from the broker's store."""
    duplicate: bool
    """Perhaps delivered before; the flag may be missing, so never rely on it."""
    expiry_s: int | None
    """What is left of its life in seconds; None: it does not expire."""
    packet_id: int
    """For :meth:`Connection.acknowledge`; 0 where nothing is to be acknowledged."""


SUCCESS = 0x00
NO_MATCHING_SUBSCRIBERS = 0x10
NOT_AUTHORISED = 0x87
"""Reason codes of a PUBACK; the broker took the message where it is below 0x80."""


class Connection(Protocol):
    """A line to the broker: made once, never repaired. All calls are on its event loop."""

    @property
    def session_present(self) -> bool:
        """Whether the broker kept our session: subscriptions and queued messages are there."""
        ...

    @property
    def receive_maximum(self) -> int:
        """How many unacknowledged messages we may have on the way."""
        ...

    @property
    def maximum_packet_size(self) -> int | None:
        """The largest packet in bytes that the broker takes; None: no limit told."""
        ...

    @property
    def keepalive_s(self) -> int:
        """What is in force: the broker's word, else what we asked for; 0: none."""
        ...

    async def wait_closed(self) -> LinkError:
        """Wait until the line is gone and return why. Any number may wait; safe to cancel.

        A line that only looks alive is noticed within twice the keep-alive time.
        """
        ...

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        on_ack: Callable[[int], None],
        retain: bool = False,
        expiry_s: int | None = None,
        content_type: str | None = None,
    ) -> None:
        """Offer a message with QoS 1 and return at once.

        ``on_ack`` gets the reason code of its PUBACK, on the event loop, once, never before this
        call returns, and never after the line is gone: what has no answer by then is to be sent
        again on the next line. It must not raise. Nothing is held back here: the caller keeps
        to ``receive_maximum`` and ``maximum_packet_size``.

        Raises:
            LinkError: the line is gone.
        """
        ...

    async def subscribe(
        self, topic_filter: str, *, retain_handling: RetainHandling = RetainHandling.SEND
    ) -> None:
        """Ask for messages with QoS 1.

        Raises:
            NotAuthorisedError: the broker says that we may not (some never say so).
            LinkError: the line is gone.
        """
        ...

    async def next_message(self) -> Incoming:
        """Wait for a message. Safe to cancel: no message is lost by it.

        Raises:
            LinkError: the line is gone.
        """
        ...

    def acknowledge(self, message: Incoming) -> None:
        """Tell the broker that the message is stored. Once the line is gone: does nothing."""
        ...

    async def disconnect(self, *, send_will: bool = False) -> None:
        """Say goodbye and close; never raises, never waits longer than two seconds.

        ``send_will`` asks the broker to publish the will all the same (after its delay).
        """
        ...


class Transport(Protocol):
    """Makes connections; where it is given, tests give a fake."""

    async def connect(self, options: ConnectOptions) -> Connection:
        """Connect and wait for the broker's answer.

        Takes at most ``connect_timeout_s``; when cancelled, nothing stays behind that could
        take the session from a later connection.

        Raises:
            LinkError: by class and text, why there is no connection.
        """
        ...
