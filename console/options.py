"""Options that several commands of ``kioskctl`` share. Imports nothing heavy: help is quick."""

# ruff: noqa: PLC0415 - as the docstring says

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
DAY_S = 86_400
_TTL_S = 300


def duration(text: str) -> int:
    """Read seconds: ``90``, ``10m``, ``2h`` or ``3d``."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", str(text).strip())
    if found is None or int(found[1]) == 0:
        msg = f"{text!r}: expected such as 90, 10m, 2h or 3d"
        raise typer.BadParameter(msg)
    return int(found[1]) * _UNITS_S[found[2]]


def moment(text: str) -> int:
    """Read seconds since 1970: ``2026-05-01T08:00`` in this zone, or ``+2h`` from now."""
    try:
        if text.startswith("+"):
            when = datetime.now().astimezone() + timedelta(seconds=duration(text[1:]))
        else:
            when = datetime.fromisoformat(text).astimezone()
        return int(when.timestamp())
    except (ValueError, OverflowError, typer.BadParameter):
        msg = f"{text!r}: expected such as 2026-05-01T08:00 or +2h"
        raise typer.BadParameter(msg) from None


def known_actions(incomplete: str) -> list[str]:
    """Complete the name of an action."""
    from contract.actions import ACTIONS

    return [name for name in sorted(ACTIONS) if name.startswith(incomplete)]


def known_arguments(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of an argument of the action that was written before."""
    from contract.actions import ACTIONS

    words = [*(context.params.get("words") or ()), *context.args]
    model = ACTIONS.get(words[-1] if words else "")
    names = () if model is None else model.model_fields
    return [f"{name}=" for name in names if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Seconds = Annotated[float | None, typer.Option(help="Stop after so many seconds.")]
Kiosk = Annotated[str, typer.Argument(metavar="ID", help="The kiosk's id.")]
OptionalKiosk = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The kiosk's id; or --kiosk, or --all.")
]
ActionWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID] ACTION",
        help="The kiosk and what it shall do, such as: k-17 ping. Without ID: --kiosk, or --all.",
        autocompletion=known_actions,
    ),
]
Args = Annotated[
    list[str] | None,
    typer.Option(
        "--arg", help="name=text, or name:=JSON. Repeatable.", autocompletion=known_arguments
    ),
]
Keys = Annotated[
    list[Path] | None,
    typer.Option(
        "--key", envvar="KIOSKCTL_SIGN_KEY", help="Private key; twice for two signatures."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Who signs, and why."""

    key: Keys = None
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = ""
    ticket: Annotated[str | None, typer.Option(help="Number of the case.")] = None


@dataclass(frozen=True, kw_only=True)
class Sending(Signing):
    """How to send, and what to show."""

    ttl: Annotated[
        int | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="How long it stays valid: 90, 10m, 2h; default 5m, in a file 1d.",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait for each end; the default depends on the action."),
    ] = None
    sign_to: Annotated[
        Path | None,
        typer.Option(help="Write the signed command into this file instead of sending it."),
    ] = None
    as_json: Json = False

    @property
    def ttl_s(self) -> int:
        """How long the command stays valid: long enough to be handed over, where it is a file."""
        return self.ttl or (_TTL_S if self.sign_to is None else DAY_S)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which kiosks, where it is not one."""

    kiosks: Annotated[
        list[str] | None, typer.Option("--kiosk", help="A kiosk's id. Repeatable.")
    ] = None
    every: Annotated[
        bool, typer.Option("--all", help="Every kiosk that is online at the broker.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Fleet(Choice):
    """How many of them at a time."""

    at_once: Annotated[int, typer.Option(min=1, help="So many kiosks at the same time.")] = 10
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --all.")] = False


def expand(function: Callable[..., None]) -> Callable[..., None]:
    """Let a command take, for a parameter that is a dataclass, its fields as options."""
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    plain: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for name, parameter in signature.parameters.items():
        if is_dataclass(hints[name]) and isinstance(hints[name], type):
            groups[name] = hints[name]
            plain += _options(hints[name])
        else:
            plain.append(parameter.replace(annotation=hints[name]))

    @wraps(function)
    def call(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{part.name: given.pop(part.name) for part in fields(group)})
        function(**given)

    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=sorted(plain, key=lambda parameter: parameter.kind), return_annotation=None
    )
    return call


def _options(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            part.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if part.default is MISSING else part.default,
            annotation=hints[part.name],
        )
        for part in fields(group)
    ]
