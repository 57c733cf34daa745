"""``kiosk-agent``: the command line on the kiosk itself."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent import VERSION
from agent.audit_cli import audit_app
from agent.config_option import ConfigOption, load_settings, settings_path
from agent.errors import AgentError
from agent.faces_cli import faces_app
from agent.models_cli import models
from agent.plates_cli import plates
from agent.provision_cli import provision_app
from agent.release_cli import release_app
from vision.models.errors import ModelError

SERVICE_SOCKET = Path("/run/kiosk-agent/agent.sock")

SPARING = {
    "MALLOC_ARENA_MAX": "1",  # its few short-lived threads need no heaps of their own
    "PYTHONNODEBUGRANGES": "1",  # a traceback says the line; the column is for a screen
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # else all installed packages are searched for some
    "CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1",  # RC4, DES and MD4: of no use for Ed25519
}
"""The daemon's environment: 0.6 MiB less beside the first. What is set otherwise stays so."""

app = typer.Typer(
    name="kiosk-agent",
    help="The edge agent of a service kiosk.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(audit_app, name="audit")
app.add_typer(faces_app, name="faces")
app.add_typer(release_app, name="release")
app.add_typer(provision_app, name="provision")
app.command()(plates)
app.command()(models)


def main() -> None:
    """Run the command line; an error that a person can act on is one sentence, not a trace."""
    try:
        app(prog_name="kiosk-agent")  # the launcher starts it as a module
    except (AgentError, ModelError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the agent until it is told to stop (SIGTERM)."""
    path = settings_path(config)
    # The daemon is a process of its own, without the memory of this one.
    arguments = [sys.executable, "-m", "agent.run", *([str(path)] if path else [])]
    os.execve(sys.executable, arguments, {**SPARING, **os.environ})  # noqa: S606


@app.command()
def check(file: Annotated[Path, typer.Argument(help="Settings file to check.")]) -> None:
    """Check a settings file; says line and reason of each fault, and which broker it names."""
    from agent.settings_check import warnings

    settings = load_settings(file)
    kiosk, link = settings.kiosk, settings.link
    broker = f"{link.host}:{link.port} {'with' if link.tls else 'without'} TLS"
    typer.echo(f"{file}: good (kiosk {kiosk.id}, broker {broker}, {len(settings.camera)} cameras)")
    for warning in warnings(settings):
        typer.echo(f"warning: {warning}", err=True)


@app.command()
def status(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask the running agent how it is."""
    from agent.local.client import ask

    path = load_settings(config).kiosk.socket_path
    if not path.exists() and SERVICE_SOCKET.exists():
        path = SERVICE_SOCKET  # the service's runtime folder is not in a shell's environment
    answer = asyncio.run(ask(path, "GET", "/v1/status"))
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        from agent.status_view import render

        render(answer)


@app.command()
def demo(
    camera: Annotated[
        list[str] | None,
        typer.Option("--camera", help="File, RTSP address or V4L2 device; repeatable."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so long.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="No screen; print one JSON summary at the end.")
    ] = False,
) -> None:
    """Show it all here: a broker, an agent with two cameras, and what an operator sees."""
    from agent.demo import run_demo

    summary = run_demo(sources=camera or [], seconds=seconds, screen=not as_json)
    if as_json:
        typer.echo(json.dumps(summary.as_dict(), indent=2, ensure_ascii=False))
    if seconds is not None and not summary.complete:
        raise typer.Exit(1)


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI 3 document of the whole interface."""
    from contract.asyncapi import dumps

    typer.echo(dumps(), nl=False)


@app.command()
def settings() -> None:
    """Print the reference page of all settings."""
    from agent.settings_page import render

    typer.echo(render(), nl=False)


@app.command()
def actions() -> None:
    """Print the reference page of what commands can ask for."""
    from agent.actions_page import render

    typer.echo(render(), nl=False)


@app.command()
def openapi() -> None:
    """Print the OpenAPI 3.1 document of the local door."""
    from agent.local.openapi import dumps

    typer.echo(dumps(), nl=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"kiosk-agent {VERSION}")


if __name__ == "__main__":
    main()
