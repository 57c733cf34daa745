"""The two ways of a new configuration to a kiosk: a command, or a document at the broker."""

import json
import time
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from console import terminal
from console.arguments import checked
from console.config_file import next_version, read_settings
from console.desired import put
from console.dispatch import dispatch, keys_of, kiosks_of
from console.errors import ConsoleError
from console.options import Fleet, Sending
from console.order import Draft
from console.outcome import Outcome
from console.retained import config_reports
from console.screen import Status
from console.send import patience_s
from console.settings import ConsoleSettings
from console.view import plain
from contract.config import DesiredConfig, sign_config
from contract.ids import uuid7
from contract.wire import validated

ACTION = "config.push"


def push_command(
    settings: ConsoleSettings,
    kiosk: str | None,
    file: Path,
    version: int | None,
    *,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Send ``config.push`` to all that are meant, each with its next version.

    Raises:
        ConsoleError: the file, a key, or the choice of kiosks is unusable.
        Exit: with the outcome, where that is not success.
    """
    wanted = read_settings(file)
    kiosks = kiosks_of(settings, fleet, kiosk)
    versions = _versions(settings, kiosks, version)
    drafts = [
        Draft(
            one, ACTION, _args(versions[one], wanted), sending.ttl_s, sending.reason, sending.ticket
        )
        for one in kiosks
    ]
    dispatch(settings, drafts, sending, fleet)


def push_retained(
    settings: ConsoleSettings,
    kiosk: str | None,
    file: Path,
    version: int | None,
    *,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Publish the desired configuration of one kiosk and wait for its verdict.

    Raises:
        ConsoleError: the file, a key, or the choice of kiosks is unusable.
        Exit: with the outcome, where that is not success.
    """
    wanted = read_settings(file)
    kiosks = kiosks_of(settings, fleet, kiosk)
    if len(kiosks) != 1 or sending.sign_to is not None:
        msg = "--retain is for one kiosk at a time, and sends at once"
        raise ConsoleError(msg)
    number = _versions(settings, kiosks, version)[kiosks[0]]
    fields = {
        "id": uuid7(int(time.time() * 1000)),
        "kiosk": kiosks[0],
        "version": number,
        "settings": wanted,
        "reason": sending.reason,
        "ticket": sending.ticket,
    }
    desired = validated(lambda: DesiredConfig.model_validate(fields))
    document = sign_config(desired, keys_of(settings, sending.key))

    def say(text: str) -> None:
        if not sending.as_json:
            terminal.out().print(Text(plain(f"{desired.kiosk} version {number}: {text}")))

    work = put(
        settings,
        desired,
        document,
        timeout_s=sending.timeout or patience_s(ACTION),
        on_news=say,
        report=Status(terminal.errors()).report,
    )
    outcome, text = terminal.run(work)
    if sending.as_json:
        result = {"kiosk": desired.kiosk, "version": number, "outcome": outcome.name.lower()}
        terminal.print_plain(json.dumps(result | {"text": text}, ensure_ascii=False))
    if outcome is not Outcome.SUCCEEDED:
        terminal.complain(text)
        raise typer.Exit(outcome)


def _args(version: int, settings: dict[str, Any]) -> dict[str, Any]:
    return checked(ACTION, {"version": version, "settings": settings})


def _versions(settings: ConsoleSettings, kiosks: list[str], version: int | None) -> dict[str, int]:
    if version is not None:
        return dict.fromkeys(kiosks, version)
    try:
        reports = terminal.run(config_reports(settings, kiosks))
    except ConsoleError as error:
        if error.exit_code == ConsoleError.exit_code:
            msg = f"{error} Without a report, --version says the number"
            raise ConsoleError(msg) from None
        raise
    return {kiosk: next_version(report) for kiosk, report in reports.items()}
