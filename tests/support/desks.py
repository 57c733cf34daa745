"""A desk on a file, with the events that it publishes."""

from pathlib import Path

from agent.state_file import StateFile
from commands.desk.desk import Desk
from commands.desk.state import MAX_STATE_BYTES
from contract import Data, Stamp
from tests.support.clock import ManualClock


class DeskOnFile:
    """One life of a desk: :meth:`again` is the next one, on the same file."""

    def __init__(self, folder: Path, clock: ManualClock | None = None, **options):
        self.folder = folder
        self.file = folder / "desk.json"
        self.clock = clock or ManualClock()
        self.options = options
        self.events: list[Data] = []
        self.stamps: list[Stamp] = []
        self.desk = Desk(
            clock=self.clock,
            publish=self._publish,
            store=StateFile(self.file, limit=MAX_STATE_BYTES),
            **options,
        )

    async def again(self, clock: ManualClock | None = None) -> "DeskOnFile":
        """The agent was restarted; with another clock: so was the machine."""
        next_life = DeskOnFile(self.folder, clock or self.clock, **self.options)
        await next_life.desk.start()
        return next_life

    @property
    def kinds(self) -> list[str]:
        return [event.KIND for event in self.events]

    async def _publish(self, data: Data, stamp: Stamp) -> None:
        self.events.append(data)
        self.stamps.append(stamp)
