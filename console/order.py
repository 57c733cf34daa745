"""A command on the operator's side: drafted, signed, kept in a file between two persons."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from console import files
from console.errors import ConsoleError, ExpiredError
from console.outcome import LEEWAY_S
from contract import ContractError
from contract.command import Command, read_unverified, sign_command
from contract.ids import uuid7
from contract.keys import PrivateKey
from contract.wire import validated

MAX_FILE_BYTES = 64 * 1024 * 1024
"""A file holds a line for each kiosk: a thousand of the largest commands."""


@dataclass(frozen=True, slots=True)
class Order:
    """A signed command on its way."""

    kiosk: str
    command_id: str
    action: str
    payload: bytes
    exp: int
    """When it expires: seconds since 1970."""

    def expires_s(self) -> float:
        """Seconds for which a broker may keep it; not above 0 when it is too late."""
        return self.exp - time.time()


@dataclass(frozen=True, slots=True)
class Draft:
    """A command that nobody has signed yet, its arguments checked."""

    kiosk: str
    action: str
    args: Mapping[str, Any] = field(default_factory=dict)
    ttl_s: int = 300
    reason: str = ""
    ticket: str | None = None
    valid_from: int | None = None
    """Seconds since 1970; without it, the moment of signing."""

    def sign(
        self,
        keys: Sequence[PrivateKey],
        *,
        challenge: str | None = None,
        answers: str | None = None,
    ) -> Order:
        """Sign it with every key; each time it is another command, with an id of its own.

        ``challenge`` is that of the receipt which refused the command ``answers``.

        Raises:
            ContractError: it breaks the contract.
        """
        now = time.time()
        begin = int(now) if self.valid_from is None else self.valid_from
        fields = {
            "id": uuid7(int(now * 1000)),
            "kiosk": self.kiosk,
            "action": self.action,
            "args": dict(self.args),
            "reason": self.reason,
            "ticket": self.ticket,
            "nbf": begin,
            "exp": begin + self.ttl_s,
            "ttl_s": self.ttl_s,
            "challenge": challenge,
            "answers": answers,
        }
        command = validated(lambda: Command.model_validate(fields))
        return _order(command, sign_command(command, keys))


def write_orders(orders: Sequence[Order], path: Path) -> None:
    """Write signed commands into a new file, one a line.

    Raises:
        ConsoleError: the file exists, or cannot be written.
    """
    try:
        files.create(path, lines([order.payload for order in orders]))
    except FileExistsError:
        msg = f"{path} exists and is not overwritten"
        raise ConsoleError(msg) from None
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise ConsoleError(msg) from None


def read_orders(path: Path) -> list[Order]:
    """Read a file of signed commands; whether the signatures hold, the kiosk will say.

    Raises:
        ConsoleError: it cannot be read, holds something else, or is not valid yet.
        ExpiredError: one of them may not be begun any more.
    """
    documents = read_documents(path)
    now = time.time()
    for _, command in documents:
        if command.exp <= now:
            msg = (
                f"{path}: the command for {command.kiosk} expired at {local_time(command.exp)}; "
                "it has to be signed anew"
            )
            raise ExpiredError(msg)
        if command.nbf > now + LEEWAY_S:
            msg = (
                f"{path}: the command for {command.kiosk} is not valid before "
                f"{local_time(command.nbf)}; send it then"
            )
            raise ConsoleError(msg)
    return [_order(command, document) for document, command in documents]


def read_documents(path: Path) -> list[tuple[bytes, Command]]:
    """Read a file of signed commands: each document and what it claims to ask for.

    Raises:
        ConsoleError: it cannot be read, or holds something else.
    """
    documents = [line for line in files.read(path, limit=MAX_FILE_BYTES).splitlines() if line]
    found = []
    for number, document in enumerate(documents, start=1):
        try:
            found.append((document, read_unverified(document)))
        except ContractError as error:
            msg = f"{path}, line {number}: no signed command: {error}"
            raise ConsoleError(msg) from None
    if not found:
        msg = f"{path} is empty; kioskctl sign makes such files"
        raise ConsoleError(msg)
    return found


def local_time(unix_s: int) -> str:
    """Return a moment as a person in this zone reads it."""
    try:
        return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, ValueError, OSError):
        return f"second {unix_s}"


def _order(command: Command, payload: bytes) -> Order:
    return Order(command.kiosk, command.id, command.action, payload, command.exp)


def lines(documents: Sequence[bytes]) -> bytes:
    """Return the content of a file of signed commands."""
    return b"".join(document + b"\n" for document in documents)
