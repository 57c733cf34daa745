"""``kioskctl reboot``, ``lock``, ``unlock``: what is ordered every day, in one word."""

from typing import Annotated

import typer

from console import terminal
from console.options import Fleet, OptionalKiosk, Sending, duration, expand

app = typer.Typer()

Door = Annotated[bool, typer.Option("--door", help="The door, not screen and business.")]
Force = Annotated[bool, typer.Option("--force", help="Even while a citizen is being served.")]


@app.command()
@expand
def reboot(
    context: typer.Context,
    kiosk: OptionalKiosk = None,
    *,
    force: Force = False,
    grace: Annotated[
        int | None, typer.Option(min=0, help="Seconds that the screen announces it before.")
    ] = None,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Restart machines; done when they are back."""
    from console.dispatch import order_it

    args = {"force": force or None, "grace_s": grace}
    order_it(terminal.settings_of(context), kiosk, "reboot", args, sending=sending, fleet=fleet)


@app.command()
@expand
def lock(
    context: typer.Context,
    kiosk: OptionalKiosk = None,
    *,
    door: Door = False,
    time: Annotated[
        int | None,
        typer.Option(
            "--for", parser=duration, metavar="TIME", help="Ends by itself: 90, 10m, 2h, 1d."
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Shown to citizens meanwhile.")] = None,
    force: Force = False,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Close screen and business, or keep people from entering."""
    from console.dispatch import order_it
    from console.errors import ConsoleError

    if door and (text is not None or force):
        msg = "--text and --force are for screen and business, not for the door"
        raise ConsoleError(msg)
    action = "door.lock" if door else "service.lock"
    args = {"for_s": time, "text": text, "force": force or None}
    order_it(terminal.settings_of(context), kiosk, action, args, sending=sending, fleet=fleet)


@app.command()
@expand
def unlock(
    context: typer.Context,
    kiosk: OptionalKiosk = None,
    *,
    door: Door = False,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Open screen and business, or the door, again."""
    from console.dispatch import order_it

    action = "door.unlock" if door else "service.unlock"
    order_it(terminal.settings_of(context), kiosk, action, {}, sending=sending, fleet=fleet)
