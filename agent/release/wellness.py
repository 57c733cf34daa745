"""Whether the agent is well, as a release on trial has to be."""

from collections.abc import Callable

from agent.config.changeover import problem_of
from agent.parts import Parts
from agent.supervisor import Supervisor


class AgentWellness:
    """Implements :class:`agent.release.updates.Wellness`.

    Args:
        parts: link and cameras.
        supervisor: knows whose task failed.
        alive: whether the agent's parts show life.
    """

    def __init__(self, parts: Parts, supervisor: Supervisor, alive: Callable[[], bool]) -> None:
        self._parts = parts
        self._supervisor = supervisor
        self._alive = alive
        self._restarts: dict[str, int] = {}

    def problem(self, cameras: tuple[str, ...]) -> str | None:
        """What is not well; of a part that failed, it is said once for each time."""
        before, now = self._restarts, dict(self._supervisor.restarts)
        self._restarts = now
        for task in sorted(now):
            if now[task] > before.get(task, 0):
                return f"{task} failed: {self._supervisor.errors.get(task, 'it ended by itself')}"
        return problem_of(self._parts, cameras, self._alive)

    def cameras_online(self) -> tuple[str, ...]:
        """Names of the cameras that give pictures now."""
        names = (camera.name for camera in self._parts.camera_health())
        return tuple(name for name in names if self._parts.is_online(name))

    async def prove(self) -> None:
        """Return when the broker has acknowledged a birth message; raises ``LinkError``."""
        await self._parts.link.prove()
