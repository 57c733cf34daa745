"""The whole interface as an AsyncAPI 3 document, made from the models."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from contract.ack import Watermark
from contract.actions import ACTIONS
from contract.command import TYP as COMMAND_TYP
from contract.command import Command
from contract.config import TYP as CONFIG_TYP
from contract.config import DesiredConfig
from contract.limits import (
    MAX_ACK_BYTES,
    MAX_COMMAND_BYTES,
    MAX_MEDIA_BYTES,
    MAX_MESSAGE_BYTES,
)
from contract.message import CONTENT_TYPE, REGISTRY, Data, Envelope
from contract.signature import MAX_SIGNATURES
from contract.topics import DEFAULT_ROOT
from contract.wire import WireModel

VERSION = "1.0.0"
"""Of the interface; its first number is that of the topic root and of the message types."""

_BINDING = "0.2.0"
_SCHEMAS = "#/components/schemas/"
_DESCRIPTION = """\
What an unattended service kiosk says over MQTT 5 (QoS 1) and what it listens to.

Messages from a kiosk are CloudEvents 1.0 in structured JSON mode. Each but up/state has a
sequence number, without gaps; a loss is admitted on up/gap. They may arrive more than once: the
id of the message tells. A command is signed by operators, never retained, and safe to repeat."""


def build() -> dict[str, Any]:
    """Return the document as JSON values."""
    messages = [
        *(_sent(model) for model in _models()),
        _media(),
        _signed(
            "command",
            "down/command",
            Command,
            COMMAND_TYP,
            "An order to the kiosk: a JWS in the general JSON serialisation (RFC 7515).",
        ),
        _signed(
            "desired-config",
            "down/config",
            DesiredConfig,
            CONFIG_TYP,
            "What the kiosk is to run with: a JWS in the general JSON serialisation (RFC 7515).",
            retain=True,
        ),
        _watermark(),
    ]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kiosk Agent",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {name: channel for name, channel, _, _ in messages},
        "operations": {name: operation for name, _, operation, _ in messages},
        "components": {
            "messages": {name: message for name, _, _, message in messages},
            "schemas": _schemas([*_models(), Watermark, Command, DesiredConfig, *ACTIONS.values()]),
            "parameters": {
                "root": {
                    "description": "What all topics begin with; may have several levels.",
                    "default": DEFAULT_ROOT,
                },
                "id": {
                    "description": "The kiosk's id, also its MQTT user name: lower-case letters, "
                    "digits and '-', at most 63.",
                    "examples": ["kiosk-017"],
                },
                "command_id": {"description": "The id of the command that asked for it."},
            },
        },
    }


def dumps() -> str:
    """Return the document as text, always the same for the same models."""
    return json.dumps(build(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _models() -> list[type[Data]]:
    # A program that imports this room may register types of its own, which are not our interface.
    ours = (model for model in REGISTRY.values() if model.__module__.startswith("contract."))
    return sorted(ours, key=lambda model: model.TYPE)


_Part = tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]


def _sent(model: type[Data]) -> _Part:
    name = model.TYPE.removeprefix("kiosk.").removesuffix(".v1")
    message = {
        "title": model.__name__,
        "summary": _summary(model),
        "contentType": CONTENT_TYPE,
        "payload": {
            "allOf": [
                {"$ref": f"{_SCHEMAS}Envelope"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": model.TYPE},
                        "data": {"$ref": f"{_SCHEMAS}{model.__name__}"},
                    },
                },
            ]
        },
        "x-max-bytes": MAX_MESSAGE_BYTES,
        "x-priority": model.PRIORITY.name.lower(),
    }
    return _part(name, model.SUFFIX, "send", message, retain=model.RETAIN)


def _signed(
    name: str, suffix: str, model: type[WireModel], typ: str, summary: str, *, retain: bool = False
) -> _Part:
    part = {"type": "string", "contentEncoding": "base64url"}
    message = {
        "title": f"Signed{model.__name__}",
        "summary": summary,
        "contentType": "application/jose+json",
        "payload": {
            "type": "object",
            "required": ["payload", "signatures"],
            "properties": {
                "payload": {
                    **part,
                    "contentMediaType": "application/json",
                    "x-content-schema": {"$ref": f"{_SCHEMAS}{model.__name__}"},
                },
                "signatures": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_SIGNATURES,
                    "description": f"Ed25519; the protected header holds alg, kid and typ {typ}.",
                    "items": {
                        "type": "object",
                        "required": ["protected", "signature"],
                        "properties": {"protected": part, "signature": part},
                    },
                },
            },
        },
        "x-max-bytes": MAX_COMMAND_BYTES,
    }
    if model is Command:
        message["x-actions"] = {
            action: {"$ref": f"{_SCHEMAS}{arguments.__name__}"}
            for action, arguments in sorted(ACTIONS.items())
        }
    return _part(name, suffix, "receive", message, retain=retain)


def _media() -> _Part:
    message = {
        "title": "Media",
        "summary": "The picture or archive that a command asked for; its receipt has the SHA-256.",
        "contentType": "application/octet-stream",
        "description": "The MQTT content type says what it is: image/jpeg, application/gzip.",
        "payload": {"type": "string", "format": "binary"},
        "x-max-bytes": MAX_MEDIA_BYTES,
    }
    return _part("media", "up/media/{command_id}", "send", message, retain=False)


def _watermark() -> _Part:
    message = {
        "title": Watermark.__name__,
        "summary": _summary(Watermark),
        "contentType": "application/json",
        "payload": {"$ref": f"{_SCHEMAS}{Watermark.__name__}"},
        "x-max-bytes": MAX_ACK_BYTES,
    }
    return _part("ack", "down/ack", "receive", message, retain=False)


def _part(name: str, suffix: str, action: str, message: dict[str, Any], *, retain: bool) -> _Part:
    channel = {
        "address": f"{{root}}/{{id}}/{suffix}",
        "parameters": {
            one: {"$ref": f"#/components/parameters/{one}"}
            for one in ("root", "id", "command_id")
            if f"{{{one}}}" in f"{{root}}/{{id}}/{suffix}"
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }
    operation = {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": retain, "bindingVersion": _BINDING}},
    }
    return name, channel, operation, message


def _schemas(models: Iterable[type[WireModel]]) -> dict[str, Any]:
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template=f"{_SCHEMAS}{{model}}"
    )
    schemas: dict[str, Any] = found["$defs"]
    envelope = Envelope[Data].model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    del envelope["$defs"]
    # Each message says what its data are.
    envelope["properties"]["data"] = {"type": "object"}
    envelope["title"] = Envelope.__name__
    return {**schemas, Envelope.__name__: envelope}


def _summary(model: type[WireModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0]
