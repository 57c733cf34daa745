"""Settings of the supervision of business. Every default works."""

from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from telemetry.settings import Section

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
"""In the order of ``datetime.weekday``."""
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class OpeningHours(Section):
    """A time of the week at which business is done. No row: business is done at any time."""

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1, max_length=7)
    opens: TimeOfDay = Field(description='Such as `"08:30"`.')
    closes: TimeOfDay = Field(
        description="Not later than `opens`: on the next day. The same: 24 hours after."
    )


class SupervisionSettings(Section):
    """What is told to a supervisor of sessions, staff and overrides."""

    enabled: bool = True
    unattended_s: float = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="So long no enrolled staff is seen in a session of mode `staff`.",
    )
    other_person_s: float = Field(
        default=10.0,
        ge=1,
        le=3600,
        description="So long somebody else stands where the person of the session was verified, or "
        "no camera can tell who does.",
    )
    overrides: int = Field(
        default=3, ge=1, le=32, description="Overridden checks within `overrides_s`."
    )
    overrides_s: float = Field(default=3600.0, ge=1, le=86_400)
    clear_s: float = Field(
        default=5.0, ge=0, le=600, description="What is over for so long counts as over."
    )
    again_s: float = Field(
        default=600.0,
        ge=60,
        le=86_400,
        description="So long staff told of as out of hours is away before being told of again.",
    )
    time_zone: ZoneInfo | None = Field(
        default=None, description='Such as `"Asia/Shanghai"`; default: the machine\'s.'
    )
    hours: tuple[OpeningHours, ...] = Field(default=(), max_length=32)
