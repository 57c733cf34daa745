"""``up/gap``: a loss, admitted."""

from typing import Literal

from pydantic import Field

from contract.message import Data, Priority
from contract.wire import UtcTime

GapClass = Literal["alarm", "receipt", "event", "telemetry", "unknown"]


class Gap(Data, type_="kiosk.gap.v1", suffix="up/gap", priority=Priority.ALARM):
    """Messages that were numbered and will never arrive.

    Of the sequence numbers ``first_sequence`` to ``last_sequence``, ``count`` of this class are
    lost; the others in that range are of other classes and do arrive.
    """

    message_class: GapClass
    count: int | None = Field(default=None, ge=1, description="Absent where nobody can know.")
    first_sequence: int = Field(ge=1)
    last_sequence: int = Field(ge=1)
    reason: Literal["full", "disk_full", "storage_failed", "corrupted", "too_large", "expired"]
    from_time: UtcTime | None = Field(default=None, description="Time of the oldest lost message.")
    to_time: UtcTime | None = Field(default=None, description="Time of the newest lost message.")
