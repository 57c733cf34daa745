"""Everything of the agent that has to do with plates: made once and wired."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from agent.plates.reports import PlateReports
from agent.plates.watch_lists import WatchLists
from agent.pseudonym import MAX_FILE_BYTES, Pseudonyms
from agent.state_file import StateFile
from agent.supervisor import Start
from contract import Clock, Data
from contract.message import Publish
from contract.plates import PlateHit, PlateRead
from vision.plates.report import PlateOrder
from vision.plates.settings import PlateSettings
from vision.plates.watcher import PlateWatch
from vision.settings import CameraSettings

LOOK_S = 3600.0
"""How often events that have waited for too long are looked for."""
_DAY_S = 86_400.0


class Plates:
    """Pseudonyms, watch lists, and what is told of the vehicles before the cameras.

    Args:
        folder: where the key and the watch lists are kept.
        settings: those in force now.
        clock: the agent's clock.
        publish: takes the events.
        expire: deletes messages of these types that wait for longer than so many seconds.
        tell: told of a hit or of damage, by the alarm's code, in a sentence.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Callable[[], PlateSettings],
        clock: Clock,
        publish: Publish,
        expire: Callable[[Sequence[type[Data]], float], Awaitable[None]],
        tell: Callable[[str, str], None],
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._expire = expire
        self._pseudonyms = Pseudonyms(
            StateFile(folder / "plate-key.json", limit=MAX_FILE_BYTES),
            clock=clock,
            rotation_days=lambda: settings().rotation_days,
        )
        self.watch_lists = WatchLists(
            folder / "watch-lists.json",
            clock=clock,
            settings=settings,
            on_damage=partial(tell, "watch_lists.damaged"),
        )
        self._reports = PlateReports(
            publish=publish,
            pseudonyms=self._pseudonyms,
            watch_lists=self.watch_lists,
            on_hit=partial(tell, "plate.hit"),
        )

    @property
    def tasks(self) -> dict[str, Start]:
        """What is to be kept alive."""
        return {
            "plate_events": self._expire_events,
            "plate_key": self._pseudonyms.run,
            "watch_lists": self.watch_lists.run,
        }

    async def start(self) -> None:
        """Take up what the life before left; before the tasks run."""
        await self.watch_lists.start()

    def watch(self, camera: CameraSettings, shared: PlateSettings, frames: Path) -> PlateWatch:
        """Make the reading of plates at a camera whose newest frame lies at ``frames``."""
        return PlateWatch(
            camera.name,
            PlateOrder(frames=frames, settings=camera.plates, plates=shared),
            clock=self._clock,
            tell=partial(self._reports.tell, camera.plates),
        )

    async def _expire_events(self) -> None:
        while True:
            await self._expire((PlateRead, PlateHit), self._settings().event_days * _DAY_S)
            await self._clock.sleep(LOOK_S)
