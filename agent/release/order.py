"""What the agent asks of the process that installs, and what that says."""

from pydantic import Field

from agent.release.slots import SlotName
from contract.actions import Sha256
from contract.version import Version
from contract.wire import WireModel


class InstallOrder(WireModel):
    """What is to be installed, and where."""

    url: str | None = None
    file: str | None = Field(default=None, description="A path.")
    sha256: Sha256
    version: Version
    allow_older: bool = False
    running: Version
    releases: str = Field(description="The folder with the slots.")
    slot: SlotName
    keys: str
    roots: str | None = None
    max_bytes: int
    floor_bytes: int = Field(description="Free space that is left to others.")


class InstallReport(WireModel):
    """How far it is; the last one has either ``manifest`` or ``error``."""

    text: str = ""
    percent: float | None = None
    manifest: Sha256 | None = Field(default=None, description="Of what is in the slot now.")
    error: str | None = None
