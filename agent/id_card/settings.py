"""Settings of the identity-card reader. Every default works; without a device there is none."""

from pydantic import Field

from contract.wire import Name
from telemetry.settings import Section


class IdCardSettings(Section):
    """A reader with a security module (SAM) on a serial line, 115200 8N1."""

    device: str = Field(
        default="",
        pattern=r"^(/.*)?$",
        description="Such as /dev/serial/by-id/...; empty: the kiosk has no reader.",
    )
    name: Name = Field(default="id-card-reader", description="In health data and alarms.")
    polls_per_s: float = Field(
        default=2.5, gt=0, le=10, description="Looks a second for a card that somebody waits for."
    )
