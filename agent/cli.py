"""``kiosk-agent``: the command line on the kiosk itself."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent import VERSION
from agent.errors import AgentError
from agent.settings import DEFAULT_FILE, Settings, load

app = typer.Typer(
    name="kiosk-agent",
    help="The edge agent of a service kiosk.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help=f"Settings file; default {DEFAULT_FILE} where it exists."),
]


def main() -> None:
    """Run the command line; an error that a person can act on is one sentence, not a trace."""
    try:
        app()
    except AgentError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _load(config: Path | None) -> Settings:
    if config is None and DEFAULT_FILE.exists():
        config = DEFAULT_FILE
    return load(config)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the agent until it is told to stop (SIGTERM)."""
    from agent.log import configure

    settings = _load(config)
    configure(settings.log)
    # A thread that writes to the database may hold up the event loop for a millisecond, not five.
    sys.setswitchinterval(0.001)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    from agent.daemon import Agent

    me = asyncio.current_task()
    assert me is not None  # noqa: S101 - asyncio.run made it
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, me.cancel)
    try:
        await Agent(settings).run()
    except asyncio.CancelledError:
        return


@app.command()
def check(file: Annotated[Path, typer.Argument(help="Settings file to check.")]) -> None:
    """Check a settings file; says line and reason of each fault."""
    settings = load(file)
    typer.echo(f"{file}: good (kiosk {settings.kiosk.id}, {len(settings.camera)} cameras)")


@app.command()
def status(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask the running agent how it is."""
    from agent.local_socket import ask

    answer = asyncio.run(ask(_load(config).kiosk.socket_path, "status"))
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
def version() -> None:
    """Print the version."""
    typer.echo(f"kiosk-agent {VERSION}")


if __name__ == "__main__":
    main()
