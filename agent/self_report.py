"""What the agent tells of itself: to the centre at birth, in each sample, to a person on site."""

from datetime import datetime
from typing import Any

from agent import VERSION
from agent.command_path import CommandPath
from agent.parts import Parts
from agent.pulse import Pulse
from agent.starts import SafeMode
from agent.supervisor import Supervisor
from contract.state import Service
from telemetry.alarms import AlarmBoard
from telemetry.health import AgentNumbers
from telemetry.outbox import Outbox
from telemetry.voice import Birth

_REASON_LENGTH = 200


class SelfReport:
    """Asks the parts; :meth:`refresh` is called now and then."""

    def __init__(
        self,
        *,
        started: datetime,
        outbox: Outbox,
        parts: Parts,
        board: AlarmBoard,
        commands: CommandPath,
        safe_mode: SafeMode,
        supervisor: Supervisor,
        pulse: Pulse,
    ) -> None:
        self._started = started
        self._outbox = outbox
        self._parts = parts
        self._board = board
        self._commands = commands
        self._safe_mode = safe_mode
        self._supervisor = supervisor
        self._pulse = pulse
        self._oldest_s = 0.0

    async def refresh(self) -> None:
        """Look at what takes a round trip through the outbox's thread."""
        self._oldest_s = await self._outbox.oldest_age_s()

    def birth(self) -> Birth:
        """What is said on every connect."""
        return Birth(
            agent_version=VERSION,
            started=self._started,
            capabilities=self._commands.executor.capabilities(),
            services=self.services(),
            config_version=self._commands.keeper.version,
        )

    def services(self) -> tuple[Service, ...]:
        """What the kiosk can do for people now."""
        problem = self._commands.trust.problem
        return (_service("commands", problem), *self._camera_services())

    def _camera_services(self) -> tuple[Service, ...]:
        if rests := self._safe_mode.reason:
            names = [camera.name for camera in self._commands.keeper.settings.camera]
            return tuple(_service(f"camera.{name}", f"safe mode: {rests}") for name in names)
        services: list[Service] = []
        for health in self._parts.camera_health():
            problem = None if health.state == "online" else f"camera is {health.state}"
            services.append(_service(f"camera.{health.name}", problem))
            for kind, watch in (("plates", health.plates), ("identity", health.identity)):
                if watch is not None:
                    working = watch.state == "watching" and problem is None
                    why = (
                        None if working else problem or watch.text or "the models are being loaded"
                    )
                    services.append(_service(f"{kind}.{health.name}", why))
        return tuple(services)

    def numbers(self) -> AgentNumbers:
        """The agent's part of a sample."""
        outbox, limits = self._outbox, self._commands.keeper.settings.outbox
        used = max(outbox.rows / limits.max_rows, outbox.size / (limits.max_mib * 2**20))
        return AgentNumbers(
            agent_task_restarts=self._supervisor.total_restarts,
            outbox_rows=outbox.rows,
            outbox_bytes=outbox.size,
            outbox_used_percent=round(100 * used, 1),
            outbox_oldest_s=round(self._oldest_s, 1),
            outbox_lost=outbox.lost,
            link_reconnects=self._parts.link.reconnects,
            cameras=self._parts.camera_health(),
            peripherals=self._commands.identity.peripherals(),
        )

    async def status(self) -> dict[str, Any]:
        """What ``kiosk-agent status`` shows."""
        link, settings = self._parts.link, self._commands.keeper.settings
        health, config = self._parts.latest_health, self._commands.keeper.report()
        return {
            "version": VERSION,
            "kiosk": settings.kiosk.id,
            "started": self._started.isoformat(),
            "alive": self._pulse.is_alive,
            "safe_mode": self._safe_mode.reason,
            "link": {
                "state": link.state,
                "broker": f"{settings.link.host}:{settings.link.port}",
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
            "operators": self._commands.trust.problem or f"{len(self._commands.trust.keys)} keys",
            "config": config.model_dump(mode="json", exclude={"settings"}),
            "alarms": [alarm.model_dump(mode="json") for alarm in self._board.active()],
            "cameras": [camera.model_dump(mode="json") for camera in self._parts.camera_health()],
            "peripherals": [
                one.model_dump(mode="json") for one in self._commands.identity.peripherals()
            ],
            "task_restarts": dict(self._supervisor.restarts),
            "task_errors": dict(self._supervisor.errors),
            "health": health.model_dump(mode="json") if health else None,
        }


def _service(name: str, problem: str | None) -> Service:
    return Service(
        name=name, available=problem is None, reason=problem and problem[:_REASON_LENGTH]
    )
