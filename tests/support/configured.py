"""A kiosk that is nothing but its settings: pushes, trials, restarts, power cuts."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.config.book import ConfigFile, Page, begin
from agent.config.keeper import ConfigKeeper
from agent.config.pushed import settings_with
from agent.config.trial import Say
from agent.errors import UnprovenError
from agent.settings import Settings, SettingsFile
from commands.errors import RefusedError
from contract.config import ConfigChanged, DesiredConfig, SignedConfig, open_config, sign_config
from contract.ids import uuid7
from contract.keys import PrivateKey
from tests.support.clock import ManualClock

OWN = SettingsFile(
    "agent.toml", "[link]\nhost = 'broker.example'\n[[camera]]\nname = 'a'\nsource = '0'\n"
)


class PowerCutError(BaseException):
    """The machine goes dark: no handler may catch it."""


class Mains:
    """Fails after so many steps, once for each number in ``cuts``; :meth:`restore` ends it."""

    def __init__(self) -> None:
        self.cuts: list[int] = []
        self.failures = 0
        self._dark = False

    def step(self) -> None:
        if self.cuts and not self._dark:
            self.cuts[0] -= 1
            self._dark = self.cuts[0] < 0
            if self._dark:
                self.cuts.pop(0)
                self.failures += 1
        if self._dark:
            raise PowerCutError

    def restore(self) -> None:
        self._dark = False


class FrailFile(ConfigFile):
    """The power may fail before and after each write, and the disk may be full."""

    def __init__(self, path: Path, mains: Mains) -> None:
        super().__init__(path)
        self._mains = mains
        self.full = False

    def save(self, page: Page) -> None:
        self._mains.step()
        if self.full:
            raise OSError(28, "No space left on device")
        super().save(page)
        self._mains.step()


class ConfiguredKiosk:
    """Boots as often as it must, the first time by hand; ``running`` is what it runs with."""

    def __init__(self, folder: Path, keys: Sequence[PrivateKey] = ()) -> None:
        self.folder = folder
        self.keys = keys
        self.mains = Mains()
        self.clock = ManualClock()
        self.own = OWN
        self.told: list[ConfigChanged] = []
        self.said: list[str] = []
        self.boots = 0
        self.announced = 0
        self.bad: set[int] = set()
        """Ports of the broker with which the kiosk is not well."""
        self.hanging: set[int] = set()
        """Ports of the broker with which it never comes to a judgement."""
        self.deadly: set[int] = set()
        """Ports of the broker with which the agent dies whenever it runs."""
        self.stuck: set[int] = set()
        """Ports that cannot be put in force while the agent runs."""
        self.storing = True

    async def boot(self) -> None:
        """Start afresh from what is on disk, as often as the power fails."""
        self.boots += 1
        self.mains.restore()
        self.restarting = asyncio.Event()
        self.file = FrailFile(self.folder / "config.json", self.mains)
        try:
            beginning = await asyncio.to_thread(begin, self.file, self.build)
        except PowerCutError:
            await self.boot()
            return
        self.running = beginning.settings
        self.keeper = ConfigKeeper(
            kiosk="k-1",
            beginning=beginning,
            file=self.file,
            build=self.build,
            stage=self,
            read=self._read,
            clock=self.clock,
            publish=self._publish,
        )

    def build(self, pushed: Mapping[str, Any]) -> Settings:
        return settings_with(self.own, pushed)

    async def _read(self, document: bytes) -> SignedConfig:
        signed = open_config(document, {key.kid: key.public().verifier() for key in self.keys})
        if "wang" in signed.signers:
            raise RefusedError(code="not_authorised", text="wang may not")
        return signed

    # -- the stage -------------------------------------------------------------------------

    def needs_restart(self, old: Settings, new: Settings) -> bool:
        return old.outbox != new.outbox

    def cameras_wanted(self, new: Settings) -> tuple[str, ...]:
        return tuple(camera.name for camera in new.camera)

    async def apply(self, settings: Settings) -> None:
        self.mains.step()
        if settings.link.port in self.stuck:
            msg = "it does not stop"
            raise OSError(msg)
        self.running = settings
        self.mains.step()

    async def verify(self, cameras: Sequence[str], say: Say) -> None:
        self.mains.step()
        assert cameras == tuple(camera.name for camera in self.running.camera)
        await say(f"no line to port {self.running.link.port}")
        if self.running.link.port in self.deadly:
            raise PowerCutError
        if self.running.link.port in self.hanging:
            await asyncio.Event().wait()
        if self.running.link.port in self.bad:
            raise UnprovenError("no line")  # noqa: EM101, TRY003
        self.mains.step()

    async def announce(self) -> None:
        self.announced += 1
        self.keeper.report()

    def restart(self) -> None:
        self.mains.step()
        self.restarting.set()

    async def _publish(self, data, stamp) -> None:
        self.mains.step()
        if not self.storing:
            msg = "no outbox"
            raise OSError(msg)
        self.told.append(data)
        self.mains.step()

    # -- the test's hand -------------------------------------------------------------------

    async def say(self, text: str) -> None:
        self.said.append(text)

    async def live(self, act=None):
        """Run, and do something, through restarts and power cuts; returns what it gave, if any."""
        doing = act
        while True:
            running = asyncio.ensure_future(self.keeper.run())
            restarting = asyncio.ensure_future(self.restarting.wait())
            asking = asyncio.ensure_future(doing if doing is not None else self.quiet())
            doing = None
            tasks = {running, restarting, asking}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            result = asking.result() if asking.done() and not asking.exception() else None
            again = running.done() or restarting.done()
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    raise end
            if not again:
                return result
            await self.boot()

    async def quiet(self) -> None:
        """Wait until nothing is on trial and nothing is untold, for a while."""
        calm = 0
        while calm < 10:
            page = self.keeper._trials.page  # what the file says, without reading it
            calm = calm + 1 if page.trial is None and not page.untold else 0
            # A thread of its own takes as long as one that writes the file on this machine now.
            await asyncio.to_thread(time.sleep, 0.001)

    def push(self, version: int, settings: Mapping[str, Any]):
        return self.keeper.push(version, settings, signers=("li",), say=self.say)

    def document(self, version: int, settings: Mapping[str, Any], *keys, kiosk="k-1") -> bytes:
        desired = DesiredConfig(
            id=uuid7(1_793_520_000_000), kiosk=kiosk, version=version, settings=dict(settings)
        )
        return sign_config(desired, keys or self.keys[:1])

    @property
    def outcomes(self) -> list[tuple[int, str]]:
        return [(one.version, one.outcome) for one in self.told]
