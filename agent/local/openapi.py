"""The local door as an OpenAPI 3.1 document, made from its routes and models."""

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from agent.local.problem import MEDIA_TYPE, Problem
from agent.local.routes import ROUTES, Route
from commands.desk.view import VIEWS
from contract.wire import WireModel

VERSION = "1.0.0"
"""Of the interface; its first number is that of the paths."""

_SCHEMAS = "#/components/schemas/"
_DESCRIPTION = """\
HTTP/1.1 on the Unix socket of the running agent, by default /run/kiosk-agent/agent.sock; the file's
group may use it. Times are RFC 3339 in UTC. A field that is not known is left out."""
_EVENTS = """\
Server-sent events (HTML standard, 9.2). The first five are what holds now, one a subject; then one
comes for each change. The data are always the whole of the subject: service, sessions,
announcements, power or identity. Comments keep the line alive. Who reads too slowly is hung up on,
and begins anew."""
_ANY_PROBLEM = "Not done; the body says why."


def build() -> dict[str, Any]:
    """Return the document as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kiosk Agent, local door",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Clients want a host; the socket does not care which.
        "servers": [{"url": "http://localhost"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": {
                "Problem": {
                    "description": _ANY_PROBLEM,
                    "content": {MEDIA_TYPE: {"schema": _reference(Problem)}},
                }
            },
        },
    }


def dumps() -> str:
    """Return the document as text, always the same for the same models."""
    return json.dumps(build(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        {"name": part.strip("{}"), "in": "path", "required": True, "schema": {"type": "string"}}
        for part in route.path.split("/")
        if part.startswith("{")
    ]
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "responses": {
            str(route.status): {"description": route.summary, **_content(route)},
            **{
                str(status): {
                    "description": text,
                    "content": {MEDIA_TYPE: {"schema": _reference(Problem)}},
                }
                for status, text in route.problems.items()
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        operation["requestBody"] = {
            "required": any(one.is_required() for one in route.request.model_fields.values()),
            "content": {"application/json": {"schema": _reference(route.request)}},
        }
    if route.operation == "events":
        operation["description"] = _EVENTS
        operation["x-events"] = {subject: _reference(view) for subject, view in VIEWS.items()}
    return operation


def _content(route: Route) -> dict[str, Any]:
    if route.operation == "events":
        return {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
    if route.status == 204:
        return {}
    schema = _reference(route.response) if route.response else {"type": "object"}
    return {"content": {"application/json": {"schema": schema}}}


def _reference(model: type[WireModel]) -> dict[str, str]:
    return {"$ref": f"{_SCHEMAS}{model.__name__}"}


def _schemas() -> dict[str, Any]:
    asked = (model for route in ROUTES for model in (route.request, route.response) if model)
    unique: set[type[WireModel]] = {*asked, *VIEWS.values(), Problem}
    models = sorted(unique, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template=f"{_SCHEMAS}{{model}}"
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas
