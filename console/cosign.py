"""What somebody is about to sign, in plain words; and the second signature under it."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from console import files
from console.order import lines, local_time
from console.view import plain
from console.words import Words
from contract.command import Command, cosign_command, open_command
from contract.keys import KeySet, PrivateKey
from contract.limits import MAX_COMMAND_BYTES
from contract.signature import claimed_signers


def describe_command(
    document: bytes, command: Command, known: KeySet | None, words: Words
) -> Table:
    """Return a command as a person reads it: who shall do what, why, and who signed so far.

    Args:
        document: the signed command.
        command: what it claims to ask for.
        known: checks the signatures and names their owners; without it they are only claims.
        words: the operator's language.

    Raises:
        SignatureError: a signature by a known key is broken, or none is by a known key.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    arguments = "  ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in command.args.items()
    )
    rows = {
        words.kiosk: command.kiosk,
        words.action: command.action,
        words.arguments: arguments or "-",
        words.reason: command.reason or "-",
        words.ticket: command.ticket or "-",
        words.valid: f"{local_time(command.nbf)} - {local_time(command.exp)}",
        words.signed_by: _signers(document, known, words),
    }
    for name, value in rows.items():
        table.add_row(Text(name, "bold"), Text(plain(value)))
    table.add_row("", "")
    return table


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
