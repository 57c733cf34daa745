"""The published document of the local door: fresh, valid, and true of real answers."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from agent.local.http_message import answer_for
from agent.local.openapi import build, dumps
from agent.local.problem import ProblemError
from agent.local.routes import ROUTES, find
from commands.desk.view import VIEWS
from tests.support.desks import DeskOnFile

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_committed_document_is_fresh():
    """docs/openapi.json is what the routes and models say today."""
    assert COMMITTED.read_text(encoding="utf-8") == dumps(), (
        "stale: kiosk-agent openapi > docs/openapi.json"
    )


def test_valid():
    """The document is OpenAPI 3.1, with references that all lead somewhere."""
    OpenAPIV31SpecValidator(build()).validate()


def test_validator_finds_faults():
    """The check above is able to fail."""
    document = build()
    document["paths"]["/v1/sessions/{id}"]["delete"]["parameters"][0]["in"] = "nowhere"
    assert list(OpenAPIV31SpecValidator(document).iter_errors())


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_every_route_is_found_and_documented(route):
    """What the document tells is what the door answers to."""
    named = re.findall(r"{(\w+)}", route.path)
    found, parts = find(route.method, re.sub(r"{\w+}", "x", route.path))
    assert found is route
    assert parts == dict.fromkeys(named, "x")
    operation = build()["paths"][route.path][route.method.lower()]
    assert operation["operationId"] == route.operation


async def test_schemas_describe_real_events(tmp_path: Path):
    """What a follower gets fits the schema of its subject."""
    desk = DeskOnFile(tmp_path).desk
    await desk.sessions.begin("violation.pay", "staff")
    await desk.closing.lock(text="Closed", for_s=60)
    desk.notices.announce("Hello", 60)
    desk.announce_power("reboot", 10)
    document = build()
    with desk.follow() as follower:
        for subject, model in VIEWS.items():
            change = await follower.next()
            assert change is not None
            assert change.subject == subject
            schema = {
                "$ref": f"#/components/schemas/{model.__name__}",
                "components": document["components"],
            }
            data = json.loads(change.view.model_dump_json(exclude_none=True))
            Draft202012Validator(schema).validate(data)


def test_schema_describes_real_problems():
    """A problem as it is sent fits its schema."""
    document = build()
    answer = answer_for(ProblemError(409, "the kiosk is locked", code="locked"))
    schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    Draft202012Validator(schema).validate(json.loads(answer.body))
