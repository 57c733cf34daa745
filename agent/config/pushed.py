"""What may be pushed: settings that a person on site answers for are not among them.

Whoever can push settings must not gain more by it: no other trust root, no other identity, and
no file of their choosing that the agent would read or write for them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from agent.errors import SettingsError
from agent.settings import PUSHED, Settings, SettingsFile
from vision.source import kind_of

ON_SITE = frozenset(
    {
        "kiosk",
        "cabinet",
        "commands",
        "door",
        "id_card",
        "link.root",
        "link.tls",
        "link.password_file",
        "update",
    }
)
"""Beside these, every setting that is a path."""


def settings_with(file: SettingsFile, pushed: Mapping[str, Any]) -> Settings:
    """Return the settings file with pushed tables laid over it.

    Raises:
        SettingsError: a key is not to be pushed, or a value is wrong; the faults name the keys.
    """
    faults = [
        f"{PUSHED}: {key}: only a person on site may change this"
        for key in _on_site(pushed, Settings)
    ]
    if faults:
        raise SettingsError(faults)
    settings = file.settings(pushed)
    if "camera" in pushed:
        _check_sources(settings, own=file.settings())
    return settings


def _on_site(tree: Mapping[str, Any], model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Keys of the tree that only a person on site may change. What is unknown is passed over."""
    for key, value in tree.items():
        where = f"{path}{key}"
        field = model.model_fields.get(key)
        kinds = set(_kinds(field.annotation)) if field else set()
        if where in ON_SITE or Path in kinds:
            yield where
            continue
        for kind in kinds:
            if issubclass(kind, BaseModel):
                for inner, table in _tables(value, kind, where):
                    yield from _on_site(table, kind, f"{inner}.")


def _tables(
    value: object, model: type[BaseModel], where: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Tables of a model in a value: the value itself, or each of a list or mapping of them."""
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _tables(item, model, f"{where}.{number}")
    elif isinstance(value, Mapping):
        yield where, value
        if not value.keys() & model.model_fields.keys():
            for name, item in value.items():
                yield from _tables(item, model, f"{where}.{name}")


def _kinds(annotation: Any) -> Iterator[type]:
    """Classes that an annotation is made of."""
    if isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def _check_sources(settings: Settings, own: Settings) -> None:
    """Refuse cameras that would read a file which the settings file does not name.

    Raises:
        SettingsError: there are such cameras.
    """
    known = {camera.source for camera in own.camera}
    faults = []
    for number, camera in enumerate(settings.camera):
        where = f"{PUSHED}: camera.{number}.source"
        if camera.source in known:
            continue
        if kind_of(camera.source) == "file":
            faults.append(f"{where}: a device or a network stream; files only a person on site")
        elif "***" in camera.source:
            faults.append(f"{where}: its password was removed; give the whole address")
    if faults:
        raise SettingsError(faults)
