"""Updates that end by SIGKILL at any touch of the disk: ``python -m ... OFTEN``.

A life starts as the launcher does, and then does what is next: installs 1.1.0 over the packaged
1.0.0, lets it prove itself or fail, and goes on to 1.2.0. A step is the moment before any file is
opened, renamed, removed or linked, and after any was synced: Python's audit hook tells. At its
``kill_at``-th step a life kills itself.

In each life a whole release has to run, which is neither older than what was confirmed nor one
that was not yet unpacked; and a life that is left alone comes to the end.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from agent.release.install import Installation
from tests.support.releases import release_key
from tests.support.slots import Box

MEMORY = Path("/dev/shm")  # noqa: S108 - fsync there costs nothing
EVENTS = frozenset(
    {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.scandir"}
)
LIVES = 12
KEY = release_key()
GOOD, BAD = "1.1.0", "1.2.0"


class Mortal:
    """Counts touches of one folder, and ends the process at one of them."""

    def __init__(self, folder: Path, kill_at: int | None) -> None:
        self._folder = str(folder)
        self._kill_at = kill_at
        self._steps = 0
        sys.addaudithook(self._look)

    def _look(self, event: str, details: tuple) -> None:
        if event in EVENTS and self._folder in str(details[0]):
            self.step()

    def step(self) -> None:
        self._steps += 1
        if self._steps == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def live(box: Box, files: dict[str, Path]) -> str:
    """Do what is next; returns the version that this life ran."""
    version = box.start()
    state = box.state
    if state.trial is not None and version == state.trial.slot.version:
        if version == GOOD:
            box.releases.save(state.confirmed())
        elif state.trial.starts == 1:  # the bad one notices; later on, its starts are counted
            box.releases.save(state.rolled_back("it is bad"))
        return version
    ends = {one.version: one.outcome for one in state.outcomes}
    wanted = GOOD if GOOD not in ends else BAD
    if wanted not in ends:
        order = box.order(files[wanted], wanted)
        manifest = Installation(order).run()
        box.releases.save(box.state.with_trial(box.trial(order, manifest)))
    return version


def live_once(folder: Path, files: dict[str, Path], boot: int, kill_at: int | None) -> int:
    """Fork a life; returns its exit status, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        box = Box(folder, KEY)
        box.boot_id = f"boot-{boot}"
        Mortal(box.releases.folder, kill_at)
        version = live(box, files)
        with (folder / "ran").open("a") as ran:
            ran.write(f"{version}\n")
        status = 0
    finally:
        os._exit(status)


def ended(folder: Path) -> dict[str, str]:
    """What became of each release that is not on trial any more."""
    return {one.version: one.outcome for one in Box(folder, KEY).state.outcomes}


def judge(folder: Path) -> str | None:
    """What broke the promise, or ``None``."""
    box = Box(folder, KEY)
    box.boot_id = "boot-last"
    ends = ended(folder)
    if ends != {GOOD: "confirmed", BAD: "rolled_back"}:
        return f"ended with {ends}"
    if box.start() != GOOD:
        return f"in the end {box.start()} runs"
    ran = (folder / "ran").read_text().split()
    if GOOD in ran and "1.0.0" in ran[ran.index(GOOD) :]:
        return f"it fell behind what was confirmed: {ran}"
    return None


def try_out(
    files: dict[str, Path], life: int, kill_at: int, *, often: bool
) -> tuple[bool, str | None]:
    """One story, with a death in its ``life``-th life, or in that one and the next.

    Returns whether anybody died in it, and what broke the promise.
    """
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    died = False
    try:
        for number in range(LIVES):
            # Three starts of the good one that end by themselves would be enough to take it back.
            deadly = number == life or (often and number == life + 1)
            status = live_once(folder, files, number, kill_at if deadly else None)
            died = died or status == -signal.SIGKILL
            if status not in {0, -signal.SIGKILL}:
                return died, f"life {number} ended with {status}"
            if status == 0 and number > life + 1 and {GOOD, BAD} <= ended(folder).keys():
                break
        return died, judge(folder)
    finally:
        shutil.rmtree(folder)


def main(*, often: bool) -> None:
    deaths, faults = 0, []
    with tempfile.TemporaryDirectory() as work:
        shop = Box(Path(work, "shop"), KEY)
        files = {version: shop.build(version) for version in (GOOD, BAD)}
        for life in range(5):
            kill_at, died = 1, True
            while died:
                died, fault = try_out(files, life, kill_at, often=often)
                deaths += died
                if fault:
                    faults.append(f"life {life} killed at step {kill_at}: {fault}")
                kill_at += 1
    print(json.dumps({"deaths": deaths, "faults": faults[:20]}))


if __name__ == "__main__":
    main(often=json.loads(sys.argv[1]))
