"""Settings of the kiosk's door. Every default works: there is no door."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contract.actions import DAY_S
from contract.wire import Name


class DoorSettings(BaseModel):
    """What locks the door, for how long at most, and which alarms open it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    driver: Literal["none", "simulated", "gpio"] = Field(
        default="none", description="gpio: a line of a GPIO chip that is high while locked."
    )
    chip: str = Field(default="/dev/gpiochip0", min_length=1, description="For gpio.")
    line: int | str | None = Field(default=None, description="For gpio: the line's number or name.")
    max_lease_s: int = Field(
        default=3600, ge=1, le=DAY_S, description="The door is never locked for longer."
    )
    open_on: tuple[Name, ...] = Field(
        default=("temperature.high",),
        description="Codes of alarms that open the door, and keep it from being locked.",
    )

    @model_validator(mode="after")
    def _complete(self) -> "DoorSettings":
        if self.driver == "gpio" and self.line is None:
            msg = "line: driver gpio needs the number or name of a line"
            raise ValueError(msg)
        return self
