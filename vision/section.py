"""A table of the settings file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One table of the settings file: an unknown key is an error, and errors quote no values."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )
