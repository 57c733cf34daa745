"""From an operator's wish to signed commands, and to the exit code."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from console import terminal
from console.arguments import checked
from console.errors import ConsoleError
from console.keys import read_private
from console.media import keep
from console.options import Choice, Fleet, Sending, Signing
from console.order import Draft, Order, read_orders, write_orders
from console.outcome import Ending, Outcome
from console.retained import online_kiosks
from console.send import Screen, Sender, patience_s
from console.send_view import JsonScreen, LineScreen, TableScreen, already, sentence, tally
from console.settings import ConsoleSettings
from console.words import LANGUAGES
from contract import Topics
from contract.keys import PrivateKey


def kiosks_of(settings: ConsoleSettings, choice: Choice, named: str | None) -> list[str]:
    """Return the kiosks that are meant, each once.

    Raises:
        ConsoleError: none is named, or they are named in two ways.
        MalformedError: an id is no id.
    """
    listed = [*([named] if named else []), *(choice.kiosks or [])]
    if choice.every and listed:
        msg = f"{listed[0]} and --all: which of them?"
        raise ConsoleError(msg)
    if choice.every:
        return terminal.run(online_kiosks(settings))
    if not listed:
        msg = "which kiosk? Its ID comes first; or --kiosk ID (repeatable), or --all"
        raise ConsoleError(msg)
    for kiosk in listed:
        Topics(kiosk, settings.root)
    return list(dict.fromkeys(listed))


def keys_of(settings: ConsoleSettings, files: Sequence[Path] | None) -> list[PrivateKey]:
    """Read the keys that shall sign.

    Raises:
        ConsoleError: there is none, or one cannot be read.
    """
    paths = list(files or ()) or ([settings.sign_key] if settings.sign_key else [])
    if not paths:
        msg = (
            "whose signature? --key FILE, KIOSKCTL_SIGN_KEY in the environment, or sign_key in "
            "the settings file; kioskctl key new makes a key"
        )
        raise ConsoleError(msg)
    return [read_private(path.expanduser()) for path in paths]


def drafts_of(
    settings: ConsoleSettings,
    kiosk: str | None,
    action: str,
    args: Mapping[str, Any],
    *,
    signing: Signing,
    choice: Choice,
    ttl_s: int,
    valid_from: int | None = None,
) -> list[Draft]:
    """Return a command for each kiosk that is meant; members of ``args`` that are None are absent.

    Raises:
        ConsoleError: no kiosk is meant, or the arguments do not fit the action.
    """
    given = checked(action, {name: value for name, value in args.items() if value is not None})
    return [
        Draft(one, action, given, ttl_s, signing.reason, signing.ticket, valid_from)
        for one in kiosks_of(settings, choice, kiosk)
    ]


def order_it(
    settings: ConsoleSettings,
    kiosk: str | None,
    action: str,
    args: Mapping[str, Any],
    *,
    sending: Sending,
    fleet: Fleet,
    save: Path | None = None,
) -> None:
    """Sign and send one action to all that are meant; see :func:`dispatch`."""
    drafts = drafts_of(
        settings, kiosk, action, args, signing=sending, choice=fleet, ttl_s=sending.ttl_s
    )
    dispatch(settings, drafts, sending, fleet, save=save)


def dispatch(
    settings: ConsoleSettings,
    drafts: Sequence[Draft],
    sending: Sending,
    fleet: Fleet,
    *,
    save: Path | None = None,
) -> None:
    """Sign and send, or write into a file where that is asked for.

    Args:
        settings: the broker.
        drafts: one for each kiosk, all with the same action.
        sending: how.
        fleet: how many at a time.
        save: where to write what the kiosk brings.

    Raises:
        ConsoleError: a key or a file is unusable, or what arrived is not what was sent.
        ContractError: a command breaks the contract.
        Exit: with the outcome, where that is not success.
    """
    keys = keys_of(settings, sending.key)
    if sending.sign_to is not None:
        sign_to(drafts, keys, sending.sign_to)
        return
    ask_before_all(settings, drafts, fleet)
    sender = Sender(keys=keys, timeout_s=sending.timeout or patience_s(drafts[0].action))
    send(settings, drafts, sender, sending, fleet, save=save)


def ask_before_all(settings: ConsoleSettings, drafts: Sequence[Draft], fleet: Fleet) -> None:
    """Let a person think again before a command goes to every kiosk."""
    if fleet.every and not fleet.yes and sys.stdin.isatty():
        question = LANGUAGES[settings.lang].send_question
        terminal.confirm(question.format(drafts[0].action, len(drafts)))


def send_file(
    settings: ConsoleSettings,
    file: Path,
    sending: Sending,
    fleet: Fleet,
    *,
    save: Path | None = None,
) -> None:
    """Send what was signed into a file; see :func:`dispatch`.

    Raises:
        ExpiredError: there is no time left for it.
    """
    orders = read_orders(file)
    timeout_s = sending.timeout or max(patience_s(order.action) for order in orders)
    send(settings, orders, Sender(keys=(), timeout_s=timeout_s), sending, fleet, save=save)


def sign_to(
    drafts: Sequence[Draft],
    keys: Sequence[PrivateKey],
    path: Path,
    *,
    challenge: str | None = None,
    answers: str | None = None,
) -> None:
    """Write signed commands into a new file.

    Raises:
        ConsoleError: it cannot be written.
        ContractError: a command breaks the contract.
    """
    write_orders([draft.sign(keys, challenge=challenge, answers=answers) for draft in drafts], path)
    terminal.note(
        f"{path}: {len(drafts)} signed; kioskctl cosign {path} adds a signature, "
        f"kioskctl send --file {path} sends"
    )


def send(
    settings: ConsoleSettings,
    drafts: Sequence[Draft | Order],
    sender: Sender,
    sending: Sending,
    fleet: Fleet,
    *,
    save: Path | None = None,
) -> None:
    """Send, show how it goes, and write what one kiosk brings; see :func:`dispatch`."""
    endings = deliver(settings, drafts, sender, sending, fleet, save=save)
    finish(settings, endings, sender.timeout_s, as_json=sending.as_json)


def deliver(
    settings: ConsoleSettings,
    drafts: Sequence[Draft | Order],
    sender: Sender,
    sending: Sending,
    fleet: Fleet,
    *,
    save: Path | None = None,
) -> list[Ending]:
    """Do what :func:`send` does, and return the ends instead of judging them."""
    several = len(drafts) > 1
    if several and save is not None:
        msg = "only what one kiosk brings can be written into a file"
        raise ConsoleError(msg)
    sender.check(drafts)
    words = LANGUAGES[settings.lang]
    out, errors = terminal.out(), terminal.errors()
    with contextlib.ExitStack() as stack:
        screen: Screen
        if sending.as_json:
            screen = JsonScreen(out, errors, several=several)
        elif several and out.is_terminal:
            kiosks = [draft.kiosk for draft in drafts]
            screen = stack.enter_context(TableScreen(kiosks, out, words))
        else:
            screen = LineScreen(out, errors, words, several=several)
        work = sender.send(
            settings, drafts, screen, at_once=fleet.at_once, with_media=save is not None
        )
        endings = terminal.run(work)
    if save is not None and endings[0].outcome is Outcome.SUCCEEDED:
        size = keep(endings[0], save)
        terminal.note(f"{save}: {size} bytes")
    return endings


def finish(
    settings: ConsoleSettings, endings: Sequence[Ending], timeout_s: float, *, as_json: bool
) -> None:
    """Say how it ended. Raises ``Exit`` with the worst outcome, where that is not success."""
    words = LANGUAGES[settings.lang]
    worst = max(ending.outcome for ending in endings)
    if len(endings) > 1 and not as_json:
        terminal.out().print(tally(endings, words))
    elif len(endings) == 1 and worst is not Outcome.SUCCEEDED:
        terminal.complain(sentence(endings[0], timeout_s=timeout_s))
    elif len(endings) == 1 and (told := already(endings[0])):
        terminal.note(told)
    if worst is not Outcome.SUCCEEDED:
        raise typer.Exit(worst)
