"""Picks the release that is to run and becomes it: ``python -I -m agent.release.launch ARGS``.

It belongs to the packaged release, whose files nobody but root can write, and starts

1. the release on trial, while it has starts and time left;
2. the one that proved itself last, unless a later package was installed since;
3. the one before that;
4. the packaged release,

the first that is whole, and stayed up once in a while. Whatever goes wrong on the way, it goes on
to the next and never fails: the packaged release needs nothing that could be missing. A start of a
release in a slot is counted on disk before it begins. Only the owner of the releases runs them: for
root they are files that somebody else can write, or could put in their place.
"""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agent import VERSION
from agent.release.launched import Launched, launched
from agent.service_user import STATE_FOLDER, is_service_user

if TYPE_CHECKING:
    from agent.release.choice import Chosen

GUARD_GRACE_S = 30.0
"""So long after the end of a trial its release is killed; by then it should have gone by itself."""
_SETTINGS = Path("/etc/kiosk-agent/agent.toml")
_KEYS = Path("/etc/kiosk-agent/release-keys.json")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def main() -> None:
    """Become the agent."""
    arguments = sys.argv[1:]
    runs = arguments[:1] == ["run"]
    told = None
    with _GoOn():
        before = launched()
        _dismiss_guard(before)
        folder, keys = _find(arguments)
        if runs:
            argv = (sys.executable, *sys.orig_argv[1:])
            told = Launched(
                argv=argv,
                releases=str(folder),
                packaged=VERSION,
                given=before.given if before else dict(os.environ),
            )
        chosen = _choose(folder, keys, counting=runs)
        if chosen is not None:
            with_slot = told
            if told is not None:
                guard = _start_guard(folder, chosen) if chosen.left_s is not None else None
                with_slot = replace(told, slot=chosen.slot, guard=guard)
            _become(folder / chosen.slot / "bin" / "python", arguments, with_slot)
    packaged = Path(sys.executable)
    with _GoOn():
        _become(packaged, arguments, told)
    _become(packaged, arguments, None)


def _choose(folder: Path, keys: Path, *, counting: bool) -> "Chosen | None":
    """Return the release in a slot that is to run; ``None``: the packaged one."""
    if not _ours(folder / "state.json"):
        return None
    # This costs a third of a second, and many kiosks have no release but the packaged one.
    from agent.release.choice import Choice  # noqa: PLC0415
    from agent.release.slots import Releases  # noqa: PLC0415
    from agent.systemd import SlowStart  # noqa: PLC0415

    choice = Choice(
        Releases(folder),
        keys,
        packaged=VERSION,
        boot_id=_BOOT_ID.read_text(encoding="ascii").strip(),
        now_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        counting=counting,
        say=_say,
        went_on=SlowStart(time.monotonic).goes_on if counting else lambda: None,
    )
    return choice.make()


def _ours(state: Path) -> bool:
    """Whether nobody but us, or root, has a say in what is run.

    What root runs, nobody else may exchange: neither the file nor a folder on the way to it, by a
    link that leads to a file of root's either.
    """
    try:
        if os.geteuid() != 0:
            return state.stat().st_uid == os.geteuid()
        return all(map(_is_roots, (state, *state.absolute().parents)))
    except OSError:
        return False


def _is_roots(path: Path) -> bool:
    found = path.lstat()
    shared = bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    kept = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
    return found.st_uid == 0 and not stat.S_ISLNK(found.st_mode) and (kept or not shared)


def _start_guard(folder: Path, chosen: "Chosen") -> int:
    """Start what ends a release on trial when its time is over; returns its process id."""
    seconds = (chosen.left_s or 0.0) + GUARD_GRACE_S
    state = str(folder / "state.json")
    what = (str(os.getpid()), state, chosen.manifest, f"{seconds:.1f}")
    guard = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-I", "-m", "agent.release.guard", *what], stdin=subprocess.DEVNULL
    )
    guard.returncode = 0  # it outlives this image of the process: nobody is to wait for it here
    return guard.pid


def _become(python: Path, arguments: list[str], told: Launched | None) -> None:
    environment = os.environ if told is None else told.environment
    os.execve(python, [str(python), "-I", "-m", "agent.cli", *arguments], environment)  # noqa: S606


def _dismiss_guard(before: Launched | None) -> None:
    """End the guard that an earlier image of this process started; it is our child still."""
    if before is not None and before.guard is not None:
        with contextlib.suppress(OSError):
            if os.waitpid(before.guard, os.WNOHANG) == (0, 0):
                os.kill(before.guard, signal.SIGKILL)
                os.waitpid(before.guard, 0)


def _find(arguments: list[str]) -> tuple[Path, Path]:
    """Find releases and their keys as the agent does: environment, settings file, default."""
    settings = _read_settings(_settings_file(arguments))
    folder = _setting(settings, "kiosk", "state_folder") or _default_state_folder()
    keys = _setting(settings, "update", "keys") or _KEYS
    return Path(folder) / "releases", Path(keys)


def _settings_file(arguments: list[str]) -> Path:
    for index, argument in enumerate(arguments):
        if argument in {"--config", "-c"} and index + 1 < len(arguments):
            return Path(arguments[index + 1])
        if argument.startswith("--config="):
            return Path(argument.removeprefix("--config="))
    return _SETTINGS


def _read_settings(path: Path) -> dict[str, Any]:
    """Read a settings file; one that is missing or wrong says nothing."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _setting(settings: dict[str, Any], table: str, key: str) -> str | None:
    variable = f"KIOSK_AGENT_{table}__{key}".upper()
    if variable in os.environ:
        return os.environ[variable]
    inside = settings.get(table)
    value = inside.get(key) if isinstance(inside, dict) else None
    return value if isinstance(value, str) else None


def _default_state_folder() -> Path:
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder.split(":")[0])
    if is_service_user():  # a person who became it, and wants what the service runs
        return STATE_FOLDER
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "kiosk-agent"


def _say(text: str) -> None:
    """Tell the journal."""
    print(f"launcher: {text}", file=sys.stderr, flush=True)  # noqa: T201


class _GoOn(contextlib.suppress):
    """Go on after any error, and tell the journal of it."""

    def __init__(self) -> None:
        super().__init__(Exception)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, Exception):
            _say(f"{type(error).__name__}: {error}")
        return super().__exit__(kind, error, trace)


if __name__ == "__main__":
    main()
