"""What the launcher tells the agent that it starts, in one variable of the environment."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

VARIABLE = "KIOSK_LAUNCH"


@dataclass(frozen=True, slots=True)
class Launched:
    """How this process was started."""

    argv: tuple[str, ...]
    """What starts it again, through the launcher."""
    releases: str
    """The folder with state and slots."""
    slot: str | None = None
    """The slot that runs; None: the packaged release."""
    packaged: str = ""
    """Version of the packaged release."""
    guard: int | None = None
    """Process id of what ends a release on trial when its time is over; a child of this one."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The environment that the service manager gave: what a release adds to its own must not
    outlive it, and a restart is the same process."""

    @property
    def folder(self) -> Path:
        """The folder with state and slots."""
        return Path(self.releases)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the process to start, which says this."""
        return {**self.given, VARIABLE: json.dumps(asdict(self))}


def launched(environment: Mapping[str, str] = os.environ) -> Launched | None:
    """Return what the launcher said; ``None`` where it did not start this process."""
    try:
        told = json.loads(environment[VARIABLE])
        return Launched(**{**told, "argv": tuple(told["argv"])})
    except (KeyError, TypeError, ValueError):
        return None
