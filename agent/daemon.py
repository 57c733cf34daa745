"""One agent: every part made once, wired, and supervised."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from agent import VERSION
from agent.alarms import FaultAlarms
from agent.local_socket import LocalSocket
from agent.pulse import Pulse
from agent.settings import Settings
from agent.supervisor import Supervisor
from agent.systemd import notify, watchdog_interval_s
from commands.actions.ping import ping
from commands.executor import Executor
from commands.ledger import Ledger
from commands.trust import Trust
from contract import Topics
from contract.ack import parse_watermark
from contract.errors import ContractError
from contract.state import AgentStarted, Service
from telemetry.alarms import AlarmBoard
from telemetry.clock import SystemClock, watch_time_quality
from telemetry.health import AgentNumbers, HealthMonitor, kiosk_probes
from telemetry.link import Birth, Link, LinkState, Subscription
from telemetry.mqtt import MqttTransport
from telemetry.outbox import Outbox
from telemetry.transport import Incoming, LinkError, RetainHandling
from vision.camera import Camera

log = structlog.get_logger()


class Agent:
    """The whole agent; :meth:`run` lives until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._topics = Topics(settings.kiosk.id, settings.link.root)
        self._supervisor = Supervisor(self._clock)
        self._started = self._clock.stamp().time
        self._oldest_s = 0.0
        folder = settings.kiosk.state_folder
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
        self._cameras = [
            Camera(camera, clock=self._clock, publish=self._publish) for camera in settings.camera
        ]
        self._health = HealthMonitor(
            clock=self._clock,
            publish=self._publish,
            board=self._board,
            probes=kiosk_probes(folder, settings.health),
            numbers=self._numbers,
            time_status=lambda: self._clock.status,
            settings=settings.health,
        )
        self._trust = Trust(settings.commands.operators, on_fault=self._fault)
        self._ledger = Ledger(
            folder / "ledger.db", settings=settings.commands, on_fault=self._fault
        )
        actions = (ping(VERSION),)
        self._capabilities = tuple(sorted(action.name for action in actions))
        self._executor = Executor(
            kiosk=settings.kiosk.id,
            settings=settings.commands,
            trust=self._trust,
            ledger=self._ledger,
            actions=actions,
            clock=self._clock,
            publish=self._publish,
        )
        self._link = self._make_link()
        self._pulse = Pulse(
            clock=self._clock,
            probes={"outbox": self._outbox_alive, "link": self._link_alive},
            services=self._services,
            publish=self._publish,
            on_change=self._link.announce,
            watchdog=watchdog_interval_s() is not None,
        )

    def _make_link(self) -> Link:
        settings = self._settings
        subscriptions = [Subscription(self._topics.command, self._on_command, RetainHandling.NEVER)]
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
            subscriptions=tuple(subscriptions),
            on_change=self._on_link,
            on_denied=self._faults.denied,
        )

    async def run(self) -> None:
        """Start, live until cancelled, and leave in order."""
        settings = self._settings
        log.info(
            "agent starting",
            version=VERSION,
            kiosk=settings.kiosk.id,
            cameras=[camera.name for camera in settings.camera],
        )
        await self._outbox.start()
        await self._trust.refresh()
        tasks: dict[str, Callable[[], Awaitable[None]]] = {
            "outbox": self._outbox.run,
            "clock": lambda: watch_time_quality(self._clock),
            "link": self._link.run,
            "faults": self._faults.run,
            "health": self._health.run,
            "commands": self._executor.run,
            "pulse": self._pulse.run,
            "socket": LocalSocket(settings.kiosk.socket_path, {"status": self.status}).run,
            **{
                f"camera.{camera.name}": part.run
                for camera, part in zip(settings.camera, self._cameras, strict=True)
            },
        }
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervisor.run(tasks), name="supervisor")
                group.create_task(self._report_start(), name="start")
        finally:
            notify("STOPPING=1")
            log.info("agent stopping")
            for camera in self._cameras:
                camera.close()
            await self._outbox.close()
            await self._ledger.close()

    async def _report_start(self) -> None:
        clean = self._outbox.counters.clean
        await self._publish(AgentStarted(agent_version=VERSION, clean=clean), self._clock.stamp())
        notify("READY=1", f"STATUS=kiosk {self._settings.kiosk.id}")

    async def status(self) -> dict[str, Any]:
        """What ``kiosk-agent status`` shows."""
        link, health = self._link, self._health.latest
        return {
            "version": VERSION,
            "kiosk": self._settings.kiosk.id,
            "started": self._started.isoformat(),
            "alive": self._pulse.is_alive,
            "link": {
                "state": link.state,
                "broker": f"{self._settings.link.host}:{self._settings.link.port}",
                "session": link.session,
                "reconnects": link.reconnects,
                "last_error": str(link.last_error) if link.last_error else None,
            },
            "outbox": {
                "rows": self._outbox.rows,
                "bytes": self._outbox.size,
                "oldest_s": round(self._oldest_s, 1),
                "lost": self._outbox.lost,
                "last_sequence": self._outbox.last_sequence,
            },
            "operators": self._trust.problem or f"{len(self._trust.keys)} keys",
            "alarms": [alarm.model_dump(mode="json") for alarm in self._board.active()],
            "cameras": [camera.health().model_dump(mode="json") for camera in self._cameras],
            "task_restarts": dict(self._supervisor.restarts),
            "task_errors": dict(self._supervisor.errors),
            "health": health.model_dump(mode="json") if health else None,
        }

    # -- what the parts ask for ------------------------------------------------------------

    def _fault(self, code: str, text: str | None) -> None:
        self._faults.tell(code, text)

    def _on_link(self, state: LinkState, error: LinkError | None) -> None:
        self._faults.link_changed(state, error)
        notify(f"STATUS=kiosk {self._settings.kiosk.id}: link {state}")

    async def _on_command(self, message: Incoming) -> None:
        await self._executor.receive(message.payload, retained=message.retained)

    async def _on_watermark(self, message: Incoming) -> None:
        try:
            watermark = parse_watermark(message.payload)
        except ContractError as error:
            log.warning("watermark ignored", reason=str(error))
            return
        await self._outbox.release(watermark.sequence)

    def _birth(self) -> Birth:
        return Birth(
            agent_version=VERSION,
            started=self._started,
            capabilities=self._capabilities,
            services=self._services(),
        )

    def _services(self) -> tuple[Service, ...]:
        cameras = [
            Service(
                name=f"camera.{health.name}",
                available=health.state == "online",
                reason=None if health.state == "online" else f"camera is {health.state}",
            )
            for health in (camera.health() for camera in self._cameras)
        ]
        problem = self._trust.problem and self._trust.problem[:200]
        return (Service(name="commands", available=problem is None, reason=problem), *cameras)

    def _numbers(self) -> AgentNumbers:
        outbox, limits = self._outbox, self._settings.outbox
        used = max(outbox.rows / limits.max_rows, outbox.size / (limits.max_mib * 2**20))
        return AgentNumbers(
            agent_task_restarts=self._supervisor.total_restarts,
            outbox_rows=outbox.rows,
            outbox_bytes=outbox.size,
            outbox_used_percent=round(100 * used, 1),
            outbox_oldest_s=round(self._oldest_s, 1),
            outbox_lost=outbox.lost,
            link_reconnects=self._link.reconnects,
            cameras=tuple(camera.health() for camera in self._cameras),
        )

    async def _outbox_alive(self) -> bool:
        """A round trip through the outbox's thread."""
        self._oldest_s = await self._outbox.oldest_age_s()
        return self._supervisor.is_running("outbox")

    async def _link_alive(self) -> bool:
        await self._trust.refresh()  # a file put in place ends its alarm without a command
        return self._supervisor.is_running("link")
