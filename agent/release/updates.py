"""The agent's side of updates: has a release prepared, switches to it, and lets it prove itself.

The launcher (:mod:`agent.release.launch`) started this process, and counts the starts of a
release on trial. What it cannot know is whether the kiosk is well and the centre hears it: that
is looked at here.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, get_args

import structlog

from agent import VERSION
from agent.release.launched import Launched
from agent.release.order import InstallOrder, InstallReport
from agent.release.settings import UpdateSettings
from agent.release.slots import Outcome, Releases, Slot, SlotName, State, Trial
from commands.action import Progress
from commands.errors import ActionError
from contract import Clock, ContractError
from contract.actions import UpdateInstall
from contract.message import Publish
from contract.state import UpdateChanged
from contract.wire import parse
from telemetry.transport import LinkError
from vision.process import Child, ChildProcess, start
from vision.report import MAX_LINE_BYTES

LOOK_S = 1.0
STAYED_UP_S = 600.0
"""A process that lived for so long can be reached and mended: its start did not fail. No setting,
because one that is longer than a kiosk's day would cost it a good release."""
_log = structlog.get_logger()


class Wellness(Protocol):
    """The agent, as far as a trial looks at it."""

    def problem(self, cameras: tuple[str, ...]) -> str | None:
        """What is not well, in a sentence."""
        ...

    def cameras_online(self) -> tuple[str, ...]:
        """Names of the cameras that give pictures now."""
        ...

    async def prove(self) -> None:
        """Return when the broker has acknowledged a birth message; raises ``LinkError``."""
        ...


StartInstall = Callable[[InstallOrder], Awaitable[Child]]


async def start_install(order: InstallOrder) -> Child:
    """Start the process that installs. Raises ``OSError``."""
    return await start(ChildProcess, "agent.release.install", order)


def forgive_start(told: Launched | None) -> None:
    """Do not count a start that came to nothing by no fault of the release. Blocks, never fails."""
    if told is None:
        return
    releases = Releases(told.folder)
    state, _ = releases.load_or_forget()
    if (after := state.forgiven(told.slot)) != state:
        with contextlib.suppress(OSError):
            releases.save(after)


class Updates:
    """Implements :class:`commands.actions.update.Updates`.

    Args:
        launched: what the launcher said; ``None``: it did not start this process.
        settings: those of updates.
        folder: where releases lie that are given as a file, unless the settings say.
        floor_bytes: free space on the disk that is left to others.
        clock: the time of trials.
        publish: takes ``update.changed`` events.
        wellness: the agent, as far as a trial looks at it.
        restart: ends this process in order, so that the launcher runs again.
        start_install: starts the process that installs.
    """

    def __init__(
        self,
        *,
        launched: Launched | None,
        settings: UpdateSettings,
        folder: Path,
        floor_bytes: int,
        clock: Clock,
        publish: Publish,
        wellness: Wellness,
        restart: Callable[[], None],
        start_install: StartInstall = start_install,
    ) -> None:
        self._launched = launched
        self._settings = settings
        self._folder = settings.folder or folder
        self._floor_bytes = floor_bytes
        self._clock = clock
        self._publish = publish
        self._wellness = wellness
        self._restart = restart
        self._start_install = start_install
        self._releases = Releases(launched.folder) if launched else None
        self._state = State()
        self._prepared: Slot | None = None
        self._slots = asyncio.Lock()
        """Held by whoever changes them: nothing is tidied away while it is unpacked."""
        self._saving = threading.Lock()
        self._concluded = asyncio.Event()

    def missing(self) -> str | None:
        """Why this kiosk cannot change its release, in a sentence."""
        if self._launched is None:
            return "the agent was not started by its launcher (bin/kiosk-agent of the package)"
        return None

    async def start(self) -> None:
        """Read what is known; before anything else here."""
        if self._releases is not None:
            self._state, problem = await asyncio.to_thread(self._releases.load_or_forget)
            if problem is not None:
                _log.error("release_state", problem=problem)

    async def run(self) -> None:
        """Let the release that runs prove itself where it is on trial; tell what became of any."""
        if self._releases is not None:
            await self._settle(self._releases)
        await asyncio.Event().wait()

    async def stay_up(self) -> None:
        """Begin the count of starts anew, as this release stayed up; again until cancelled."""
        while True:  # the disk may have been full
            await self._clock.sleep(STAYED_UP_S)
            with contextlib.suppress(OSError):
                await self._save(lambda state: state.stayed_up(self._slot))

    async def forgive(self) -> None:
        """Do not count this start of a confirmed release: its process ends as it was told to."""
        with contextlib.suppress(OSError):
            await self._save(lambda state: state.forgiven(self._slot))

    # -- what the command asks for ---------------------------------------------------------

    async def prepare(self, arguments: UpdateInstall, say: Progress) -> None:
        """Fetch, verify and unpack a release; cancelled, it leaves what runs as it is.

        Raises:
            ActionError: it cannot be had, or may not be installed.
        """
        if self._launched is None or self._state.trial is not None:
            msg = self.missing() or "a release is on trial: wait for its end"
            raise ActionError(msg)
        async with self._slots:
            self._prepared = None
            self._prepared = await self._prepare(self._launched, arguments, say)

    async def _prepare(self, launched: Launched, arguments: UpdateInstall, say: Progress) -> Slot:
        slot = self._state.free_slot(launched.slot)
        child = await self._begin(self._order(arguments, slot))
        manifest = None
        try:
            while (line := await child.read()) is not None:
                report = parse(InstallReport, line, limit=MAX_LINE_BYTES)
                if report.error is not None:
                    raise ActionError(report.error)
                manifest = report.manifest
                if report.text:
                    await say(report.text, report.percent)
        except ContractError as error:
            msg = f"the process that installs said something else: {error}"
            raise ActionError(msg) from None
        finally:
            await child.close(kill=True)
        if manifest is None:
            msg = f"the process that installs ended before its time: {child.last_words}"
            raise ActionError(msg)
        return Slot(
            name=slot,
            version=arguments.version,
            manifest=manifest,
            packaged=launched.packaged,
        )

    async def switch(self, *, command: str, signers: tuple[str, ...]) -> None:
        """Put the release that was prepared on trial, and end this process in order.

        Raises:
            ActionError: that could not be recorded.
        """
        assert self._prepared is not None  # noqa: S101 - prepare comes first
        trial = Trial(
            slot=self._prepared,
            before=VERSION,
            command=command,
            signers=signers,
            cameras=self._wellness.cameras_online(),
            confirm_s=self._settings.confirm_s,
            deadline_s=self._settings.deadline_s,
            max_starts=self._settings.max_starts,
        )
        try:
            await self._save(lambda state: state.with_trial(trial))
        except OSError as error:
            msg = f"the trial could not be recorded: {error}"
            raise ActionError(msg) from None
        _log.info("update_trial", version=trial.slot.version, slot=trial.slot.name)
        began = UpdateChanged(
            version=trial.slot.version,
            before=VERSION,
            outcome="trial",
            command_id=command,
            signers=signers,
        )
        try:
            await self._publish(began, self._clock.stamp())
        except Exception:  # noqa: BLE001 - the trial counts, not the word of it
            _log.exception("update_not_told")
        self._restart()

    async def outcome(self, command: str) -> Outcome | None:
        """Wait for the end of the trial that a command ordered; None where it never began."""
        while (trial := self._state.trial) is not None and trial.command == command:
            self._concluded.clear()
            await self._concluded.wait()
        return self._state.outcome(command)

    # -- the trial -------------------------------------------------------------------------

    async def _settle(self, releases: Releases) -> None:
        trial = self._state.trial
        if trial is not None and self._runs(trial.slot.name):
            if why := await self._prove(trial):
                await self._take_back(why)
                self._restart()  # whoever comes next ends the command, and tells
                return
        elif trial is not None:  # the launcher took it back, and could not record why
            await self._take_back("it could not be started")
            self._concluded.set()
        self._dismiss_guard()
        await self._tell()
        async with self._slots:
            await asyncio.to_thread(self._tidy, releases)

    async def _prove(self, trial: Trial) -> str | None:
        """Return when the release was well for long enough and is confirmed, or why it goes back.

        Its time runs from its first start in this boot.
        """
        left_s = self._time_left(trial)
        end = self._clock.monotonic() + left_s
        well_since: float | None = None
        why = "it did not come up"
        while (now := self._clock.monotonic()) < end:
            problem = self._wellness.problem(trial.cameras)
            if problem is not None:
                why, well_since = problem, None
            elif well_since is None:
                why = "the broker did not acknowledge its birth message"
                if await self._acknowledged(end - now):
                    well_since = self._clock.monotonic()
                    why = "its time was over before it was well for long enough"
            elif now - well_since >= trial.confirm_s:
                if await self._acknowledged(end - now):
                    refusal = await self._confirm()
                    if refusal is None:
                        return None
                    why = refusal
                well_since = None
            await self._clock.sleep(min(LOOK_S, max(0.0, end - self._clock.monotonic())))
        return f"it did not prove itself within {trial.deadline_s:g} s: {why}"

    async def _acknowledged(self, left_s: float) -> bool:
        """Whether the broker takes our birth message, within the time that is left."""
        proving = asyncio.ensure_future(self._wellness.prove())
        limit = asyncio.ensure_future(self._clock.sleep(left_s))
        try:
            await asyncio.wait({proving, limit}, return_when=asyncio.FIRST_COMPLETED)
            return proving.done() and not proving.cancelled() and proving.exception() is None
        finally:
            limit.cancel()
            proving.cancel()
            with contextlib.suppress(LinkError, asyncio.CancelledError):
                await proving

    async def _confirm(self) -> str | None:
        """Let it stay; return why that could not be."""
        try:
            await self._save(State.confirmed)
        except OSError as error:
            return f"it is well, and that cannot be recorded: {error}"
        _log.info("update_confirmed", version=VERSION)
        self._concluded.set()
        return None

    async def _take_back(self, why: str) -> None:
        """Record it; where that cannot be, the launcher comes to the same end."""
        _log.warning("update_rolled_back", why=why)
        with contextlib.suppress(OSError):
            await self._save(lambda state: state.rolled_back(why))
        self._state = self._state.rolled_back(why)

    async def _tell(self) -> None:
        """Publish outcomes that are not told yet."""
        untold = self._state.untold
        for outcome in untold:
            event = UpdateChanged(
                version=outcome.version,
                before=outcome.before,
                outcome=outcome.outcome,
                text=outcome.why,
                command_id=outcome.command,
                signers=outcome.signers,
            )
            await self._publish(event, self._clock.stamp())
        if untold:
            with contextlib.suppress(OSError):  # then it is told once more
                await self._save(State.told)

    def _time_left(self, trial: Trial) -> float:
        stamp = self._clock.stamp()
        if trial.since_s is None or trial.boot_id != stamp.boot_id:
            return trial.deadline_s
        return max(0.0, trial.since_s + trial.deadline_s - stamp.monotonic_ms / 1000)

    def _dismiss_guard(self) -> None:
        """End what would end us: the trial is over."""
        if self._launched is None or self._launched.guard is None:
            return
        with contextlib.suppress(OSError):
            if os.waitpid(self._launched.guard, os.WNOHANG) == (0, 0):
                os.kill(self._launched.guard, signal.SIGKILL)
                os.waitpid(self._launched.guard, 0)

    # -- files -----------------------------------------------------------------------------

    def _order(self, arguments: UpdateInstall, slot: SlotName) -> InstallOrder:
        settings = self._settings
        assert self._launched is not None  # noqa: S101 - asked before
        return InstallOrder(
            url=arguments.url,
            file=str(self._folder / arguments.file) if arguments.file else None,
            sha256=arguments.sha256,
            version=arguments.version,
            allow_older=arguments.allow_older,
            running=VERSION,
            releases=self._launched.releases,
            slot=slot,
            keys=str(settings.keys),
            roots=str(settings.roots) if settings.roots else None,
            max_bytes=settings.max_mib * 2**20,
            floor_bytes=self._floor_bytes,
        )

    async def _begin(self, order: InstallOrder) -> Child:
        try:
            return await self._start_install(order)
        except OSError as error:
            msg = f"the process that installs cannot be started: {error}"
            raise ActionError(msg) from None

    async def _save(self, change: Callable[[State], State]) -> None:
        """Record a change, also where this is cancelled meanwhile. Raises ``OSError``."""
        await asyncio.to_thread(self._change, change)

    def _change(self, change: Callable[[State], State]) -> None:
        # One after the other: a count must not write over a trial.
        with self._saving:
            state = change(self._state)
            if state == self._state:
                return
            if self._releases is not None:
                try:
                    self._releases.save(state)
                except OSError:  # it may have come as far as the disk all the same
                    with contextlib.suppress(OSError):
                        self._releases.save(self._state)
                    raise
            self._state = state

    @property
    def _slot(self) -> str | None:
        return self._launched.slot if self._launched is not None else None

    def _runs(self, name: SlotName) -> bool:
        return self._slot == name

    def _tidy(self, releases: Releases) -> None:
        """Remove what nobody needs: slots of releases that went back, halves of unpacked ones."""
        needed = self._state.in_use | ({self._prepared.name} if self._prepared else set())
        for name in get_args(SlotName):
            shutil.rmtree(releases.folder / f"{name}.new", ignore_errors=True)
            if name not in needed and not self._runs(name):
                shutil.rmtree(releases.slot(name), ignore_errors=True)
