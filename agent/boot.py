"""What is settled before the event loop runs: which settings, and the how-manieth start this is."""

import contextlib
import fcntl
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.config.book import Beginning, ConfigFile, begin
from agent.config.pushed import settings_with
from agent.errors import AgentError, CertificateError
from agent.provision.folder import IdentityFolder
from agent.settings import Settings, SettingsFile, read
from agent.starts import Starts


@dataclass(frozen=True, slots=True)
class Boot:
    """What a life of the agent begins with."""

    file: SettingsFile
    beginning: Beginning
    book: ConfigFile
    starts: Starts
    identity: IdentityFolder
    lock: int | None
    """Keeps others off our folder, as long as it is open."""

    @property
    def settings(self) -> Settings:
        """The settings to start with, pushed ones included."""
        return self.beginning.settings


def boot(path: Path | None) -> Boot:
    """Read the settings file and what the lives before left. Blocks.

    Raises:
        AgentError: the settings are wrong, or another agent has the state folder.
    """
    file = read(path)
    folder = file.settings().kiosk.state_folder
    lock = _lock(folder)
    book, starts = ConfigFile(folder / "config.json"), Starts(folder / "starts.json")
    starts.begin()
    beginning = begin(book, partial(settings_with, file))
    identity = IdentityFolder(folder)
    with contextlib.suppress(OSError, CertificateError):  # as it is, it can be used all the same
        identity.settle()
    return Boot(
        file=file, beginning=beginning, book=book, starts=starts, identity=identity, lock=lock
    )


def _lock(folder: Path) -> int | None:
    """Keep a second agent off our database and socket; the lock ends with the process.

    Raises:
        AgentError: another agent has this folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None  # read-only or worse: the outbox says so
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        msg = f"another agent runs already on {folder}"
        raise AgentError(msg) from None
    return descriptor
