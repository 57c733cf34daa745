"""The reference page of the settings, made from their models."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.settings import ENV_PREFIX, Settings

_HEAD = f"""\
# Settings

One TOML file; every key has a default that works, and an unknown key is an error. The environment
comes before the file: `{ENV_PREFIX}LINK__HOST` overrides `host` in `[link]`.
This page is made by `kiosk-agent settings`.
"""
_COMPUTED = {
    "kiosk.id": "the host's name",
    "kiosk.state_folder": "`$STATE_DIRECTORY` or `~/.local/state/kiosk-agent`",
}


def render() -> str:
    """Return the page as Markdown."""
    return _HEAD + "".join(_tables(Settings, ""))


def _tables(model: type[BaseModel], path: str) -> Iterator[str]:
    """One table for the plain keys of a model, then its sub-tables."""
    plain = {name: field for name, field in model.model_fields.items() if not _section(field)}
    if plain:
        doc = (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        yield f"\n## `{path}`\n\n{' '.join(doc.split())}\n\n| key | default | |\n|---|---|---|\n"
        for name, field in plain.items():
            yield f"| `{name}` | {_default(path, name, field)} | {_notes(field)} |\n"
    for name, field in model.model_fields.items():
        if section := _section(field):
            inner = f"{path.strip('[]')}.{name}".strip(".")
            yield from _tables(section, _title(inner, field))


def _section(field: FieldInfo) -> type[BaseModel] | None:
    candidates = (field.annotation, *get_args(field.annotation))
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _title(path: str, field: FieldInfo) -> str:
    container = get_origin(field.annotation)
    if container is tuple:
        return f"[[{path}]]"
    return f'[{path}."CODE"]' if container is dict else f"[{path}]"


def _default(path: str, name: str, field: FieldInfo) -> str:
    if computed := _COMPUTED.get(f"{path.strip('[]')}.{name}"):
        return computed
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ({}, (), ""):
        return "-"
    if isinstance(value, tuple):
        value = list(value)
    return f"`{value}`" if not isinstance(value, bool) else f"`{str(value).lower()}`"


def _notes(field: FieldInfo) -> str:
    parts = [field.description or "", _choices(field), limits_of(field)]
    return " ".join(part for part in parts if part).replace("|", "\\|")


def _choices(field: FieldInfo) -> str:
    """Return the words that a value may be, or be made of."""
    words = [f"`{word}`" for word in _words(field.annotation)]
    return f"({', '.join(words)})" if words else ""


def _words(annotation: Any) -> Iterator[str]:
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from _words(part)


def limits_of(field: FieldInfo) -> str:
    """Return the bounds of a number, such as ``(≥ 1, ≤ 64)``, or nothing."""
    limits = [
        f"{sign} {getattr(item, attribute):g}"
        for item in field.metadata
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(item, attribute, None) is not None and getattr(item, attribute) < 2**53
    ]
    return f"({', '.join(limits)})" if limits else ""
