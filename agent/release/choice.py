"""Which release is to run: the launcher's decision, and what it records of it before it acts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ReleaseError
from agent.release.check import check_slot, read_release_keys
from agent.release.slots import Releases, Slot, SlotName, State, Trial
from contract.version import age

MAX_STARTS = 10
"""So often a confirmed release may be started without staying up; then it is as good as damaged."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A release that is whole and may run."""

    slot: SlotName
    manifest: str
    left_s: float | None = None
    """On trial: the time that it has left."""


class Choice:
    """Made anew at each start. Its methods block.

    Args:
        releases: state and slots.
        keys: the file of pinned release keys.
        packaged: version of the packaged release.
        boot_id: of this boot.
        now_s: seconds since boot, suspended or not.
        counting: whether this is a start of the daemon, which counts and is recorded.
        say: tells the journal.
        went_on: called often while files are hashed, which may take minutes.
    """

    def __init__(
        self,
        releases: Releases,
        keys: Path,
        *,
        packaged: str,
        boot_id: str,
        now_s: float,
        counting: bool,
        say: Callable[[str], None],
        went_on: Callable[[], None],
    ) -> None:
        self._releases = releases
        self._keys = keys
        self._packaged = packaged
        self._boot_id = boot_id
        self._now_s = now_s
        self._counting = counting
        self._say = say
        self._went_on = went_on
        self._state, problem = releases.load_or_forget()
        if problem is not None:
            say(problem)

    def make(self) -> Chosen | None:
        """Return the release to run; ``None``: the packaged one."""
        trial = self._state.trial
        if trial is not None and (self._counting or trial.starts):
            chosen, why = self._try(trial)
            if chosen is not None:
                return chosen
            self._say(f"version {trial.slot.version} goes back: {why}")
            self._save(self._state.rolled_back(why))
        while (slot := self._state.current) is not None:
            unfit = self._worn_out(slot) or self._unfit(slot)
            if unfit is None:
                return Chosen(slot.name, slot.manifest)
            self._say(f"version {slot.version} is not used any more: {unfit}")
            self._save(self._state.lost(self._packaged, unfit))
        return None

    def _try(self, trial: Trial) -> tuple[Chosen | None, str]:
        """Return the release on trial, its start recorded; or why it has to go back."""
        same_boot = trial.boot_id == self._boot_id and trial.since_s is not None
        since_s = trial.since_s if same_boot and trial.since_s is not None else self._now_s
        left_s = since_s + trial.deadline_s - self._now_s
        chosen = Chosen(trial.slot.name, trial.slot.manifest, left_s)
        if left_s <= 0:
            return None, f"it did not prove itself within {trial.deadline_s:g} s"
        if self._counting and trial.starts >= trial.max_starts:
            return None, f"it was started {trial.starts} times and did not prove itself"
        # Before all is read: a disk that hangs then has cost a start as well.
        if self._counting and not self._save(
            self._state.started(boot_id=self._boot_id, now_s=self._now_s)
        ):
            return None, "its start cannot be recorded"
        if (unfit := self._unfit(trial.slot)) is not None:
            return None, unfit
        return chosen, ""

    def _worn_out(self, slot: Slot) -> str | None:
        """Why a confirmed release had its last start; else this start is recorded."""
        if not self._counting or slot.starts is None:
            return None
        if slot.starts >= MAX_STARTS:
            return f"it was started {slot.starts} times and never stayed up"
        # Before all is read, as for a trial. But it proved itself once: a full disk is no reason
        # not to run it.
        self._save(self._state.started_again())
        return None

    def _unfit(self, slot: Slot) -> str | None:
        """Why a release is not to run."""
        if slot.packaged != self._packaged and age(self._packaged) > age(slot.version):
            return f"a package with version {self._packaged} was installed since"
        return self._damage(slot)

    def _damage(self, slot: Slot) -> str | None:
        """Why a slot is not fit to run; all its hashes are checked once a boot."""
        whole = self._state.checked.get(slot.name) != self._boot_id
        try:
            keys = read_release_keys(self._keys)
            folder = self._releases.slot(slot.name)
            check_slot(folder, slot, keys, whole=whole, went_on=self._went_on)
        except ReleaseError as error:
            return str(error)
        if whole:
            self._save(self._state.found_good(slot.name, self._boot_id))
        return None

    def _save(self, state: State) -> bool:
        """Go on from this state; returns whether it is on disk."""
        self._state = state
        if not self._counting:
            return True
        try:
            self._releases.save(state)
        except OSError as error:
            self._say(f"the state of releases cannot be written: {error}")
            return False
        return True
