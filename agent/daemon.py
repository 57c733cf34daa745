"""One agent: every part made once, wired, and supervised."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent import VERSION
from agent.alarms import FaultAlarms
from agent.boot import Boot
from agent.command_path import CommandPath
from agent.config.changeover import Changeover
from agent.local.door import LocalDoor
from agent.log import set_level
from agent.parts import Parts
from agent.plates.plates import Plates
from agent.pulse import Pulse
from agent.release.wellness import AgentWellness
from agent.self_report import SelfReport
from agent.starts import SafeMode
from agent.supervisor import Start, Supervisor
from agent.systemd import notify, watchdog_interval_s
from contract import Topics
from contract.ack import parse_watermark
from contract.config import ConfigReport
from contract.errors import ContractError
from contract.state import AgentStarted, Service
from telemetry.alarms import AlarmBoard
from telemetry.clock import SystemClock, watch_time_quality
from telemetry.health import AgentNumbers, HealthMonitor, kiosk_probes
from telemetry.health.settings import HealthSettings
from telemetry.link import Link, LinkState, Subscription
from telemetry.mqtt import MqttTransport
from telemetry.outbox import Outbox
from telemetry.transport import Incoming, LinkError, RetainHandling
from telemetry.voice import Birth
from vision.camera import Camera
from vision.identity.settings import IdentitySettings
from vision.identity.watcher import IdentityWatch
from vision.settings import CameraSettings

log = structlog.get_logger()

_DOOR_S = 2.0
"""Whoever is started after the agent finds its local door open, if it opens so soon."""


class Agent:
    """The whole agent; :meth:`run` lives until :meth:`stop` or :meth:`restart`.

    Args:
        boot: what was read before.
        on_ready: called once, when all has begun.
    """

    def __init__(self, boot: Boot, *, on_ready: Callable[[], None] = lambda: None) -> None:
        settings = self._settings = boot.settings
        folder = self._folder = settings.kiosk.state_folder
        self._boot = boot
        self._on_ready = on_ready
        self._clock = SystemClock()
        self._topics = Topics(settings.kiosk.id, settings.link.root)
        self._supervisor = Supervisor(self._clock)
        self._ended = asyncio.Event()
        self._again = True

        self._outbox = Outbox(
            folder,
            topics=self._topics,
            settings=settings.outbox,
            clock=self._clock,
            on_fault=self._fault,
        )
        self._publish = self._outbox.put
        self._board = AlarmBoard(clock=self._clock, publish=self._publish, settings=settings.alarms)
        self._faults = FaultAlarms(self._board, self._clock)
        self._safe_mode = SafeMode(
            starts=boot.starts,
            settings=settings.safe_mode,
            clock=self._clock,
            alive=lambda: self._pulse.is_alive,
            on_change=self._leave_safe_mode,
        )
        self._link = self._make_link()
        self._plates = Plates(
            folder,
            settings=lambda: self._commands.keeper.settings.plates,
            clock=self._clock,
            publish=self._publish,
            expire=self._outbox.expire,
            tell=self._fault,
        )
        self._parts = Parts(
            supervisor=self._supervisor,
            link=self._link,
            board=self._board,
            make_health=self._make_health,
            make_camera=self._make_camera,
            make_plates=self._plates.watch,
            make_identity=self._make_identity,
            set_level=set_level,
            cameras_rest=lambda: self._safe_mode.is_on,
        )
        self._pulse = Pulse(
            clock=self._clock,
            probes={"outbox": self._outbox_alive, "link": self._link_alive},
            services=self._services,
            publish=self._publish,
            on_change=self._link.announce,
            watchdog=watchdog_interval_s() is not None,
        )
        self._commands = CommandPath(
            boot,
            clock=self._clock,
            publish=self._publish,
            parts=self._parts,
            watch_lists=self._plates.watch_lists,
            alarms=lambda: [alarm.code for alarm in self._board.active()],
            status=self._status,
            stage=Changeover(
                parts=self._parts,
                supervisor=self._supervisor,
                alive=lambda: self._pulse.is_alive,
                clock=self._clock,
                restart=self.restart,
            ),
            wellness=AgentWellness(
                self._parts, self._supervisor, alive=lambda: self._pulse.is_alive
            ),
            restart=self.restart,
            on_fault=self._fault,
        )
        self._report = SelfReport(
            started=self._clock.stamp().time,
            outbox=self._outbox,
            parts=self._parts,
            board=self._board,
            commands=self._commands,
            safe_mode=self._safe_mode,
            supervisor=self._supervisor,
            pulse=self._pulse,
        )
        self._door = LocalDoor(
            settings.kiosk.socket_path,
            desk=self._commands.desk,
            status=self._status,
            health=lambda: self._parts.latest_health,
            on_local_act=self._commands.on_local_act,
            persons=self._commands.identity,
            clock=self._clock,
            group=settings.kiosk.socket_group,
        )

    def _make_link(self) -> Link:
        settings = self._settings
        subscriptions = [
            Subscription(self._topics.command, self._on_command, RetainHandling.NEVER),
            Subscription(self._topics.config, self._on_config, RetainHandling.SEND),
        ]
        if settings.outbox.release == "watermark":
            subscriptions.append(Subscription(self._topics.ack, self._on_watermark))
        return Link(
            transport=MqttTransport(),
            outbox=self._outbox,
            topics=self._topics,
            settings=settings.link,
            outbox_settings=settings.outbox,
            clock=self._clock,
            birth=self._birth,
            report=self._config_report,
            identity=self._boot.identity.in_use,
            subscriptions=tuple(subscriptions),
            on_change=self._on_link,
            on_denied=self._faults.denied,
        )

    def _make_health(self, settings: HealthSettings) -> HealthMonitor:
        return HealthMonitor(
            clock=self._clock,
            publish=self._publish,
            board=self._board,
            probes=kiosk_probes(
                self._folder, settings, certificate=self._certificate, clock=self._clock
            ),
            numbers=self._numbers,
            time_status=lambda: self._clock.status,
            settings=settings,
        )

    def _certificate(self) -> Path | None:
        """The certificate that the link uses; blocks."""
        tls = self._commands.keeper.settings.link.tls
        if tls is None:
            return None
        return tls.certificate or self._boot.identity.in_use().certificate

    def _make_camera(self, settings: CameraSettings) -> Camera:
        return Camera(settings, clock=self._clock, publish=self._publish)

    def _make_identity(
        self, camera: CameraSettings, shared: IdentitySettings, frames: Path
    ) -> IdentityWatch:
        return self._commands.identity.watch(camera, shared, frames)

    @property
    def _tasks(self) -> dict[str, Start]:
        """What runs beside the parts that settings change."""
        return {
            "clock": partial(watch_time_quality, self._clock),
            "faults": self._faults.run,
            "local_door": self._door.run,
            "pulse": self._pulse.run,
            "safe_mode": self._safe_mode.run,
            **self._commands.tasks,
            **self._plates.tasks,
        }

    # -- a life ----------------------------------------------------------------------------

    async def run(self) -> bool:
        """Live, and leave in order; returns whether it is to be started again."""
        settings = self._settings
        log.info(
            "agent starting",
            version=VERSION,
            kiosk=settings.kiosk.id,
            config=self._commands.keeper.version,
            cameras=[camera.name for camera in settings.camera],
        )
        came_up = False
        await self._outbox.start()
        # Before all others: what is taken up from the life before has things to say, and waits
        # until they are stored.
        self._supervisor.start("outbox", self._outbox.run)
        try:
            async with asyncio.TaskGroup() as group:
                living = group.create_task(self._supervisor.run(), name="supervisor")
                try:
                    await self._take_up()
                    await self._report_start()
                    came_up = not self._ended.is_set()  # else a service manager lost patience
                    await self._ended.wait()
                finally:
                    await self._leave()
                    living.cancel()
        finally:
            await self._outbox.close()
        if self._again:
            await asyncio.to_thread(self._boot.starts.forgive)
        if came_up:
            await self._commands.updates.forgive()
        return self._again

    async def _take_up(self) -> None:
        """Take up what the life before left, and let everything run."""
        await self._commands.start()
        await self._plates.start()
        for name, start in self._tasks.items():
            self._supervisor.start(name, start)
        await self._parts.apply(self._settings)

    async def _leave(self) -> None:
        """End everything but the outbox: what is said on the way out waits until it is stored."""
        again = self._ended.is_set() and self._again
        # The service manager would take STOPPING=1 for the end of the service.
        notify("STATUS=restarting" if again else "STOPPING=1")
        log.info("agent stopping", again=again)
        await self._supervisor.stop_all(but="outbox")
        self._parts.close()
        await self._commands.close()

    def stop(self) -> None:
        """End :meth:`run`, for good."""
        self._again = False
        self._ended.set()

    def restart(self) -> None:
        """End :meth:`run`; whoever called it starts the agent again."""
        self._ended.set()

    async def _report_start(self) -> None:
        started = AgentStarted(
            agent_version=VERSION,
            clean=self._outbox.counters.clean,
            safe_mode=self._safe_mode.is_on,
        )
        await self._publish(started, self._clock.stamp())
        self._faults.tell("agent.safe_mode", self._safe_mode.reason)
        with suppress(TimeoutError):  # a door that does not open is no reason not to be ready
            async with asyncio.timeout(_DOOR_S):
                await self._door.opened()
        notify("READY=1", f"STATUS=kiosk {self._settings.kiosk.id}")
        self._on_ready()

    async def _leave_safe_mode(self) -> None:
        await self._parts.apply(self._commands.keeper.settings)
        self._faults.tell("agent.safe_mode", None)
        await self._link.announce()

    # -- what the parts ask for ------------------------------------------------------------

    def _fault(self, code: str, text: str | None) -> None:
        self._faults.tell(code, text)

    def _on_link(self, state: LinkState, error: LinkError | None) -> None:
        self._faults.link_changed(state, error)
        notify(f"STATUS=kiosk {self._settings.kiosk.id}: link {state}")

    async def _on_command(self, message: Incoming) -> None:
        await self._commands.on_command(message)

    async def _on_config(self, message: Incoming) -> None:
        await self._commands.on_config(message)

    async def _on_watermark(self, message: Incoming) -> None:
        try:
            watermark = parse_watermark(message.payload)
        except ContractError as error:
            log.warning("watermark ignored", reason=str(error))
            return
        await self._outbox.release(watermark.sequence)

    async def _status(self) -> dict[str, Any]:
        return await self._report.status()

    def _birth(self) -> Birth:
        return self._report.birth()

    def _services(self) -> tuple[Service, ...]:
        return self._report.services()

    def _numbers(self) -> AgentNumbers:
        return self._report.numbers()

    def _config_report(self) -> ConfigReport:
        return self._commands.keeper.report()

    async def _outbox_alive(self) -> bool:
        await self._report.refresh()
        return self._supervisor.is_running("outbox")

    async def _link_alive(self) -> bool:
        await self._commands.trust.refresh()  # a file put in place ends its alarm without a command
        return self._supervisor.is_running("link")
