"""What somebody is about to sign, in plain words; and the second signature under it."""

import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console import files
from console.key_set import changes
from console.key_view import key_table
from console.order import lines, local_time
from console.visible import visible
from console.words import Words
from contract import MalformedError
from contract.actions import KeysUpdate
from contract.command import Command, cosign_command, open_command
from contract.keys import KeySet, PrivateKey, fingerprint
from contract.limits import MAX_COMMAND_BYTES
from contract.signature import claimed_signers
from contract.wire import validated

_SIMPLE: Final = re.compile(r"[\w.:/@+=-]+")


def describe_command(
    document: bytes, command: Command, known: KeySet | None, words: Words
) -> RenderableType:
    """Return a command as a person reads it: who shall do what, why, and who signed so far.

    Nothing is cut off, on a screen of 20 columns or more: what nobody sees, nobody signs.

    Args:
        document: the signed command.
        command: what it claims to ask for.
        known: checks the signatures and names their owners; without it they are only claims.
        words: the operator's language.

    Raises:
        SignatureError: a signature by a known key is broken, or none is by a known key.
    """
    keys = _new_keys(command)
    rows: list[tuple[str, Sequence[str]]] = [
        (words.kiosk, [command.kiosk]),
        (words.action, [command.action]),
        (words.arguments, _arguments(command.args))
        if keys is None
        else (words.replaces, _replaces(command.args["replaces"], known, words)),
        (words.reason, [command.reason or "-"]),
        (words.ticket, [command.ticket or "-"]),
        (words.valid, [f"{local_time(command.nbf)} - {local_time(command.exp)}"]),
        (words.signed_by, [_signers(document, known, words)]),
    ]
    parts: list[RenderableType] = [_grid(rows)]
    if keys is not None:
        parts += ["", key_table(keys, time.time(), words)]
        if known is not None and fingerprint(known) == command.args["replaces"]:
            parts.append(_grid((line[0], [line[2:]]) for line in changes(known, keys)))
    return Group(*parts, "")


def cosign_file(documents: Sequence[tuple[bytes, Command]], key: PrivateKey, *, into: Path) -> None:
    """Add a signature to commands and write them.

    Raises:
        SignatureError: this key has signed one of them already.
        ConsoleError: the file cannot be written.
    """
    files.save(into, lines([cosign_command(document, key) for document, _ in documents]))


def _signers(document: bytes, known: KeySet | None, words: Words) -> str:
    if known is None:
        claimed = claimed_signers(document, limit=MAX_COMMAND_BYTES)
        return f"{', '.join(claimed)} ({words.unchecked})"
    keys = {key.kid: key for key in known.keys}
    verifiers = {kid: key.verifier() for kid, key in keys.items()}
    signers = open_command(document, verifiers).signers
    return ", ".join(
        f"{keys[kid].name} ({kid}, {words.roles.get(keys[kid].role, keys[kid].role)})"
        for kid in signers
    )


def _grid(rows: Iterable[tuple[str, Sequence[str]]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(overflow="fold")
    for title, values in rows:
        for number, value in enumerate(values):
            table.add_row(Text("" if number else title, "bold"), Text(visible(value)))
    return table


def _arguments(args: dict[str, Any]) -> list[str]:
    """Return a line for each argument."""
    return [f"{_word(name)}={_word(value)}" for name, value in args.items()] or ["-"]


def _word(value: Any) -> str:
    """Return a simple word as it is, and everything else as JSON.

    Where a text ends has to be seen: one with blanks could look like the next argument.
    """
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and _SIMPLE.fullmatch(value) and not _is_json(value):
        return value
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _new_keys(command: Command) -> KeySet | None:
    """Return the keys that ``keys.update`` brings; ``None`` for all else, and where it is none."""
    if command.action != KeysUpdate.ACTION:
        return None
    try:
        update = validated(lambda: KeysUpdate.model_validate_json(command.args_json()))
        return validated(lambda: KeySet(keys=update.keys))
    except MalformedError:
        return None


def _replaces(replaced: str, known: KeySet | None, words: Words) -> list[str]:
    if known is None:
        return [replaced]
    return [replaced, words.known_keys if fingerprint(known) == replaced else words.other_keys]
