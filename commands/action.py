"""The seam between the command path and what it can do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from contract import Stamp
from contract.actions import Arguments
from contract.command import Command

A = TypeVar("A", bound=Arguments)

Result = dict[str, Any]
"""JSON for the receipt, at most :data:`~commands.executor.MAX_RESULT_BYTES`."""


class Progress(Protocol):
    """Tells the operator how far a running action is; more than one word a second is dropped."""

    async def __call__(self, text: str, percent: float | None = None) -> None:
        """Say it."""
        ...


async def no_progress(text: str, percent: float | None = None) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What an action may know of the command that runs it."""

    command: Command
    signers: tuple[str, ...]
    received: Stamp
    begun: Stamp
    """When it was recorded as running; of an earlier life of the agent in ``resume``."""
    progress: Progress = no_progress
    no_return: Callable[[], None] = lambda: None
    """Called by the action when it cannot be cancelled any more."""


@dataclass(frozen=True, slots=True)
class Action(Generic[A]):
    """Something that a command can ask for; its name is that of its arguments' model.

    ``run`` returns the result for the receipt or raises :class:`~commands.errors.ActionError`.
    It is cancelled when its time is over, when somebody cancels the command, and when the agent
    stops: then the command stays open, and ``resume`` ends it at the next start.
    """

    arguments: type[A]
    run: Callable[[A, Invocation], Awaitable[Result]]
    resume: Callable[[A, Invocation], Awaitable[Result]] | None = None
    """Ends what an earlier life of the agent began, also after a reboot; like ``run``. Without
    it the command has failed, with the code ``interrupted``."""
    instant: bool = False
    """Has no effect on the world and takes no time: done first, then recorded as one step."""
    idempotent: bool = False
    """May simply be run again after it was interrupted (in the same boot, while still valid)."""
    group: str | None = None
    """Actions of one group run one after the other; without one, beside anything."""
    missing: Callable[[], str | None] = lambda: None
    """What the machine lacks for it, in a sentence."""
    signers: Callable[[A], int] = lambda _: 1
    """How many persons must sign for these arguments; the policy may want more."""

    @property
    def name(self) -> str:
        """What a command calls it."""
        return self.arguments.ACTION


class Serving(Protocol):
    """Whether a citizen is being served."""

    @property
    def is_serving(self) -> bool:
        """Whether somebody is being served now."""
        ...

    async def wait_until_free(self) -> None:
        """Return when nobody is."""
        ...
