"""Pushed settings, from a command or from ``down/config``: what is tried, and what is refused.

A version counts once. What is known already is answered and not tried again, so that a retained
document may come at every connect.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from agent.config.book import Beginning, ConfigFile
from agent.config.trial import Build, Say, Stage, Trials, silent
from agent.errors import SettingsError
from agent.settings import Settings
from commands.errors import RefusedError
from commands.rate import TokenBucket
from contract import Clock, ContractError
from contract.config import ConfigChanged, ConfigReport, SignedConfig, settings_hash
from contract.message import Publish

REFUSALS_PER_HOUR = 12
"""Documents that nobody trusted signed and that are told of; more are only in the journal."""
LARGEST_STEP = 2**41
"""From one version to the next: milliseconds since 1970 are versions, but nobody takes the last
number there is, after which no version could follow."""
_MAX_WAITING = 8
_TEXT_LIMIT = 1024

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Push:
    version: int
    settings: Mapping[str, Any]
    signers: tuple[str, ...]
    say: Say = silent
    ended: asyncio.Future[ConfigChanged] | None = None


class ConfigKeeper:
    """Knows what is in force, and lets nothing else come in force without a trial.

    Args:
        kiosk: this kiosk's id.
        beginning: with what the agent started.
        file: where each step of a trial is recorded.
        build: makes settings of what was pushed (in a thread); raises ``SettingsError``.
        stage: the agent, as far as a trial needs it.
        read: verifies a document from ``down/config`` and its signers' rights; raises
            ``ContractError`` and ``RefusedError``.
        clock: the time of trials.
        publish: takes ``config.changed`` events.
    """

    def __init__(
        self,
        *,
        kiosk: str,
        beginning: Beginning,
        file: ConfigFile,
        build: Build,
        stage: Stage,
        read: Callable[[bytes], Awaitable[SignedConfig]],
        clock: Clock,
        publish: Publish,
    ) -> None:
        self._kiosk = kiosk
        self._problem = beginning.problem
        self._build = build
        self._read = read
        self._clock = clock
        self._publish = publish
        self._trials = Trials(
            beginning=beginning, file=file, build=build, stage=stage, clock=clock, publish=publish
        )
        self._ordered: deque[_Push] = deque()
        self._desired: _Push | None = None
        self._wake = asyncio.Event()
        self._refusals = TokenBucket(REFUSALS_PER_HOUR, 3600, clock)
        self._turned_away: object = None

    @property
    def settings(self) -> Settings:
        """All settings in force, also while they are on trial."""
        return self._trials.settings

    @property
    def version(self) -> int:
        """The pushed version in force; 0: none."""
        now = self._trials.in_force
        return now.version if now else 0

    def report(self) -> ConfigReport:
        """Return what is said on ``up/config``."""
        now, page = self._trials.in_force, self._trials.page
        last_error = self._problem or (page.failed.text if page.failed else None)
        return ConfigReport(
            version=self.version,
            hash=settings_hash(now.settings if now else {}),
            state="confirmed" if page.trial is None else "trying",
            since=now.since if now else None,
            settings=self.settings.model_dump(mode="json"),
            failed_version=page.failed.version if page.failed else None,
            last_error=last_error,
        )

    async def push(
        self,
        version: int,
        settings: Mapping[str, Any],
        *,
        signers: tuple[str, ...] = (),
        say: Say = silent,
    ) -> ConfigChanged:
        """Put settings on trial; returns what became of them."""
        if len(self._ordered) >= _MAX_WAITING:
            text = "too many pushed settings wait for their trial; push them later"
            return ConfigChanged(version=version, outcome="refused", text=text, signers=signers)
        ended: asyncio.Future[ConfigChanged] = asyncio.get_running_loop().create_future()
        self._ordered.append(_Push(version, settings, signers, say, ended))
        self._wake.set()
        return await ended

    async def outcome(self, version: int) -> ConfigChanged | None:
        """Wait for the end of a version's trial; None where it never began or is forgotten."""
        await self._trials.end_of(version)
        return self._trials.page.outcome(version)

    async def offer(self, document: bytes) -> None:
        """Take in a message from ``down/config``; its trial comes later, the newest one's only."""
        if not document:
            return  # the retained message was removed: nothing is desired
        try:
            signed = await self._read(document)
            self._check_kiosk(signed)
        except (ContractError, RefusedError) as error:
            text = f"down/config: {error}"[:_TEXT_LIMIT]
            refusal = ConfigChanged(version=0, outcome="refused", text=text)
            if self._refusals.take():
                await self._turn_away(refusal, hashlib.sha256(document).digest())
            return
        desired = signed.desired
        self._desired = _Push(desired.version, desired.settings, signed.signers)
        self._wake.set()

    async def run(self) -> None:
        """Carry out one trial after the other until cancelled; start it again freely."""
        if self._problem:
            _log.error("config_book_broken", problem=self._problem)
        await self._trials.resume()
        while True:
            push = await self._next()
            try:
                outcome = await self._carry_out(push)
            except Exception as error:
                if push.ended and not push.ended.done():
                    push.ended.set_exception(error)
                raise
            if push.ended and not push.ended.done():
                push.ended.set_result(outcome)

    async def _next(self) -> _Push:
        while True:
            if self._ordered:
                return self._ordered.popleft()
            if self._desired is not None:
                push, self._desired = self._desired, None
                return push
            self._wake.clear()
            await self._wake.wait()

    async def _carry_out(self, push: _Push) -> ConfigChanged:
        page, version = self._trials.page, push.version
        try:
            digest = settings_hash(push.settings)
        except ContractError as error:
            return await self._refuse(push, None, str(error))
        known = page.outcome(version)
        if version == page.highest and known is not None and known.hash == digest:
            return known
        if not 0 < version - page.highest <= LARGEST_STEP:
            which = "not higher than" if version <= page.highest else "too far above"
            text = f"version {version} is {which} {page.highest}, which was tried before"
            return await self._refuse(push, digest, text)
        try:
            new = await asyncio.to_thread(self._build, push.settings)
        except SettingsError as error:
            refusal = _refusal(push, digest, str(error))
            await self._trials.conclude(refusal, page.in_force)
            return refusal
        try:
            return await self._trials.begin(
                version, push.settings, new, signers=push.signers, say=push.say
            )
        except OSError as error:
            return await self._refuse(push, digest, f"their trial cannot be recorded: {error}")

    def _check_kiosk(self, signed: SignedConfig) -> None:
        if signed.desired.kiosk != self._kiosk:
            text = f"this is {self._kiosk}; the settings are for {signed.desired.kiosk}"
            raise RefusedError(code="wrong_kiosk", text=text)

    async def _refuse(self, push: _Push, digest: str | None, text: str) -> ConfigChanged:
        """Refuse what does not count as tried."""
        refusal = _refusal(push, digest, text)
        return await self._turn_away(refusal, (push.version, digest, text))

    async def _turn_away(self, refusal: ConfigChanged, what: object) -> ConfigChanged:
        """Tell of a refusal; of the same thing again and again only once."""
        if what != self._turned_away:
            self._turned_away = what
            _log.warning("config_refused", version=refusal.version, text=refusal.text)
            await self._publish(refusal, self._clock.stamp())
        return refusal


def _refusal(push: _Push, digest: str | None, text: str) -> ConfigChanged:
    return ConfigChanged(
        version=push.version,
        hash=digest,
        outcome="refused",
        text=text[:_TEXT_LIMIT],
        signers=push.signers,
    )
