"""The arguments of an action as an operator writes them: ``name=text`` or ``name:=JSON``."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from console.errors import ConsoleError
from contract import MalformedError
from contract.actions import ACTIONS, Arguments
from contract.wire import validated


def model_of(action: str) -> type[Arguments]:
    """Return the argument model of an action; an unknown one is told with the known ones."""
    try:
        return ACTIONS[action]
    except KeyError:
        msg = f"no action {action!r}; there are {', '.join(sorted(ACTIONS))}"
        raise ConsoleError(msg) from None


def read_arguments(action: str, texts: Sequence[str]) -> dict[str, Any]:
    """Read what was written after ``--arg`` into the fields of the action.

    Raises:
        ConsoleError: the action is unknown, or its arguments do not fit.
    """
    model = model_of(action)
    return checked(action, dict(_argument(model, text) for text in texts))


def checked(action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments if the kiosk will understand them.

    Raises:
        ConsoleError: the action is unknown, or its arguments do not fit.
    """
    model = model_of(action)
    given = dict(arguments)
    try:
        # As JSON, as the kiosk reads them: a list is then a tuple to the strict models.
        text = json.dumps(given, allow_nan=False)
        validated(lambda: model.model_validate_json(text))
    except (MalformedError, TypeError, ValueError) as error:
        msg = f"{action}: {error}; {_takes(model)}"
        raise ConsoleError(msg) from None
    return given


def describe_field(field: FieldInfo) -> str:
    """What may be written for a field, in a word or two."""
    kinds = get_args(field.annotation) or (field.annotation,)
    if all(isinstance(kind, str) for kind in kinds):
        return "|".join(kinds)
    names = {bool: "true|false", int: "number", float: "number", str: "text"}
    return next((names[kind] for kind in kinds if kind in names), "JSON")


def _argument(model: type[Arguments], text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        msg = f"--arg {text!r}: expected name=text or name:=JSON"
        raise ConsoleError(msg)
    if not name.endswith(":"):
        return name, _converted(model, name, value)
    try:
        return name[:-1], json.loads(value)
    except ValueError as error:
        msg = f"--arg {text!r}: not JSON: {error}"
        raise ConsoleError(msg) from None


def _converted(model: type[Arguments], name: str, text: str) -> Any:
    """Return the text as the field's type; where it is none of those, the model will say so."""
    field = model.model_fields.get(name)
    if field is None or field.annotation is None:
        return text
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(field.annotation)
        return adapter.dump_python(adapter.validate_python(text, strict=False), mode="json")
    except ValidationError:
        return text


def _takes(model: type[Arguments]) -> str:
    if not model.model_fields:
        return f"{model.ACTION} takes no arguments"
    fields = ", ".join(
        f"{name} ({describe_field(field)}{', needed' if field.is_required() else ''})"
        for name, field in model.model_fields.items()
    )
    return f"{model.ACTION} takes {fields}"
