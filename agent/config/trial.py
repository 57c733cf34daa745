"""The course of a trial: recorded, applied, verified, and then confirmed or taken back.

Each step is recorded before its effect (:mod:`agent.config.book`), so that whenever the power
fails, the old settings or the new ones are in force afterwards, whole.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from agent.config.book import Beginning, ConfigFile, InForce, Page, Trial
from agent.errors import UnprovenError
from agent.settings import Settings
from contract import Clock
from contract.config import ConfigChanged
from contract.message import Publish

GO_BACK_S = 60.0
"""Where the old settings are not in force again by then, the agent restarts with them."""
_TEXT_LIMIT = 1024

Say = Callable[[str], Awaitable[None]]
"""Tells the operator what the trial waits for."""
Build = Callable[[Mapping[str, Any]], Settings]
"""Makes settings of what was pushed; blocks. Raises ``SettingsError``."""

_log = structlog.get_logger()


class Stage(Protocol):
    """What a trial asks of the agent."""

    def needs_restart(self, old: Settings, new: Settings) -> bool:
        """Whether these cannot be exchanged while the agent runs."""
        ...

    def cameras_wanted(self, new: Settings) -> tuple[str, ...]:
        """Names of the cameras that must be online for the new settings to be good."""
        ...

    async def apply(self, settings: Settings) -> None:
        """Put them in force, whatever is in force now; only what differs is restarted."""
        ...

    async def verify(self, cameras: Sequence[str], say: Say) -> None:
        """Return when the kiosk is well and the centre has heard so.

        Raises:
            UnprovenError: it is certain that this will not be.
        """
        ...

    async def announce(self) -> None:
        """Tell the centre what is in force, where there is a line."""
        ...

    def restart(self) -> None:
        """End this process in order and start it again."""
        ...


async def silent(_: str) -> None:
    """Tell nobody."""


class Trials:
    """Settings in force, and what becomes of those on trial. One trial at a time.

    Args:
        beginning: with what the agent started.
        file: where each step is recorded.
        build: makes settings of what was pushed.
        stage: the agent, as far as a trial needs it.
        clock: the time of trials.
        publish: takes ``config.changed`` events.
    """

    def __init__(
        self,
        *,
        beginning: Beginning,
        file: ConfigFile,
        build: Build,
        stage: Stage,
        clock: Clock,
        publish: Publish,
    ) -> None:
        self.page = beginning.page
        """What is recorded."""
        self.settings = beginning.settings
        """All settings in force, also while they are on trial."""
        self._file = file
        self._build = build
        self._stage = stage
        self._clock = clock
        self._publish = publish
        self._concluded = asyncio.Event()

    @property
    def in_force(self) -> InForce | Trial | None:
        """What was pushed of the settings in force."""
        trial = self.page.trial
        return trial if trial and trial.phase != "going_back" else self.page.in_force

    async def end_of(self, version: int) -> None:
        """Return when this version is not on trial."""
        while self.page.trial is not None and self.page.trial.version == version:
            self._concluded.clear()
            await self._concluded.wait()

    async def begin(
        self,
        version: int,
        pushed: Mapping[str, Any],
        new: Settings,
        *,
        signers: tuple[str, ...],
        say: Say,
    ) -> ConfigChanged:
        """Put settings on trial; returns how it ended.

        Where they need a restart of the agent this does not return: it is cancelled, and
        :meth:`resume` goes on in the next process.

        Raises:
            OSError: the trial could not be recorded, and did not begin.
        """
        old = self.settings
        restarts = self._stage.needs_restart(old, new)
        trial = Trial(
            version=version,
            settings=dict(pushed),
            since=self._clock.stamp().time,
            signers=signers,
            changed=_changed(old, new),
            cameras=self._stage.cameras_wanted(new),
            confirm_s=old.config.confirm_s,
            phase="restarting" if restarts else "applying",
        )
        before = self.page
        try:
            await self._save(before.with_trial(trial))
        except OSError:
            with contextlib.suppress(OSError):
                await self._save(before)
            raise
        _log.info("config_trial", version=version, changed=trial.changed, restart=restarts)
        if restarts:
            await _say_safely(say, "the agent restarts with the new settings")
            self._stage.restart()
            await asyncio.Event().wait()
        self.settings = new
        why = await self._prove(trial, say, new) or await self._confirm(trial)
        if why is not None:
            return await self._go_back(trial, old, why)
        return trial.outcome("confirmed")

    async def resume(self) -> None:
        """End the trial that asked for a restart, or that a fault of ours broke off."""
        trial = self.page.trial
        if trial is None:
            await self._tell()
        elif trial.phase == "trying":
            why = await self._prove(trial, silent) or await self._confirm(trial)
            if why is not None:
                await self.conclude(trial.outcome("rolled_back", why), self.page.in_force)
                self._stage.restart()
        else:
            pushed = self.page.in_force.settings if self.page.in_force else {}
            old = await asyncio.to_thread(self._build, pushed)
            await self._go_back(trial, old, trial.why or "a fault of the agent broke the trial off")

    async def conclude(self, outcome: ConfigChanged, in_force: InForce | None) -> None:
        """Record what became of a version, and tell it.

        Where it cannot be recorded now, the next start comes to the same end.
        """
        page = self.page.with_outcome(outcome, in_force)
        with contextlib.suppress(OSError):
            await self._save(page)
        self.page = page
        self._concluded.set()
        _log.info("config", version=outcome.version, outcome=outcome.outcome, text=outcome.text)
        await self._tell()

    # -- steps -----------------------------------------------------------------------------

    async def _prove(self, trial: Trial, say: Say, new: Settings | None = None) -> str | None:
        """Put settings in force (they are where ``new`` is None); return why they are not good."""
        waits_for = "the broker did not acknowledge the report of what is on trial"

        async def tell(text: str) -> None:
            nonlocal waits_for
            if text != waits_for:
                waits_for = text
                await _say_safely(say, text)

        async def work() -> None:
            await self._stage.announce()
            if new is not None:
                await tell("the new settings are put in force")
                await self._stage.apply(new)
            await self._stage.verify(trial.cameras, tell)

        try:
            await self._within(trial.confirm_s, work())
        except TimeoutError:
            return f"not confirmed within {trial.confirm_s:g} s: {waits_for}"
        except UnprovenError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever new settings bring about
            _log.exception("config_trial_failed", version=trial.version)
            return f"{type(error).__name__}: {error}"
        return None

    async def _confirm(self, trial: Trial) -> str | None:
        """Let them stay; return why that could not be."""
        confirmed = InForce(version=trial.version, settings=trial.settings, since=trial.since)
        outcome = trial.outcome("confirmed")
        try:
            await self._save(self.page.with_outcome(outcome, confirmed))
        except OSError as error:
            return f"they are good, and that cannot be recorded: {error}"
        self._concluded.set()
        _log.info("config", version=outcome.version, outcome=outcome.outcome)
        await self._tell()
        return None

    async def _go_back(self, trial: Trial, old: Settings, why: str) -> ConfigChanged:
        going = trial.model_copy(update={"phase": "going_back", "why": why[:_TEXT_LIMIT]})
        page = self.page.with_trial(going)
        with contextlib.suppress(OSError):  # whatever phase is recorded, a start would go back
            await self._save(page)
        self.page, self.settings = page, old
        stuck = False
        try:
            await self._within(GO_BACK_S, self._stage.apply(old))
        except Exception:  # noqa: BLE001 - another process will have the old settings
            _log.exception("config_stuck", version=trial.version)
            stuck = True
        outcome = trial.outcome("rolled_back", why)
        await self.conclude(outcome, self.page.in_force)
        if stuck:
            self._stage.restart()
        return outcome

    async def _tell(self) -> None:
        """Publish what is not told yet, and what is in force now."""
        while self.page.untold:
            try:
                await self._publish(self.page.untold[0], self._clock.stamp())
            except Exception:  # noqa: BLE001 - whatever storage may throw; told at the next chance
                _log.exception("config_not_told")
                break
            self.page = self.page.model_copy(update={"untold": self.page.untold[1:]})
            with contextlib.suppress(OSError):
                await self._save(self.page)
        await self._stage.announce()

    async def _save(self, page: Page) -> None:
        await asyncio.to_thread(self._file.save, page)
        self.page = page

    async def _within(self, seconds: float, work: Awaitable[None]) -> None:
        """Bound work on our clock. Raises ``TimeoutError``; the work has ended in any case."""
        working = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({working, limit}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise TimeoutError
            if working.cancelled():  # not by us: something that it waited for
                msg = "it was broken off"
                raise UnprovenError(msg)
            working.result()
        finally:
            limit.cancel()
            working.cancel()
            await asyncio.wait({working})


def _changed(old: Settings, new: Settings) -> tuple[str, ...]:
    """Tables that differ."""
    return tuple(name for name in Settings.model_fields if getattr(old, name) != getattr(new, name))


async def _say_safely(say: Say, text: str) -> None:
    try:
        await say(text)
    except Exception:  # noqa: BLE001 - the trial counts, not the word of it
        _log.exception("config_progress_not_told")
