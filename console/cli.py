"""``kioskctl``: watch kiosks, read their events, send them signed commands."""

import asyncio
import json
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from console import keys, screen
from console.errors import ConsoleError, SettingsError
from console.send import Order, Outcome, make_order, see_through
from console.settings import ConsoleSettings, load
from console.view import message_line
from console.words import LANGUAGES
from contract import ContractError, Data, Envelope
from contract.command import MAX_VALIDITY_S
from contract.keys import Role
from contract.receipt import Receipt

USAGE = 2
INTERRUPTED = 130

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
key_app = typer.Typer(no_args_is_help=True, help="Operators' keys.")
app.add_typer(key_app, name="key")

_out = Console(highlight=False)
_errors = Console(stderr=True, highlight=False)

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Seconds = Annotated[float | None, typer.Option(help="Stop after so many seconds.")]
Kiosk = Annotated[str, typer.Argument(metavar="ID", help="The kiosk's id.")]


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
    context.obj = lambda: load(config, **options)


@app.command()
def watch(context: typer.Context, *, as_json: Json = False, seconds: Seconds = None) -> None:
    """Show all kiosks live: state, last seen, worst alarm, health."""
    settings = _settings(context)
    reached = _run(screen.watch(settings, _out, _errors, as_json=as_json, seconds=seconds))
    _finish(reached)


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
    """Show a kiosk's events, alarms, receipts and gaps as they arrive, each once."""
    settings = _settings(context)
    work = screen.events(
        settings, kiosk, _out, _errors, kind=kind, as_json=as_json, seconds=seconds
    )
    _finish(_run(work))


@app.command()
def send(
    context: typer.Context,
    kiosk: Kiosk,
    action: Annotated[str, typer.Argument(help="Such as ping.")],
    *,
    key: Annotated[
        list[Path],
        typer.Option(envvar="KIOSKCTL_SIGN_KEY", help="Private key; twice for two signatures."),
    ],
    arg: Annotated[
        list[str] | None, typer.Option(help="name=text, or name:=JSON. Repeatable.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    ticket: Annotated[str | None, typer.Option(help="Number of the case.")] = None,
    ttl: Annotated[
        int, typer.Option(min=1, max=MAX_VALIDITY_S, help="Seconds it stays valid.")
    ] = 300,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the end.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Sign a command, send it, and wait for its end.

    Exit code: 0 succeeded, 1 failed, 2 wrong usage, 3 rejected, 4 expired,
    5 no answer in time, 6 no broker.
    """
    settings = _settings(context)
    words = LANGUAGES[settings.lang]
    try:
        order = make_order(
            kiosk,
            action,
            dict(_argument(text) for text in arg or []),
            keys=[keys.read_private(path) for path in key],
            ttl_s=ttl,
            reason=reason,
            ticket=ticket,
        )
    except (ConsoleError, ContractError) as error:
        _fail(error)
    status = screen.Status(_errors)
    last: list[Receipt] = []

    def on_receipt(message: Envelope[Data]) -> None:
        if isinstance(message.data, Receipt):
            last[:] = [message.data]
        if as_json:
            _out.out(message.model_dump_json(exclude_none=True), highlight=False)
        else:
            _out.print(message_line(message, words), soft_wrap=True)

    outcome = _run(
        see_through(settings, order, timeout_s=timeout, on_receipt=on_receipt, report=status.report)
    )
    if outcome is not Outcome.SUCCEEDED:
        _complain(_sentence(outcome, order, last, timeout))
    raise typer.Exit(outcome)


@key_app.command("new")
def key_new(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[Role, typer.Option(help="What its owner may order.")],
    out: Annotated[Path, typer.Option(help="The private key's file; must not exist.")],
    days: Annotated[int | None, typer.Option(min=1, help="Valid for so many days.")] = None,
) -> None:
    """Make a key: the private half into a file, the public half onto the screen."""
    exp = None if days is None else int(time.time()) + days * 86_400
    try:
        key = keys.new_key(name, role, exp=exp)
        keys.write_private(key, out)
    except ConsoleError as error:
        _fail(error)
    _out.out(key.public().model_dump_json(exclude_none=True), highlight=False)
    _errors.print(Text(f"The private key is in {out}; it never leaves this machine."))


@key_app.command("trust")
def key_trust(
    public: Annotated[Path, typer.Argument(help="The public half of a key.")],
    into: Annotated[Path, typer.Option(help="The kiosk's operators file.")],
) -> None:
    """Add a public key to the file of those whose commands a kiosk obeys."""
    try:
        key, count = keys.trust(public, into)
    except ConsoleError as error:
        _fail(error)
    _out.print(Text(f"{into}: {key.name} ({key.kid}) as {key.role}; {count} keys"))


def main() -> None:
    """Run ``kioskctl``."""
    app(prog_name="kioskctl")


def _settings(context: typer.Context) -> ConsoleSettings:
    try:
        settings: ConsoleSettings = context.obj()
    except SettingsError as error:
        _fail(error)
    return settings


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        msg = f"--arg {text!r}: expected name=text or name:=JSON"
        raise ConsoleError(msg)
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError as error:
        msg = f"--arg {text!r}: not JSON: {error}"
        raise ConsoleError(msg) from None


def _sentence(outcome: Outcome, order: Order, last: list[Receipt], timeout_s: float) -> str:
    why = last[0].text if last else ""
    kiosk = order.kiosk
    until = datetime.fromtimestamp(order.exp, UTC).strftime("%H:%M:%S UTC")
    match outcome:
        case Outcome.REJECTED:
            return f"{kiosk} rejected the command: {why}"
        case Outcome.EXPIRED:
            return f"the command expired before {kiosk} began it: {why}"
        case Outcome.NO_ANSWER if last:
            return f"{kiosk} has not finished within {timeout_s:g} s; it goes on by itself"
        case Outcome.NO_ANSWER:
            return (
                f"no answer from {kiosk} within {timeout_s:g} s; should it come on line, it may"
                f" still do it until {until}"
            )
        case Outcome.NO_BROKER:
            return f"the broker was not reached within {timeout_s:g} s; nothing was sent"
        case _:
            return f"{kiosk} could not do it: {why}"


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (ConsoleError, ContractError) as error:
        _fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _finish(reached: bool) -> None:  # noqa: FBT001 - the one thing it is about
    if not reached:
        raise typer.Exit(Outcome.NO_BROKER)


def _complain(text: str) -> None:
    _errors.print(Text(f"kioskctl: {text}"), style="red", soft_wrap=True)


def _fail(problem: object) -> NoReturn:
    _complain(str(problem))
    raise typer.Exit(USAGE)
