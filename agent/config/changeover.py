"""A trial of pushed settings on the real agent: put in force, and looked at until it is well."""

from collections.abc import Callable, Sequence

from agent.config.trial import Say
from agent.errors import UnprovenError
from agent.parts import Parts, needs_restart
from agent.settings import Settings
from agent.supervisor import Supervisor
from contract import Clock
from telemetry.link import LinkState
from telemetry.transport import LinkError

LOOK_S = 0.25
SETTLE_S = 2.0
"""All must still be well so long after all was well."""


class Changeover:
    """Implements :class:`agent.config.trial.Stage`.

    Args:
        parts: what is changed.
        supervisor: knows whose task failed.
        alive: whether the agent's parts show life.
        clock: the time of looks.
        restart: ends this process in order and starts it again; returns at once.
    """

    def __init__(
        self,
        *,
        parts: Parts,
        supervisor: Supervisor,
        alive: Callable[[], bool],
        clock: Clock,
        restart: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._supervisor = supervisor
        self._alive = alive
        self._clock = clock
        self._restart = restart
        self._failures: dict[str, int] = {}
        """Of each task, when the settings came in force."""

    def needs_restart(self, old: Settings, new: Settings) -> bool:
        """Whether these cannot be exchanged while the agent runs."""
        return needs_restart(old, new)

    def cameras_wanted(self, new: Settings) -> tuple[str, ...]:
        """Names of cameras that are new or changed, or online now."""
        parts = self._parts
        if parts.cameras_rest():
            return ()
        return tuple(
            camera.name
            for camera in new.camera
            if parts.is_online(camera.name) or not parts.watches(camera)
        )

    async def apply(self, settings: Settings) -> None:
        """Put them in force; only what differs is restarted."""
        self._failures = dict(self._supervisor.restarts)
        await self._parts.apply(settings)

    async def verify(self, cameras: Sequence[str], say: Say) -> None:
        """Return when the kiosk is well and the centre has heard so.

        Raises:
            UnprovenError: a part fails, or the broker does not take our word.
        """
        while True:
            await self._until_well(cameras, say)
            await say("the broker did not acknowledge the birth message")
            try:
                await self._parts.link.prove()
            except LinkError as error:
                raise UnprovenError(str(error)) from None
            await say(f"all is well; it has to stay so for {SETTLE_S:g} s")
            await self._clock.sleep(SETTLE_S)
            if self._problem(cameras) is None:
                return

    async def announce(self) -> None:
        """Tell the centre what is in force, where there is a line."""
        await self._parts.link.report()
        await self._parts.link.announce()

    def restart(self) -> None:
        """End this process in order and start it again."""
        self._restart()

    async def _until_well(self, cameras: Sequence[str], say: Say) -> None:
        while (problem := self._problem(cameras)) is not None:
            await say(problem)
            await self._clock.sleep(LOOK_S)

    def _problem(self, cameras: Sequence[str]) -> str | None:
        """What is not well, in a sentence. Raises ``UnprovenError`` where a part fails."""
        for task in sorted(self._parts.tasks):
            if self._supervisor.restarts.get(task, 0) > self._failures.get(task, 0):
                error = self._supervisor.errors.get(task, "it ended by itself")
                msg = f"{task} failed: {error}"
                raise UnprovenError(msg)
        return problem_of(self._parts, cameras, self._alive)


def problem_of(parts: Parts, cameras: Sequence[str], alive: Callable[[], bool]) -> str | None:
    """What of the line, these cameras, and the agent's parts is not well, in a sentence."""
    link = parts.link
    if link.state is not LinkState.ONLINE:
        return f"no line to the broker: {link.last_error or link.state}"
    lost = [name for name in cameras if not parts.is_online(name)]
    if lost:
        return f"no picture of camera {', '.join(lost)}"
    return None if alive() else "a part of the agent shows no life"
