"""What commands work on: the machine, the door, pictures, the journal."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from agent import VERSION
from agent.diagnostics import Diagnostics
from agent.gpio_door import door_driver
from agent.log import set_level
from agent.logind import Logind
from agent.media import media_sender
from agent.parts import Parts
from agent.pictures import Pictures
from agent.settings import Settings
from agent.supervisor import Start
from commands.action import Serving
from commands.door import Door
from commands.journal import Journal
from commands.log_level import LogLevel
from contract import Clock
from contract.message import Publish
from vision.source import redact

Status = Callable[[], Awaitable[Mapping[str, Any]]]


class Hands:
    """Made once; nothing of it moves before a command says so.

    Args:
        settings: those in force now.
        machine: goes down, and locks its screens.
        serving: whether a citizen is being served.
        parts: cameras, health and the line to the broker.
        clock: the agent's clock.
        publish: takes events.
        alarms: the codes of the alarms in force.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        machine: Logind,
        serving: Serving,
        parts: Parts,
        clock: Clock,
        publish: Publish,
        alarms: Callable[[], Iterable[str]],
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._clock = clock
        self.machine = machine
        self._serving = serving
        self.journal = Journal(clean=redact)
        self.level = LogLevel(set_level=set_level, usual=lambda: settings().log.level, clock=clock)
        self.send_media = media_sender(parts.link)
        self.pictures = Pictures(parts.frames)
        self.frames = parts.frames
        door = settings().door
        driver = door_driver(door)
        self.door: Door | None = None
        if driver is not None:
            self.door = Door(
                driver=driver,
                settings=door,
                clock=clock,
                publish=publish,
                reasons_not_to_lock=self._trapped,
                alarms=alarms,
            )

    def diagnostics(self, status: Status) -> Diagnostics:
        """Make the collector of what a person far away wants to know; ``status`` is awaited."""
        return Diagnostics(
            agent_version=VERSION,
            settings=lambda: self._settings().model_dump(mode="json"),
            status=status,
            health=self._health,
            journal=self.journal,
            clock=self._clock,
        )

    @property
    def tasks(self) -> dict[str, Start]:
        """What is to be kept alive."""
        door = {} if self.door is None else {"entry": self.door.run}
        return {"machine": self.machine.run, "log_level": self.level.run, **door}

    async def start(self) -> None:
        """Look at what this machine can do; before anyone asks."""
        await self.machine.look()
        await self.journal.look()

    async def close(self) -> None:
        """Leave nobody locked in or out."""
        if self.door is not None:
            await self.door.close()

    def _health(self) -> dict[str, Any] | None:
        health = self._parts.latest_health
        return health.model_dump(mode="json") if health else None

    def _trapped(self) -> list[str]:
        """Who could be behind the door."""
        reasons = ["a citizen is being served"] if self._serving.is_serving else []
        seen = [camera.name for camera in self._parts.cameras if camera.sees_somebody]
        return reasons + [f"camera {name} sees somebody" for name in seen]
