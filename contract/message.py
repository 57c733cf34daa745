"""Messages from a kiosk: CloudEvents 1.0 in structured JSON mode, one registered type each.

A data model is registered by its class arguments::

    class CameraLost(Event, kind="camera.lost"): ...

which gives it the type ``kiosk.event.camera.lost.v1`` and the topic ``up/event/camera.lost``.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import Field, SerializeAsAny, StringConstraints
from pydantic_core import to_json

from contract.errors import MalformedError
from contract.ids import MessageId, uuid7_at
from contract.limits import MAX_MESSAGE_BYTES
from contract.stamp import Stamp, TimeQuality
from contract.wire import UtcTime, WireModel, check_size, format_time, parse_object, validated

CONTENT_TYPE = "application/cloudevents+json"


class Priority(IntEnum):
    """The outbox's four classes: what is sent first, and dropped last."""

    ALARM = 0
    RECEIPT = 1
    EVENT = 2
    TELEMETRY = 3


_registry: dict[str, type["Data"]] = {}


class Data(WireModel):
    """The ``data`` of a message. Subclasses with a ``type_`` are registered."""

    TYPE: ClassVar[str] = ""
    SUFFIX: ClassVar[str] = ""
    PRIORITY: ClassVar[Priority] = Priority.EVENT
    RETAIN: ClassVar[bool] = False

    KIND: ClassVar[str] = ""

    def __init_subclass__(
        cls,
        *,
        type_: str = "",
        suffix: str = "",
        kind: str = "",
        priority: Priority | None = None,
        retain: bool = False,
        **kwargs: Any,
    ) -> None:
        """Register the class under its CloudEvents type; ``kind`` stands for an event's."""
        super().__init_subclass__(**kwargs)
        if kind:
            type_, suffix = f"kiosk.event.{kind}.v1", f"up/event/{kind}"
            cls.KIND = kind
        if priority is not None:
            cls.PRIORITY = priority
        if type_:
            cls.TYPE, cls.SUFFIX, cls.RETAIN = type_, suffix, retain
            _registry[type_] = cls


class Event(Data):
    """Something that happened; its ``kind`` is the last level of the topic."""


REGISTRY: Mapping[str, type[Data]] = MappingProxyType(_registry)
"""Every message type of the contract, by its CloudEvents type."""

Publish = Callable[[Data, Stamp], Awaitable[None]]
"""How every room hands on what it has to say: stored when the call returns, sent later."""

D = TypeVar("D", bound=Data)


class Envelope(WireModel, Generic[D]):
    """A CloudEvent with the kiosk's extensions."""

    specversion: Literal["1.0"]
    id: MessageId
    source: Annotated[str, StringConstraints(pattern=r"^/kiosk/[a-z0-9][a-z0-9-]{0,62}$")]
    type: Annotated[str, StringConstraints(pattern=r"^kiosk(\.[a-z0-9_]+)+\.v[0-9]+$")]
    time: UtcTime = Field(description="When it happened, not when it was sent.")
    datacontenttype: Literal["application/json"]
    sequence: int | None = Field(
        default=None,
        ge=1,
        description="One per message of a kiosk, without gaps, over restarts. Absent on up/state: "
        "a will that is never sent would leave a hole.",
    )
    bootid: Annotated[str, StringConstraints(max_length=64)]
    monotonicms: int = Field(ge=0)
    timequality: TimeQuality
    data: SerializeAsAny[D]

    @property
    def kiosk(self) -> str:
        """The id of the kiosk that sent it."""
        return self.source.removeprefix("/kiosk/")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message ready for the wire."""

    id: str
    payload: bytes


def seal(data: Data, *, kiosk: str, stamp: Stamp, sequence: int | None) -> Sealed:
    """Wrap ``data`` in its envelope.

    Raises:
        OversizeError: the payload is larger than :data:`~contract.limits.MAX_MESSAGE_BYTES`.
    """
    message_id = uuid7_at(stamp.time)
    head: dict[str, Any] = {
        "specversion": "1.0",
        "id": message_id,
        "source": f"/kiosk/{kiosk}",
        "type": data.TYPE,
        "time": format_time(stamp.time),
        "datacontenttype": "application/json",
        "bootid": stamp.boot_id,
        "monotonicms": stamp.monotonic_ms,
        "timequality": stamp.time_quality,
    }
    if sequence is not None:
        head["sequence"] = sequence
    # The models are validated where they are built; here speed counts.
    head["data"] = data
    payload = to_json(head, exclude_none=True)
    check_size(payload, MAX_MESSAGE_BYTES)
    return Sealed(id=message_id, payload=payload)


def open_message(payload: bytes) -> Envelope[Data]:
    """Read a message from a kiosk, whatever its registered type.

    Raises:
        OversizeError: it is larger than :data:`~contract.limits.MAX_MESSAGE_BYTES`.
        MalformedError: it is not JSON, of an unknown type, or does not fit its model exactly.
    """
    raw = parse_object(payload, limit=MAX_MESSAGE_BYTES)
    type_ = raw.get("type")
    model = REGISTRY.get(type_) if isinstance(type_, str) else None
    if model is None:
        msg = f"type: {str(type_)[:80]!r} is not a message type of this contract"
        raise MalformedError(msg)
    return validated(lambda: Envelope[model].model_validate_json(payload))  # type: ignore[valid-type]
