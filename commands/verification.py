"""May this be done? From the bytes that arrived to an order that the kiosk will carry out.

Every function raises :class:`~commands.errors.RefusedError` with the receipt's code. The clock
is asked for dates only while it is synced: a wrong clock must neither revive an old command nor
kill a good one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from commands.action import Action
from commands.errors import RefusedError
from commands.ledger_store import Record
from commands.trust import Trust
from contract import ContractError, MalformedError, OversizeError, Stamp
from contract.command import Command, SignedCommand, open_command
from contract.errors import SignatureError, UnknownKeyError
from contract.keys import OperatorKey
from contract.receipt import ReceiptCode
from contract.wire import format_time, validated

A = TypeVar("A", bound=BaseModel)

_CODES: tuple[tuple[type[ContractError], ReceiptCode], ...] = (
    (OversizeError, "too_large"),
    (MalformedError, "malformed"),
    (UnknownKeyError, "unknown_key"),
    (SignatureError, "bad_signature"),
)


def authenticate(payload: bytes, trust: Trust, *, kiosk: str, now: Stamp) -> SignedCommand:
    """Return the command that a trusted operator gave to this kiosk, and who that was.

    Signers whose key is not valid at the moment are left out.
    """
    try:
        signed = open_command(payload, trust.verifiers)
    except ContractError as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        text = str(error) if trust.problem is None else f"{error}. {trust.problem}"
        raise RefusedError(code=code, text=text) from None
    signers = tuple(kid for kid in signed.signers if _valid(trust.keys[kid], now))
    if not signers:
        text = f"the key {signed.signers[0]} is not valid at this date"
        raise RefusedError(code="key_not_valid", text=text)
    if signed.command.kiosk != kiosk:
        text = f"this is {kiosk}; the command is for {signed.command.kiosk}"
        raise RefusedError(code="wrong_kiosk", text=text)
    return SignedCommand(command=signed.command, signers=signers)


def authorise(
    signed: SignedCommand,
    actions: Mapping[str, Action[Any]],
    keys: Mapping[str, OperatorKey],
    *,
    now: Stamp,
    leeway_s: int,
) -> None:
    """Check action, role, arguments and dates of a command."""
    command = signed.command
    action = find_action(command, actions)
    held = {keys[kid].role for kid in signed.signers}
    if not held & action.roles:
        text = (
            f"{command.action} needs the role {' or '.join(sorted(action.roles))}, "
            f"the signers have {' and '.join(sorted(held))}"
        )
        raise RefusedError(code="not_authorised", text=text)
    read_arguments(command, action)
    if now.time_quality == "synced":
        if command.nbf > now.time.timestamp() + leeway_s:
            raise RefusedError(code="not_yet_valid", text=f"not valid before {_date(command.nbf)}")
        _check_expiry(command, now, leeway_s)
    elif action.disruptive:
        text = "the kiosk's clock is not synchronised: it cannot tell whether this is still valid"
        raise RefusedError(code="clock", text=text)


def find_action(command: Command, actions: Mapping[str, Action[Any]]) -> Action[Any]:
    """Return the action that a command asks for."""
    action = actions.get(command.action)
    if action is None:
        text = f"no action {command.action!r}; this kiosk knows {', '.join(sorted(actions))}"
        raise RefusedError(code="unknown_action", text=text)
    return action


def read_arguments(command: Command, action: Action[A]) -> A:
    """Return the command's arguments in the action's model."""
    try:
        return validated(lambda: action.arguments.model_validate(command.args))
    except MalformedError as error:
        raise RefusedError(code="bad_arguments", text=f"args: {error}") from None


def check_in_time(record: Record, *, now: Stamp, leeway_s: int) -> None:
    """Check that a recorded command may still begin."""
    command, received = record.command, record.received
    age_ms = now.monotonic_ms - received.monotonic_ms
    if received.boot_id != now.boot_id or age_ms < 0:
        raise RefusedError(
            code="expired", text="the kiosk restarted before the command could begin"
        )
    if age_ms > command.ttl_s * 1000:
        raise RefusedError(
            code="expired", text=f"it could not begin within {command.ttl_s} s of receipt"
        )
    if now.time_quality == "synced":
        _check_expiry(command, now, leeway_s)


def _check_expiry(command: Command, now: Stamp, leeway_s: int) -> None:
    if now.time.timestamp() >= command.exp + leeway_s:
        text = f"it expired at {_date(command.exp)}; here it is {format_time(now.time)}"
        raise RefusedError(code="expired", text=text)


def _valid(key: OperatorKey, now: Stamp) -> bool:
    return now.time_quality != "synced" or key.valid_at(now.time.timestamp())


def _date(unix_s: int) -> str:
    try:
        return format_time(datetime.fromtimestamp(unix_s, UTC))
    except (OverflowError, ValueError, OSError):
        return f"second {unix_s}"
