"""What other parts of the agent tell about themselves."""

from dataclasses import dataclass

from contract.health import CameraHealth, PeripheralHealth


@dataclass(frozen=True, slots=True)
class AgentNumbers:
    """One look at the agent's parts; the names are those of :class:`contract.health.Health`."""

    agent_task_restarts: int = 0
    outbox_rows: int = 0
    outbox_bytes: int = 0
    outbox_used_percent: float = 0.0
    """Of its bound in rows or bytes, whichever is nearer."""
    outbox_oldest_s: float = 0.0
    outbox_lost: int = 0
    link_reconnects: int = 0
    cameras: tuple[CameraHealth, ...] = ()
    peripherals: tuple[PeripheralHealth, ...] = ()
