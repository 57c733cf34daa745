"""``kioskctl watch`` and ``events``."""

from typing import Annotated

import typer

from console import terminal
from console.options import Json, Kiosk, Seconds

app = typer.Typer()


@app.command()
def watch(context: typer.Context, *, as_json: Json = False, seconds: Seconds = None) -> None:
    """Show all kiosks live: state, last seen, worst alarm, health."""
    from console import screen

    settings = terminal.settings_of(context)
    out, errors = terminal.out(), terminal.errors()
    work = screen.watch(settings, out, errors, as_json=as_json, seconds=seconds)
    _finish(reached=terminal.run(work))


@app.command()
def events(
    context: typer.Context,
    kiosk: Kiosk,
    *,
    kind: Annotated[
        str | None,
        typer.Option(help="Such as 'camera.*', alarm.raised, receipt, gap, health, state."),
    ] = None,
    as_json: Json = False,
    seconds: Seconds = None,
) -> None:
    """Show what a kiosk reports as it arrives, each once."""
    from console import screen

    settings = terminal.settings_of(context)
    out, errors = terminal.out(), terminal.errors()
    work = screen.events(settings, kiosk, out, errors, kind=kind, as_json=as_json, seconds=seconds)
    _finish(reached=terminal.run(work))


def _finish(*, reached: bool) -> None:
    if not reached:
        raise typer.Exit(terminal.NO_BROKER)
