"""``kioskctl send``, ``sign`` and ``cosign``: any action, by one person or two."""

from pathlib import Path
from typing import Annotated

import typer

from console import terminal
from console.options import (
    DAY_S,
    ActionWords,
    Args,
    Choice,
    Fleet,
    Sending,
    Signing,
    duration,
    expand,
    moment,
)

app = typer.Typer()


@app.command()
@expand
def send(
    context: typer.Context,
    words: ActionWords = None,
    *,
    arg: Args = None,
    file: Annotated[
        Path | None, typer.Option(help="Send what is in this file, from kioskctl sign.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write what the kiosk brings (picture, archive) here.")
    ] = None,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Sign a command, send it, and wait for its end.

    Exit code: 0 succeeded, 1 failed, 2 wrong usage, 3 rejected, 4 expired,
    5 no answer in time, 6 no broker; of several kiosks the highest.
    """
    from console.arguments import read_arguments
    from console.dispatch import order_it, send_file

    settings = terminal.settings_of(context)
    if file is not None:
        _nothing_else(words, arg)
        send_file(settings, file, sending, fleet, save=save)
        return
    kiosk, action = _split(words)
    order_it(
        settings,
        kiosk,
        action,
        read_arguments(action, arg or []),
        sending=sending,
        fleet=fleet,
        save=save,
    )


@app.command()
@expand
def sign(
    context: typer.Context,
    words: ActionWords = None,
    *,
    out: Annotated[Path, typer.Option(help="The file to make; one line for each kiosk.")],
    arg: Args = None,
    valid_from: Annotated[
        int | None,
        typer.Option(
            parser=moment, metavar="WHEN", help="Such as 2026-05-01T08:00 or +2h; default now."
        ),
    ] = None,
    ttl: Annotated[
        int,
        typer.Option(parser=duration, metavar="TIME", help="How long it stays valid, at most 7d."),
    ] = DAY_S,
    challenge: Annotated[
        str | None, typer.Option(help="From a rejection with the code clock.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="The id of the rejected command.")
    ] = None,
    signing: Signing,
    choice: Choice,
) -> None:
    """Sign a command into a file, to be cosigned or sent later."""
    from console.arguments import read_arguments
    from console.dispatch import drafts_of, keys_of, sign_to

    settings = terminal.settings_of(context)
    kiosk, action = _split(words)
    args = read_arguments(action, arg or [])
    drafts = drafts_of(
        settings,
        kiosk,
        action,
        args,
        signing=signing,
        choice=choice,
        ttl_s=ttl,
        valid_from=valid_from,
    )
    sign_to(drafts, keys_of(settings, signing.key), out, challenge=challenge, answers=answers)


@app.command()
def cosign(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="From kioskctl sign.")],
    *,
    key: Annotated[
        Path | None, typer.Option(envvar="KIOSKCTL_SIGN_KEY", help="Your private key.")
    ] = None,
    operators: Annotated[
        Path | None,
        typer.Option(
            help="A key set: checks the signatures that are there and names their owners."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the result here; default: into the same file.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show what a file asks for, and sign it too."""
    from console.cosign import cosign_file, describe_command
    from console.dispatch import keys_of
    from console.key_set import read_key_set
    from console.order import read_documents
    from console.words import LANGUAGES

    settings = terminal.settings_of(context)
    words = LANGUAGES[settings.lang]
    documents = read_documents(file)
    known = None if operators is None else read_key_set(operators)
    for document, command in documents:
        terminal.out().print(describe_command(document, command, known, words))
    [own] = keys_of(settings, [key] if key else None)
    if not yes:
        terminal.confirm(words.sign_question.format(own.name))
    cosign_file(documents, own, into=out or file)
    terminal.note(
        f"{out or file}: signed by {own.kid}; kioskctl send --file {out or file} sends it"
    )


def _split(words: list[str] | None) -> tuple[str | None, str]:
    from console.errors import ConsoleError

    match words:
        case [action]:
            return None, action
        case [kiosk, action]:
            return kiosk, action
        case _:
            msg = "expected: [ID] ACTION, such as: k-17 ping"
            raise ConsoleError(msg)


def _nothing_else(words: list[str] | None, arg: list[str] | None) -> None:
    from console.errors import ConsoleError

    if words or arg:
        msg = "what --file sends is signed already; nothing can be added to it"
        raise ConsoleError(msg)
