"""``kioskctl``: watch kiosks, read their events, send them signed commands."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from console import (
    audit_cli,
    ca_cli,
    certificate_cli,
    config_cli,
    key_cli,
    media_cli,
    send_cli,
    shortcut_cli,
    terminal,
    watch_cli,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Watch kiosks, read their events, send them signed commands.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in a third of the time
)
for part in (watch_cli, send_cli, shortcut_cli, media_cli):
    app.add_typer(part.app)
app.add_typer(audit_cli.audit_app, name="audit")
app.add_typer(ca_cli.app, name="ca")
app.add_typer(certificate_cli.app, name="certificate")
app.add_typer(config_cli.app, name="config")
app.add_typer(key_cli.key_app, name="key")
app.add_typer(key_cli.keys_app, name="keys")


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"kioskctl {version('kiosk-agent')}")
    except PackageNotFoundError:
        typer.echo("kioskctl, not installed")
    raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="KIOSKCTL_CONFIG", help="Settings file; default ~/.config/kioskctl.toml."
        ),
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="mqtt://, mqtts://, ws:// or wss://HOST[:PORT]")
    ] = None,
    user: Annotated[str | None, typer.Option(help="MQTT user name.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="One line; or KIOSKCTL_PASSWORD in the environment.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificates to trust, PEM.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Client certificate, PEM.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    root: Annotated[str | None, typer.Option(help="Topic root; default kiosk/v1.")] = None,
    lang: Annotated[str | None, typer.Option(help="Language of the screen: en or zh.")] = None,
    version: Annotated[  # noqa: ARG001 - its callback tells it
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version."),
    ] = False,
) -> None:
    """Each option is also read from the environment (KIOSKCTL_BROKER, ...) and the file."""
    options = {
        "broker": broker,
        "user": user,
        "password_file": password_file,
        "ca": ca,
        "certificate": certificate,
        "certificate_key": certificate_key,
        "root": root,
        "lang": lang,
    }

    def settings() -> object:
        from console.settings import load

        return load(config, **options)

    context.obj = settings


def main() -> None:
    """Run ``kioskctl``; what the operator has to know is one sentence, not a trace."""
    try:
        app(prog_name="kioskctl")
    except Exception as error:
        from console.errors import ConsoleError
        from contract import ContractError

        if not isinstance(error, (ConsoleError, ContractError)):
            raise
        terminal.complain(error)
        sys.exit(getattr(error, "exit_code", ConsoleError.exit_code))


if __name__ == "__main__":
    main()
