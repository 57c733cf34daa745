"""``kioskctl snapshot``, ``log``, ``diagnostics``: what a kiosk sends home as a file."""

from pathlib import Path
from typing import Annotated

import typer

from console import terminal
from console.options import Fleet, Kiosk, Sending, duration, expand

app = typer.Typer()

Out = Annotated[Path, typer.Option(help="The file to write.")]


@app.command()
@expand
def snapshot(
    context: typer.Context,
    kiosk: Kiosk,
    camera: Annotated[str, typer.Argument(help="The camera's name.")],
    *,
    out: Out,
    blur: Annotated[
        bool, typer.Option(help="Make faces unrecognisable; without, two persons must sign.")
    ] = True,
    max_width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    sending: Sending,
) -> None:
    """Save the newest picture of a camera as JPEG."""
    from console.dispatch import order_it

    args = {"camera": camera, "blur": None if blur else False, "max_width_px": max_width}
    order_it(
        terminal.settings_of(context),
        kiosk,
        "snapshot",
        args,
        sending=sending,
        fleet=Fleet(),
        save=out,
    )


@app.command()
@expand
def log(
    context: typer.Context,
    kiosk: Kiosk,
    *,
    out: Out,
    since: Annotated[
        int | None,
        typer.Option(parser=duration, metavar="TIME", help="Not older: 90, 10m, 2h, 3d."),
    ] = None,
    lines: Annotated[int | None, typer.Option(help="The newest so many.")] = None,
    sending: Sending,
) -> None:
    """Save the agent's journal (gzip)."""
    from console.dispatch import order_it

    args = {"since_s": since, "lines": lines}
    order_it(
        terminal.settings_of(context),
        kiosk,
        "log.fetch",
        args,
        sending=sending,
        fleet=Fleet(),
        save=out,
    )


@app.command()
@expand
def diagnostics(context: typer.Context, kiosk: Kiosk, *, out: Out, sending: Sending) -> None:
    """Save versions, health, tasks and errors as one archive."""
    from console.dispatch import order_it

    settings = terminal.settings_of(context)
    order_it(settings, kiosk, "diagnostics", {}, sending=sending, fleet=Fleet(), save=out)
