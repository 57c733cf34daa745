"""May this be done? From the bytes that arrived to an order that the kiosk will carry out.

Every function raises :class:`~commands.errors.RefusedError` with the receipt's code. The clock
is asked for dates only while it is synced: a wrong clock must neither revive an old command nor
kill a good one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from commands.action import Action, Serving
from commands.challenge import Challenges
from commands.errors import RefusedError, UndatedError
from commands.ledger_store import Record
from commands.policy import Policy
from commands.trust import Trust
from contract import ContractError, MalformedError, OversizeError, Stamp
from contract.actions import Arguments
from contract.command import Command, SignedCommand, open_command
from contract.errors import SignatureError, UnknownKeyError
from contract.keys import OperatorKey
from contract.receipt import ReceiptCode
from contract.wire import format_time, validated

_CODES: tuple[tuple[type[ContractError], ReceiptCode], ...] = (
    (OversizeError, "too_large"),
    (MalformedError, "malformed"),
    (UnknownKeyError, "unknown_key"),
    (SignatureError, "bad_signature"),
)


@dataclass(frozen=True, slots=True)
class Order:
    """A command as the kiosk understands it."""

    action: Action[Any]
    arguments: Arguments
    policy: Policy

    @property
    def heeds_serving(self) -> bool:
        """Whether a citizen who is being served comes first."""
        return self.policy.serving != "allow" and not getattr(self.arguments, "force", False)

    @property
    def harmless(self) -> bool:
        """Whether it may be done even where nothing can be recorded."""
        return self.action.idempotent and not self.policy.disruptive


class Rules:
    """What this kiosk can do, and who may order it when.

    Args:
        actions: what can be ordered.
        policy: who may order it.
        challenges: what takes the place of dates where the clock is wrong.
        serving: whether a citizen is being served.
        leeway_s: how far the operators' clocks may differ from this one.
    """

    def __init__(
        self,
        *,
        actions: Sequence[Action[Any]],
        policy: Mapping[str, Policy],
        challenges: Challenges,
        serving: Serving,
        leeway_s: int,
    ) -> None:
        self._actions = {action.name: action for action in actions}
        self._policy = policy
        self._challenges = challenges
        self._serving = serving
        self._leeway_s = leeway_s

    def read(self, command: Command) -> Order:
        """Return what a command asks for, with its arguments in the action's model."""
        action = self._actions.get(command.action)
        if action is None:
            known = ", ".join(sorted(self._actions))
            text = f"no action {command.action!r}; this kiosk knows {known}"
            raise RefusedError(code="unknown_action", text=text)
        try:
            # As JSON, as it came: a list is then a tuple to the strict models.
            arguments = validated(lambda: action.arguments.model_validate_json(command.args_json()))
        except MalformedError as error:
            raise RefusedError(code="bad_arguments", text=f"args: {error}") from None
        return Order(action, arguments, self._policy.get(action.name, Policy()))

    def authorise(
        self, signed: SignedCommand, keys: Mapping[str, OperatorKey], *, now: Stamp
    ) -> Order:
        """Check action, role, persons, arguments, dates, and whether it can be done now."""
        order = self.read(signed.command)
        check_signers(order, [keys[kid] for kid in signed.signers])
        if missing := order.action.missing():
            raise RefusedError(code="unavailable", text=missing)
        self._check_dates(signed.command, order, now)
        if order.policy.serving == "refuse" and order.heeds_serving and self._serving.is_serving:
            text = "a citizen is being served; send it later"
            if "force" in order.action.arguments.model_fields:
                text += ", or with force"
            raise RefusedError(code="busy", text=text)
        return order

    def _check_dates(self, command: Command, order: Order, now: Stamp) -> None:
        if command.challenge is not None:
            if not self._challenges.accepts(command):
                text = "its challenge is none that this kiosk gave out for it lately; send it anew"
                raise RefusedError(code="clock", text=text)
            return
        if now.time_quality == "synced":
            if command.nbf > now.time.timestamp() + self._leeway_s:
                text = f"not valid before {_date(command.nbf)}"
                raise RefusedError(code="not_yet_valid", text=text)
            self._check_expiry(command, now)
        elif order.policy.disruptive:
            raise UndatedError

    def check_in_time(self, record: Record, *, now: Stamp) -> None:
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
        if now.time_quality == "synced" and command.challenge is None:
            self._check_expiry(command, now)

    def _check_expiry(self, command: Command, now: Stamp) -> None:
        if now.time.timestamp() >= command.exp + self._leeway_s:
            text = f"it expired at {_date(command.exp)}; here it is {format_time(now.time)}"
            raise RefusedError(code="expired", text=text)


def authenticate(payload: bytes, trust: Trust, *, kiosk: str, now: Stamp) -> SignedCommand:
    """Return the command that a trusted operator gave to this kiosk, and who that was.

    Signers whose key is not valid at the moment are left out.
    """
    try:
        signed = open_command(payload, trust.verifiers, algorithm=trust.algorithm)
    except ContractError as error:
        raise refusal_of(error, trust) from None
    signers = valid_signers(signed.signers, trust, now)
    if signed.command.kiosk != kiosk:
        text = f"this is {kiosk}; the command is for {signed.command.kiosk}"
        raise RefusedError(code="wrong_kiosk", text=text)
    return SignedCommand(command=signed.command, signers=signers)


def refusal_of(error: ContractError, trust: Trust) -> RefusedError:
    """Why a signed document cannot be trusted, with the receipt's code."""
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    text = str(error) if trust.problem is None else f"{error}. {trust.problem}"
    return RefusedError(code=code, text=text)


def valid_signers(signers: Sequence[str], trust: Trust, now: Stamp) -> tuple[str, ...]:
    """Return those of the key ids that may sign now; refuses where none may."""
    valid = tuple(kid for kid in signers if is_valid(trust.keys[kid], now))
    if not valid:
        text = f"the key {signers[0]} is not valid at this date"
        raise RefusedError(code="key_not_valid", text=text)
    return valid


def check_signers(order: Order, signers: Sequence[OperatorKey]) -> None:
    """Check that enough persons with the right role have signed."""
    name, policy = order.action.name, order.policy
    entitled = [key for key in signers if key.role in policy.roles]
    if not entitled:
        text = (
            f"{name} needs the role {' or '.join(sorted(policy.roles))}, "
            f"the signers have {' and '.join(sorted({key.role for key in signers}))}"
        )
        raise RefusedError(code="not_authorised", text=text)
    needed = max(policy.signers, order.action.signers(order.arguments))
    persons = {key.person for key in entitled}
    if len(persons) < needed:
        who = " and ".join(sorted({key.name for key in entitled}))
        also = " (one person with several keys counts once)" if len(entitled) > 1 else ""
        text = (
            f"this needs the signatures of {needed} persons with the role "
            f"{' or '.join(sorted(policy.roles))}; it is signed by {who} alone{also}"
        )
        raise RefusedError(code="second_signature", text=text)


def is_valid(key: OperatorKey, now: Stamp) -> bool:
    """Whether a key may sign now, as far as the clock can tell."""
    return now.time_quality != "synced" or key.valid_at(now.time.timestamp())


def _date(unix_s: int) -> str:
    try:
        return format_time(datetime.fromtimestamp(unix_s, UTC))
    except (OverflowError, ValueError, OSError):
        return f"second {unix_s}"
