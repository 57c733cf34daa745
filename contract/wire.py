"""The common ground of everything that crosses the wire: strict models and strict parsing."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)

from contract.errors import MalformedError, OversizeError


def _to_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        msg = "a time needs its zone (RFC 3339)"
        raise ValueError(msg)
    return value.astimezone(UTC)


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as every time on the wire is written."""
    return (
        value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    )


UtcTime = Annotated[
    datetime,
    AfterValidator(_to_utc),
    PlainSerializer(format_time, return_type=str, when_used="json"),
]
KioskId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
"""A camera, task, alarm code or service."""
Text = Annotated[str, StringConstraints(max_length=1024)]
"""A sentence for a person."""


class WireModel(BaseModel):
    """Strict and immutable: an unknown field is an error, never silently dropped."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        ser_json_inf_nan="null",
        defer_build=True,
    )


M = TypeVar("M", bound=BaseModel)


def describe(error: ValidationError) -> str:
    """Name the first three wrong fields and what is wrong with each, in one line."""
    parts = []
    for item in error.errors(include_url=False)[:3]:
        where = ".".join(str(step) for step in item["loc"]) or "message"
        parts.append(f"{where}: {item['msg'].removeprefix('Value error, ')}")
    more = error.error_count() - 3
    return "; ".join(parts) + (f" (and {more} more)" if more > 0 else "")


def check_size(payload: bytes, limit: int) -> None:
    """Raise :class:`OversizeError` where the payload is larger than ``limit`` bytes."""
    if len(payload) > limit:
        msg = f"message of {len(payload)} bytes exceeds the limit of {limit}"
        raise OversizeError(msg)


def parse(model: type[M], payload: bytes, *, limit: int) -> M:
    """Read one JSON message into its model.

    Raises:
        OversizeError: the payload is larger than ``limit`` bytes.
        MalformedError: it is not JSON or does not fit the model exactly.
    """
    check_size(payload, limit)
    return validated(lambda: model.model_validate_json(payload))


def parse_kept(model: type[M], content: bytes | str) -> M:
    """Read what an agent kept on its disk. Here, at every level, unknown fields are passed over.

    A later release may have written them, before it was taken back.

    Raises:
        MalformedError: it is not JSON or does not fit the model.
    """
    return validated(lambda: model.model_validate_json(content, extra="ignore"))


def validated(build: Callable[[], M]) -> M:
    """Run a pydantic validation; its error becomes a :class:`MalformedError` in one line."""
    try:
        return build()
    except ValidationError as error:
        raise MalformedError(describe(error)) from None


def parse_object(payload: bytes, *, limit: int) -> dict[str, Any]:
    """Read a JSON object of any shape, as far as size and syntax go."""
    check_size(payload, limit)
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise MalformedError(msg) from None
    if not isinstance(value, dict):
        msg = f"a JSON object is expected, not {type(value).__name__}"
        raise MalformedError(msg)
    return value
