"""The seam between the command path and what it can do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from contract import Stamp
from contract.command import Command
from contract.keys import Role

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Invocation:
    """What an action may know of the command that runs it."""

    command: Command
    signers: tuple[str, ...]
    received: Stamp
    begun: Stamp


@dataclass(frozen=True, slots=True)
class Action(Generic[A]):
    """Something that a command can ask for.

    ``run`` returns the result for the receipt (JSON, at most
    :data:`~commands.executor.MAX_RESULT_BYTES`) or raises
    :class:`~commands.errors.ActionError`.
    """

    name: str
    arguments: type[A]
    roles: frozenset[Role]
    """Who may ask for it: one signer with one of these roles."""
    run: Callable[[A, Invocation], Awaitable[dict[str, Any]]]
    idempotent: bool = False
    """May be run again after it was interrupted."""
    disruptive: bool = True
    """Interrupts service: not on the word of a clock that may be wrong."""
