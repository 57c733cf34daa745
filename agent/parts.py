"""The parts that a change of the settings restarts while the rest of the agent runs on."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.settings import Settings
from agent.supervisor import Start, Supervisor
from contract.health import CameraHealth, Health
from telemetry.alarms import AlarmBoard
from telemetry.health import HealthMonitor
from telemetry.health.settings import HealthSettings
from telemetry.link import Link
from vision.camera import Camera
from vision.identity.settings import IdentitySettings
from vision.identity.watcher import IdentityWatch
from vision.plates.settings import PlateSettings
from vision.plates.watcher import PlateWatch
from vision.settings import CameraSettings

_LIVE = frozenset(
    {"link", "camera", "health", "alarms", "config", "plates", "identity", "supervision"}
)
_LIVE_KEYS = {"outbox": frozenset({"in_flight", "backlog_per_s"}), "log": frozenset({"level"})}


def needs_restart(old: Settings, new: Settings) -> bool:
    """Whether something differs that :meth:`Parts.apply` cannot put in force."""
    for table in Settings.model_fields.keys() - _LIVE:
        before, after = getattr(old, table), getattr(new, table)
        fixed = type(before).model_fields.keys() - _LIVE_KEYS.get(table, frozenset())
        if any(getattr(before, key) != getattr(after, key) for key in fixed):
            return True
    return False


class Parts:
    """Link, health, alarm rules, log level, and each camera with what is recognised there.

    Args:
        supervisor: keeps their tasks alive.
        link: the line to the broker.
        board: the alarms.
        make_health: makes a health monitor.
        make_camera: makes a camera.
        make_plates: makes the reading of plates at a camera, from its frames.
        make_identity: makes the comparing of faces at a camera, from its frames.
        set_level: puts a log level in force.
        cameras_rest: whether there are to be no cameras, whatever the settings say.
    """

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        link: Link,
        board: AlarmBoard,
        make_health: Callable[[HealthSettings], HealthMonitor],
        make_camera: Callable[[CameraSettings], Camera],
        make_plates: Callable[[CameraSettings, PlateSettings, Path], PlateWatch],
        make_identity: Callable[[CameraSettings, IdentitySettings, Path], IdentityWatch],
        set_level: Callable[[str], None],
        cameras_rest: Callable[[], bool],
    ) -> None:
        self._supervisor = supervisor
        self._board = board
        self._make_health = make_health
        self._make_camera = make_camera
        self._make_plates = make_plates
        self._make_identity = make_identity
        self._set_level = set_level
        self.cameras_rest = cameras_rest
        """Whether there are to be no cameras, whatever the settings say."""
        self._changing = asyncio.Lock()
        self._runs_with: dict[str, object] = {}
        """By task: the settings of those that run, or were left to their pauses."""
        self._level: str | None = None
        self._health: HealthMonitor | None = None
        self._cameras: dict[str, Camera] = {}
        self._plates: dict[str, PlateWatch] = {}
        self.identity: dict[str, IdentityWatch] = {}
        """What compares faces, by camera; the same mapping all the time."""
        self.link = link
        self.frames: dict[str, Path] = {}
        """Where the newest frame of each camera lies; the same mapping all the time."""

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """The cameras that are watched."""
        return tuple(self._cameras.values())

    def camera_health(self) -> tuple[CameraHealth, ...]:
        """How each camera is, and what is recognised there."""
        told = []
        for camera in self.cameras:
            plates, identity = self._plates.get(camera.name), self.identity.get(camera.name)
            update = {
                **({"plates": plates.health()} if plates else {}),
                **({"identity": identity.health()} if identity else {}),
            }
            told.append(camera.health().model_copy(update=update))
        return tuple(told)

    @property
    def latest_health(self) -> Health | None:
        """The newest sample."""
        return self._health.latest if self._health else None

    @property
    def tasks(self) -> frozenset[str]:
        """Names of the parts' supervised tasks."""
        return frozenset(self._runs_with)

    def is_online(self, camera: str) -> bool:
        """Whether a camera gives pictures."""
        return camera in self._cameras and self._cameras[camera].health().state == "online"

    def watches(self, camera: CameraSettings) -> bool:
        """Whether a camera is watched with exactly these settings."""
        return self._runs_with.get(_task(camera.name)) == camera

    async def apply(self, settings: Settings) -> None:
        """Put settings in force, whatever is in force now; parts that do not differ live on.

        Where this was cancelled or failed, another call puts everything right.
        """
        async with self._changing:
            if settings.log.level != self._level:
                self._level = settings.log.level
                self._set_level(self._level)
            await self._board.adopt(settings.alarms)
            await self._exchange("health", settings.health, partial(self._renew_health, settings))
            await self._apply_cameras(settings)
            # Last, so that what is said of the change still finds a line.
            outbox = settings.outbox
            runs_with = (settings.link, outbox.in_flight, outbox.backlog_per_s)
            await self._exchange("link", runs_with, partial(self._renew_link, settings))

    async def reconnect(self) -> int:
        """End the line and begin anew; returns how many connections there were until then."""
        async with self._changing:
            await self._supervisor.stop("link")
            self._supervisor.start("link", self.link.run)
            return self.link.connects

    def close(self) -> None:
        """Let go of what cameras hold; after their tasks have ended."""
        for name in tuple(self._cameras):
            self._let_go(name)

    async def _apply_cameras(self, settings: Settings) -> None:
        wanted = {} if self.cameras_rest() else {camera.name: camera for camera in settings.camera}
        for name in self._cameras.keys() - wanted.keys():
            await self._stop_watches(name)
            self._runs_with.pop(_task(name), None)
            await self._supervisor.stop(_task(name))
            self._let_go(name)
        for name, camera in wanted.items():
            if not self.watches(camera):
                await self._stop_watches(name)  # before the frames that it reads are let go
            await self._exchange(_task(name), camera, partial(self._renew_camera, camera))
            await self._apply_watches(camera, settings)
        self._cameras = {name: self._cameras[name] for name in wanted}

    async def _apply_watches(self, camera: CameraSettings, settings: Settings) -> None:
        if camera.plates.enabled:
            renew = partial(self._renew_plates, camera, settings.plates)
            await self._exchange(_plates_task(camera.name), settings.plates, renew)
        if camera.identity.enabled:
            renew = partial(self._renew_identity, camera, settings.identity)
            await self._exchange(_identity_task(camera.name), settings.identity, renew)

    async def _stop_watches(self, name: str) -> None:
        for task in (_plates_task(name), _identity_task(name)):
            self._runs_with.pop(task, None)
            await self._supervisor.stop(task)
        self._plates.pop(name, None)
        self.identity.pop(name, None)

    async def _exchange(self, task: str, wanted: object, renew: Callable[[], Start]) -> None:
        """Restart a part unless it runs with what is wanted."""
        if self._runs_with.get(task) == wanted:
            return
        self._runs_with.pop(task, None)
        await self._supervisor.stop(task)
        self._supervisor.start(task, renew())
        self._runs_with[task] = wanted

    def _renew_health(self, settings: Settings) -> Start:
        self._health = self._make_health(settings.health)
        return self._health.run

    def _renew_link(self, settings: Settings) -> Start:
        self.link.use(settings.link, settings.outbox)
        return self.link.run

    def _renew_camera(self, settings: CameraSettings) -> Start:
        self._let_go(settings.name)
        camera = self._cameras[settings.name] = self._make_camera(settings)
        self.frames[settings.name] = camera.frames
        return camera.run

    def _renew_plates(self, camera: CameraSettings, shared: PlateSettings) -> Start:
        watch = self._make_plates(camera, shared, self.frames[camera.name])
        self._plates[camera.name] = watch
        return watch.run

    def _renew_identity(self, camera: CameraSettings, shared: IdentitySettings) -> Start:
        watch = self._make_identity(camera, shared, self.frames[camera.name])
        self.identity[camera.name] = watch
        return watch.run

    def _let_go(self, name: str) -> None:
        self.frames.pop(name, None)
        if (camera := self._cameras.pop(name, None)) is not None:
            camera.close()


def _task(camera: str) -> str:
    return f"camera.{camera}"


def _plates_task(camera: str) -> str:
    return f"plates.{camera}"


def _identity_task(camera: str) -> str:
    return f"identity.{camera}"
