"""What the agent asks of a capture process: one JSON line on its standard input."""

from pydantic import BaseModel, ConfigDict, Field

from vision.settings import CameraSettings


class Order(BaseModel):
    """One camera to watch. The source stands apart: settings dump it redacted only."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    source: str = Field(repr=False)
    settings: CameraSettings
    scene: str = Field(default="", repr=False)
    """The scene that an earlier process of this camera learned."""
    frames_fd: int
    """The shared memory for frames, an open file of the process."""
