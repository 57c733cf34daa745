"""``kioskctl config``: settings pushed to kiosks, shown, compared."""

from pathlib import Path
from typing import Annotated

import typer

from console import terminal
from console.options import Fleet, Json, Kiosk, Sending, expand

app = typer.Typer(no_args_is_help=True, help="Settings of kiosks.")

SettingsFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Tables of the settings file: TOML, or *.json.")
]


@app.command()
@expand
def push(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID] FILE",
            help="The kiosk, and tables of the settings file: TOML, or *.json.",
        ),
    ] = None,
    *,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="Default: one more than the highest that the kiosk reports."),
    ] = None,
    retain: Annotated[
        bool,
        typer.Option(
            "--retain",
            help="Leave it at the broker as the desired state, also for a kiosk that is offline.",
        ),
    ] = False,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Put settings in force on trial; what cuts the kiosk off or breaks it goes back by itself."""
    from console.config_push import push_command, push_retained
    from console.errors import ConsoleError

    if not words or len(words) > 2:
        msg = "expected: [ID] FILE, such as: k-17 cameras.toml"
        raise ConsoleError(msg)
    kiosk, file = (None, words[0]) if len(words) == 1 else words
    how = push_retained if retain else push_command
    settings = terminal.settings_of(context)
    how(settings, kiosk, Path(file), version, sending=sending, fleet=fleet)


@app.command()
def show(context: typer.Context, kiosk: Kiosk, *, as_json: Json = False) -> None:
    """Show what a kiosk last reported to have in force."""
    from console.config_view import report_view
    from console.retained import config_reports
    from console.words import LANGUAGES

    settings = terminal.settings_of(context)
    report = terminal.run(config_reports(settings, [kiosk]))[kiosk]
    if as_json:
        terminal.print_plain(report.model_dump_json(exclude_none=True))
    else:
        terminal.out().print(report_view(report, LANGUAGES[settings.lang]), soft_wrap=True)


@app.command()
def diff(context: typer.Context, kiosk: Kiosk, file: SettingsFile) -> None:
    """Show what a file would change. Exit code: 0 nothing, 1 something."""
    from console import config_file
    from console.config_view import diff_view
    from console.retained import config_reports
    from console.words import LANGUAGES

    settings = terminal.settings_of(context)
    wanted = config_file.read_settings(file)
    report = terminal.run(config_reports(settings, [kiosk]))[kiosk]
    lines = config_file.diff(report.settings, wanted)
    terminal.out().print(diff_view(lines, LANGUAGES[settings.lang]), soft_wrap=True)
    raise typer.Exit(1 if lines else 0)
