"""What every command of ``kioskctl`` shares: its two consoles, its settings, how it ends."""

# ruff: noqa: PLC0415 - imports only what a command runs: help is quick

import sys
from collections.abc import Coroutine
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from console.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from console.settings import ConsoleSettings

USAGE = 2
NO_BROKER = 6
INTERRUPTED = 130

T = TypeVar("T")


@cache
def out() -> "Console":
    """Return the console for results."""
    from rich.console import Console

    return Console(highlight=False)


@cache
def errors() -> "Console":
    """Return the console for what goes wrong, and for notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def settings_of(context: typer.Context) -> "ConsoleSettings":
    """Read the settings; raises :class:`~console.errors.SettingsError`."""
    settings: ConsoleSettings = context.obj()
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or until the operator has enough."""
    import asyncio

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def print_plain(text: str) -> None:
    """Print a line as it is, for other programs."""
    out().out(text, highlight=False)


def note(text: str) -> None:
    """Say something beside the result; what a kiosk or a file brought cannot act on the screen."""
    from rich.text import Text

    errors().print(Text(visible(text)), soft_wrap=True)


def complain(problem: object) -> None:
    """Say what went wrong."""
    from rich.text import Text

    errors().print(Text(f"kioskctl: {visible(str(problem))}"), style="red", soft_wrap=True)


def fail(problem: object, *, code: int = USAGE) -> NoReturn:
    """Say what went wrong, and end."""
    complain(problem)
    raise typer.Exit(code)


def confirm(question: str) -> None:
    """Ask; anything but a yes ends the program.

    Raises:
        ConsoleError: there is no terminal to ask on.
    """
    from console.errors import ConsoleError

    if not sys.stdin.isatty():
        msg = "nobody is here to be asked; --yes goes ahead"
        raise ConsoleError(msg)
    typer.confirm(visible(question), abort=True)
