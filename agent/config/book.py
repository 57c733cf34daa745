"""What is known of pushed settings, in one small file: written before each step's effect.

A push is a trial: in force until it is confirmed, or until it goes back. Whatever is found on
trial at a start goes back, because the agent or the machine died of it or with it; except once,
where a restart is how the settings are put on trial.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agent.errors import SettingsError
from agent.settings import Settings
from agent.state_file import StateFile
from contract import ContractError
from contract.config import ConfigChanged, settings_hash
from contract.wire import Name, Text, UtcTime, WireModel, parse_kept

MAX_BOOK_BYTES = 4 * 2**20
_REMEMBERED = 16
_TEXT_LIMIT = 1024

Phase = Literal["applying", "restarting", "trying", "going_back"]


class InForce(WireModel):
    """Settings that were confirmed."""

    version: int
    settings: dict[str, Any]
    since: UtcTime


class Trial(WireModel):
    """Settings that have to prove themselves."""

    version: int
    settings: dict[str, Any]
    since: UtcTime
    signers: tuple[Name, ...] = ()
    changed: tuple[Name, ...] = ()
    cameras: tuple[Name, ...] = Field(default=(), description="Must be online at its end.")
    confirm_s: float
    phase: Phase
    why: Text = Field(default="", description="In phase going_back.")

    def outcome(
        self, outcome: Literal["confirmed", "rolled_back"], text: str = ""
    ) -> ConfigChanged:
        """Return what is told of its end."""
        return ConfigChanged(
            version=self.version,
            hash=settings_hash(self.settings),
            outcome=outcome,
            text=text[:_TEXT_LIMIT],
            changed=self.changed,
            signers=self.signers,
        )


class Page(WireModel):
    """All that is known."""

    format: Literal[1] = 1
    in_force: InForce | None = None
    trial: Trial | None = None
    outcomes: tuple[ConfigChanged, ...] = ()
    untold: tuple[ConfigChanged, ...] = Field(default=(), description="Not yet published.")

    @property
    def highest(self) -> int:
        """The highest version that was ever tried."""
        return max((outcome.version for outcome in self.outcomes), default=0)

    @property
    def failed(self) -> ConfigChanged | None:
        """The last that went back or was refused."""
        failed = (one for one in reversed(self.outcomes) if one.outcome != "confirmed")
        return next(failed, None)

    def outcome(self, version: int) -> ConfigChanged | None:
        """What became of a version, as far as it is remembered."""
        return next((one for one in reversed(self.outcomes) if one.version == version), None)

    def with_trial(self, trial: Trial) -> "Page":
        """Return the page with settings on trial."""
        return self.model_copy(update={"trial": trial})

    def with_outcome(self, outcome: ConfigChanged, in_force: InForce | None) -> "Page":
        """Return the page after the end of a trial, or after a refusal."""
        return self.model_copy(
            update={
                "in_force": in_force,
                "trial": None,
                "outcomes": (*self.outcomes, outcome)[-_REMEMBERED:],
                "untold": (*self.untold, outcome)[-_REMEMBERED:],
            }
        )


class ConfigFile:
    """The file. Its methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = StateFile(path, limit=MAX_BOOK_BYTES)

    def load(self) -> tuple[Page, str | None]:
        """Return what it says and, where it cannot be read, why: then it is set aside."""
        try:
            content = self._file.load()
            page = Page() if content is None else parse_kept(Page, content)
        except (OSError, ContractError) as error:
            problem = f"{self._path} cannot be read, what was pushed is not in force: {error}"
        else:
            return page, None
        with contextlib.suppress(OSError):
            self._path.replace(self._path.with_name(f"{self._path.name}.broken"))
        return Page(), problem[:_TEXT_LIMIT]

    def save(self, page: Page) -> None:
        """Replace the file, durable when this returns. Raises ``OSError``."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file.save(page.model_dump_json().encode())


@dataclass(frozen=True, slots=True)
class Beginning:
    """With which settings the agent starts."""

    settings: Settings
    page: Page
    problem: str | None = None
    """What is wrong with the file, for the report."""


def begin(file: ConfigFile, build: Callable[[Mapping[str, Any]], Settings]) -> Beginning:
    """Settle at a start which settings are in force. Blocks.

    Args:
        file: what is known.
        build: makes settings of what was pushed; raises ``SettingsError``.

    Raises:
        SettingsError: even without anything pushed the settings are wrong.
    """
    own = build({})
    page, problem = file.load()
    if page.trial is not None:
        page = _settle_trial(file, page, page.trial)
    trial, in_force = page.trial, page.in_force
    if trial is not None:
        try:
            return Beginning(build(trial.settings), page, problem)
        except SettingsError as error:
            page = _conclude(file, page, trial.outcome("rolled_back", str(error)))
    if in_force is not None:
        try:
            return Beginning(build(in_force.settings), page, problem)
        except SettingsError as error:
            text = f"it does not fit the settings file on this kiosk any more: {error}"
            gone = ConfigChanged(
                version=in_force.version,
                hash=settings_hash(in_force.settings),
                outcome="rolled_back",
                text=text[:_TEXT_LIMIT],
            )
            page = _conclude(file, page.model_copy(update={"in_force": None}), gone)
    return Beginning(own, page, problem)


def _settle_trial(file: ConfigFile, page: Page, trial: Trial) -> Page:
    """Let a trial go back; or go on, where it asked for this restart and that can be recorded."""
    if trial.phase != "restarting":
        why = trial.why or "the agent stopped while they were on trial"
        return _conclude(file, page, trial.outcome("rolled_back", why))
    trying = page.with_trial(trial.model_copy(update={"phase": "trying"}))
    try:
        file.save(trying)
    except OSError as error:
        why = f"their trial could not be recorded: {error}"
        return _conclude(file, page, trial.outcome("rolled_back", why))
    return trying


def _conclude(file: ConfigFile, page: Page, outcome: ConfigChanged) -> Page:
    """Record what went back; where that fails, the next start comes to the same end."""
    page = page.with_outcome(outcome, page.in_force)
    with contextlib.suppress(OSError):
        file.save(page)
    return page
