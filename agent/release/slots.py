"""What is known of the releases beside the packaged one, in one small file, and their folders.

    releases/state.json     which release runs, which is on trial, and what became of others
    releases/a, releases/b  two slots; the one that does not run takes the next release
    releases/incoming       what is being fetched

The launcher of an older package and the agent of a later release read and write the same file.
So its fields may be added to, each with a default, and what is unknown is passed over; a field
never changes its meaning.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.state_file import StateFile
from contract.actions import Sha256
from contract.errors import ContractError
from contract.version import Version
from contract.wire import parse_kept

MAX_STATE_BYTES = 64 * 1024
SIGNED = "manifest.jws"
"""A slot's signed manifest."""
_REMEMBERED = 8
_TEXT_LIMIT = 1000

SlotName = Literal["a", "b"]
End = Literal["confirmed", "rolled_back", "lost"]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Slot(_Kept):
    """A release in a slot."""

    name: SlotName
    version: Version
    manifest: Sha256 = Field(description="Of the signed manifest, as it was installed.")
    packaged: Version = Field(description="The packaged release beside which it was installed.")
    starts: int | None = Field(
        default=None,
        description="Since it stayed up last. None: they are not counted, for it has not said yet "
        "that it begins them anew; releases of old never do.",
    )


class Trial(_Kept):
    """A release that has to prove itself."""

    slot: Slot
    before: Version
    command: str | None = None
    signers: tuple[str, ...] = ()
    cameras: tuple[str, ...] = Field(default=(), description="Must be online at its end.")
    confirm_s: float = Field(description="It must be well for so long.")
    deadline_s: float = Field(description="Confirmed within so long of one boot, or it goes back.")
    max_starts: int
    starts: int = 0
    boot_id: str | None = Field(default=None, description="Of the boot that `since_s` counts in.")
    since_s: float | None = Field(
        default=None, description="Its first start in that boot, on the clock since boot."
    )


class Outcome(_Kept):
    """What became of a release."""

    version: Version
    before: Version
    outcome: End
    why: str = ""
    command: str | None = None
    signers: tuple[str, ...] = ()
    told: bool = False


class State(_Kept):
    """All that is known."""

    format: Literal[1] = 1
    current: Slot | None = Field(default=None, description="None: the packaged release.")
    previous: Slot | None = Field(default=None, description="In place of one that is broken.")
    trial: Trial | None = None
    outcomes: tuple[Outcome, ...] = ()
    checked: dict[SlotName, str] = Field(
        default={}, description="The boot in which all of a slot's hashes were found good."
    )

    def free_slot(self, running: str | None = None) -> SlotName:
        """Return the slot that the next release may be unpacked into.

        Args:
            running: the slot that runs, whatever is written here: somebody may have removed it.
        """
        used = running or (self.current.name if self.current is not None else None)
        return "b" if used == "a" else "a"

    def with_trial(self, trial: Trial) -> "State":
        """Return the state with a release on trial, in a slot whose old content is gone."""
        name = trial.slot.name
        previous = self.previous if self.previous and self.previous.name != name else None
        checked = {slot: boot for slot, boot in self.checked.items() if slot != name}
        return self._with(trial=trial, previous=previous, checked=checked)

    def started(self, *, boot_id: str, now_s: float) -> "State":
        """Return the state with one more start of the release on trial."""
        if (trial := self.trial) is None:
            return self
        update: dict[str, object] = {"starts": trial.starts + 1}
        if trial.boot_id != boot_id or trial.since_s is None:
            update |= {"boot_id": boot_id, "since_s": now_s}
        return self._with(trial=trial.model_copy(update=update))

    def started_again(self) -> "State":
        """Return the state with one more start of the release in use, where they are counted."""
        if (slot := self.current) is None or slot.starts is None:
            return self
        return self._with_starts(slot, slot.starts + 1)

    def forgiven(self, running: str | None) -> "State":
        """Return the state without this start of the slot that runs: it ends in order."""
        slot = self.current
        if slot is None or slot.name != running or not slot.starts:
            return self
        return self._with_starts(slot, slot.starts - 1)

    def stayed_up(self, running: str | None) -> "State":
        """Return the state after the slot that runs ran for long enough: its count begins anew."""
        slot = self.current
        if slot is None or slot.name != running or slot.starts == 0:
            return self
        return self._with_starts(slot, 0)

    def found_good(self, name: SlotName, boot_id: str) -> "State":
        """Return the state after all hashes of a slot were checked."""
        return self._with(checked={**self.checked, name: boot_id})

    def confirmed(self) -> "State":
        """Return the state after the release on trial proved itself."""
        if (trial := self.trial) is None:
            return self
        slot = trial.slot.model_copy(update={"starts": 0})
        in_use = {"current": slot, "previous": self.current}
        return self._concluded(trial, "confirmed", "").model_copy(update=in_use)

    def rolled_back(self, why: str) -> "State":
        """Return the state after the release on trial failed."""
        return self if self.trial is None else self._concluded(self.trial, "rolled_back", why)

    def lost(self, packaged: str, why: str) -> "State":
        """Return the state without the release in use; the one before it takes its place."""
        if (slot := self.current) is None:
            return self
        after = self.previous.version if self.previous else packaged
        end = Outcome(version=slot.version, before=after, outcome="lost", why=why[:_TEXT_LIMIT])
        return self._with(
            current=self.previous, previous=None, outcomes=_remembered(self.outcomes, end)
        )

    def outcome(self, command: str) -> Outcome | None:
        """Return what became of the release that a command ordered, as far as it is remembered."""
        return next((one for one in reversed(self.outcomes) if one.command == command), None)

    def told(self) -> "State":
        """Return the state after every outcome was published."""
        told = tuple(one.model_copy(update={"told": True}) for one in self.outcomes)
        return self._with(outcomes=told)

    @property
    def untold(self) -> tuple[Outcome, ...]:
        """Outcomes that are not published yet."""
        return tuple(one for one in self.outcomes if not one.told)

    @property
    def in_use(self) -> frozenset[SlotName]:
        """Slots whose content is still needed."""
        slots = (self.current, self.previous, self.trial.slot if self.trial else None)
        return frozenset(slot.name for slot in slots if slot is not None)

    def _concluded(self, trial: Trial, end: End, why: str) -> "State":
        outcome = Outcome(
            version=trial.slot.version,
            before=trial.before,
            outcome=end,
            why=why[:_TEXT_LIMIT],
            command=trial.command,
            signers=trial.signers,
        )
        return self._with(trial=None, outcomes=_remembered(self.outcomes, outcome))

    def _with_starts(self, slot: Slot, starts: int) -> "State":
        return self._with(current=slot.model_copy(update={"starts": starts}))

    def _with(self, **update: object) -> "State":
        return self.model_copy(update=update)


def _remembered(outcomes: tuple[Outcome, ...], newest: Outcome) -> tuple[Outcome, ...]:
    return (*outcomes, newest)[-_REMEMBERED:]


class Releases:
    """The folder with state and slots. Its methods block.

    Args:
        folder: made where it is missing, as soon as something is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "state.json"
        self._file = StateFile(self._path, limit=MAX_STATE_BYTES)

    @property
    def incoming(self) -> Path:
        """Where a release is fetched to."""
        return self.folder / "incoming"

    def slot(self, name: SlotName) -> Path:
        """Return the folder of a slot."""
        return self.folder / name

    def load(self) -> State:
        """Return what is known; the packaged release alone where nothing is.

        Raises:
            OSError: the file cannot be read.
            MalformedError: it does not hold a state.
        """
        content = self._file.load()
        if content is None:
            return State()
        return parse_kept(State, content)

    def load_or_forget(self) -> tuple[State, str | None]:
        """Return what is known and, where that cannot be read, why: then nothing is."""
        try:
            return self.load(), None
        except (OSError, ContractError) as error:
            return State(), f"{self._path} cannot be read: {error}"

    def save(self, state: State) -> None:
        """Replace the file, durable when this returns. Raises ``OSError``."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file.save(state.model_dump_json(exclude_none=True).encode())
