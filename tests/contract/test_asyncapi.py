"""The published document: fresh, valid, complete, and true of real messages."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from contract import Data, Stamp, seal
from contract.actions import ACTIONS
from contract.asyncapi import build, dumps
from tests.support.samples import SAMPLES, TIME

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "asyncapi.json"
STAMP = Stamp(TIME, monotonic_ms=1, boot_id="boot-1", time_quality="synced")


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    """The official schema of AsyncAPI 3.0.0."""
    default = ROOT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    path = Path(os.environ.get("ASYNCAPI_SCHEMA", default))
    if not path.is_file():
        pytest.skip(
            "the AsyncAPI schema is not here: npm install --no-save @asyncapi/specs, "
            "or set ASYNCAPI_SCHEMA to its 3.0.0.json"
        )
    return Draft7Validator(json.loads(path.read_text(encoding="utf-8")))


def test_committed_document_is_fresh():
    """docs/asyncapi.json is what the models say today."""
    assert COMMITTED.read_text(encoding="utf-8") == dumps(), (
        "stale: kiosk-agent asyncapi > docs/asyncapi.json"
    )


def test_valid_against_the_official_schema(official: Draft7Validator):
    """The document is AsyncAPI 3.0.0."""
    assert [error.message for error in official.iter_errors(json.loads(dumps()))] == []


def test_official_schema_finds_faults(official: Draft7Validator):
    """The check above is able to fail."""
    document = build()
    document["operations"]["state"]["action"] = "shout"
    assert list(official.iter_errors(document))


def test_every_message_has_its_channel():
    """Each type stands at its topic with its direction and retain flag, what comes in too."""
    document = build()
    channels, operations = document["channels"], document["operations"]
    by_address = {channel["address"]: name for name, channel in channels.items()}
    for data in SAMPLES:
        operation = operations[by_address[f"{{root}}/{{id}}/{data.SUFFIX}"]]
        mqtt = operation["bindings"]["mqtt"]
        assert (operation["action"], mqtt["qos"], mqtt["retain"]) == ("send", 1, data.RETAIN)
    for suffix in ("down/command", "down/config", "down/ack"):
        operation = operations[by_address[f"{{root}}/{{id}}/{suffix}"]]
        assert operation["action"] == "receive"
        assert operation["bindings"]["mqtt"]["retain"] == (suffix == "down/config")
    assert "{root}/{id}/up/media/{command_id}" in by_address
    assert len(channels) == len(SAMPLES) + 4


def test_every_action_has_its_arguments():
    """Who signs a command finds in the document what each action takes."""
    actions = build()["components"]["messages"]["command"]["x-actions"]
    assert set(actions) == set(ACTIONS)


def test_every_reference_leads_somewhere():
    """No reference of the document dangles."""
    document = build()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for inner in value.values() for found in references(inner)]
        return (
            [found for one in value for found in references(one)] if isinstance(value, list) else []
        )

    for reference in set(references(document)):
        where: Any = document
        for step in reference.removeprefix("#/").split("/"):
            where = where[step]
        assert where


@pytest.mark.parametrize("data", SAMPLES, ids=lambda data: data.TYPE)
def test_schemas_describe_real_messages(data: Data):
    """A message as it is sent fits the payload schema of its type, and no other type's."""
    document = build()
    schemas = {
        message["title"]: {**message["payload"], "components": document["components"]}
        for message in document["components"]["messages"].values()
    }
    sent = json.loads(seal(data, kiosk="kiosk-017", stamp=STAMP, sequence=42).payload)
    fitting = [title for title, schema in schemas.items() if Draft7Validator(schema).is_valid(sent)]
    assert fitting == [type(data).__name__]


def test_foreign_types_stay_out():
    """A type that some other program registers does not change the interface."""
    before = dumps()

    class Foreign(Data, type_="kiosk.foreign.v1", suffix="up/foreign"):
        """Not ours."""

    assert dumps() == before
