"""What the local door does about persons: who may ask, how much, and how it is answered."""

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError
from agent.identity.requests import MAX_BODY_BYTES
from agent.local import http_connection
from agent.local.http_message import Limits
from agent.local.identity_calls import CHECKS_PER_HOUR
from commands.desk.view import IdentityView
from commands.errors import ActionError, DeskError
from tests.support.local_door import ME, Door, Events, http
from tests.support.persons import STAFF

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
VERIFY: dict[str, Any] = {"session_id": ID, "purpose": "licence.renew", "consent_code": "c-1"}
ENROLL = {"subject": "staff-017", "purposes": ["cabinet"], "consent_code": "c-1", "days": 30}


@pytest.fixture
async def door(tmp_path: Path):
    door = Door(tmp_path, limits=Limits(answer_s=5))
    await door.open()
    yield door
    await door.close()


def as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "_uid", lambda _: os.getuid() + 1)


async def test_a_verification_carries_a_portrait(door: Door):
    """A picture of more than the usual body goes through in base64, and comes out as bytes."""
    picture = os.urandom(1_500_000)
    body = {**VERIFY, "portrait": base64.b64encode(picture).decode()}
    answer = await door.ask("POST", "/v1/identity/verify", body)
    assert (answer["outcome"], answer["reasons"][0]["code"]) == ("refer", "turned")
    assert answer["reasons"][0]["zh"]
    [(_, request)] = door.persons.asked
    assert request.portrait == picture
    assert "similarity" not in answer


async def test_only_a_verification_may_be_large(door: Door):
    """Every other body, and one beyond the portrait's limit, is refused before it is read."""
    words = http("POST", "/v1/identity/identify", b"{" + b" " * 100_000 + b"}")
    assert (await door.talk(words))[0] == 413
    head = f"Content-Length: {MAX_BODY_BYTES + 1}"
    assert (await door.talk(http("POST", "/v1/identity/verify", b"", head)))[0] == 413
    assert door.persons.asked == []


async def test_a_verification_needs_session_purpose_and_consent(door: Door):
    """Without any of the three nobody is looked at."""
    for missing in VERIFY:
        body = {key: value for key, value in VERIFY.items() if key != missing}
        with pytest.raises(AgentError, match=missing):
            await door.ask("POST", "/v1/identity/verify", body)
    with pytest.raises(AgentError, match="portrait"):
        await door.ask("POST", "/v1/identity/verify", {**VERIFY, "portrait": "not base64!"})
    assert door.persons.asked == []


async def test_a_check_may_take_longer_than_other_answers(tmp_path: Path):
    """A person before a camera is given the time of the check, not that of a lookup."""
    door = Door(tmp_path, limits=Limits(answer_s=0.01))
    door.persons.wait = lambda: asyncio.sleep(0.1)
    await door.open()
    try:
        assert (await door.ask("POST", "/v1/identity/verify", VERIFY))["outcome"] == "refer"
    finally:
        await door.close()


async def test_checks_are_bounded(door: Door):
    """Each is an entry of the audit trail, so there are only so many an hour."""
    body = json.dumps({"purpose": "presence"}).encode()
    for _ in range(CHECKS_PER_HOUR):
        status = (await door.talk(http("POST", "/v1/identity/identify", body)))[0]
        assert status == 200
    assert (await door.talk(http("POST", "/v1/identity/identify", body)))[0] == 429


async def test_the_check_is_followed_on_the_event_stream(door: Door):
    """Hints come as the subject identity, and the same is there to be asked for."""
    async with Events(door) as events:
        await events.block()
        for _ in range(5):
            name, data = await events.next()
        assert (name, data["check"]) == ("identity", "none")
        door.desk.show_identity(IdentityView(check="verify", camera="counter", steps_left=2))
        assert await events.next() == (
            "identity",
            {"check": "verify", "camera": "counter", "prompts": [], "steps_left": 2},
        )
    assert (await door.ask("GET", "/v1/identity"))["camera"] == "counter"


async def test_cancelling(door: Door):
    """Where no check is under way, that is said."""
    with pytest.raises(AgentError, match="no check is under way"):
        await door.ask("DELETE", "/v1/identity/check")
    door.persons.is_checking = True
    assert await door.ask("DELETE", "/v1/identity/check") == {}


async def test_an_override_names_who_did_it(door: Door):
    """The reason is required; the local user stands for it."""
    path = f"/v1/identity/decisions/{ID}/override"
    with pytest.raises(AgentError, match="reason"):
        await door.ask("POST", path, {})
    await door.ask("POST", path, {"reason": "I know him"})
    assert door.persons.asked == [("override", (ID, "I know him", ME))]
    door.persons.error = DeskError("no such decision", code="no_such_decision")
    problem = await door.talk_json(http("POST", path, b'{"reason": "x"}'))
    assert (problem["status"], problem["type"].rpartition(":")[2]) == (404, "no_such_decision")


async def test_a_card_is_read_for_a_session(door: Door):
    """What the card says goes to who asked, and nowhere else."""
    card = await door.ask("POST", f"/v1/sessions/{ID}/card", {})
    assert (card["name"], card["valid_until"]) == ("张三", "long-term")
    door.persons.error = DeskError("no card was laid on in time", code="no_card")
    problem = await door.talk_json(http("POST", f"/v1/sessions/{ID}/card", b"{}"))
    assert (problem["status"], problem["detail"]) == (409, "no card was laid on in time")


async def test_the_cabinet_opens_on_a_decision(door: Door):
    """A cabinet that does not obey is said to be so."""
    assert await door.ask("POST", "/v1/cabinet/open", {"decision_id": ID}) == {}
    door.persons.error = ActionError("this kiosk has no cabinet")
    with pytest.raises(AgentError, match="no cabinet"):
        await door.ask("POST", "/v1/cabinet/open", {"decision_id": ID})


async def test_maintenance_is_signed_by_who_was_recognised(door: Door):
    """With a decision, the enrolment stands in the trail in place of the local user."""
    await door.ask("POST", "/v1/maintenance", {"decision_id": ID})
    assert door.acts == [("maintenance.on", f"staff:{STAFF}")]
    assert door.persons.asked == [("use", (ID, "maintenance"))]
    door.persons.error = DeskError("used already", code="not_applicable")
    with pytest.raises(AgentError, match="used already"):
        await door.ask("POST", "/v1/maintenance", {"decision_id": ID})
    assert len(door.acts) == 1


async def test_staff_is_enrolled_listed_and_removed(door: Door):
    """By root or the agent's own user, whose name is recorded."""
    assert (await door.ask("POST", "/v1/staff", ENROLL))["enrolment"] == STAFF
    assert (await door.ask("GET", "/v1/staff"))["persons"][0]["subject"] == "staff-017"
    assert (await door.ask("DELETE", "/v1/staff/staff-017"))["deleted"] == 1
    assert door.persons.asked[0] == ("enroll", ("staff-017", ME))
    assert door.persons.asked[2] == ("remove", ("staff-017", ME))


async def test_the_business_application_enrolls_nobody(door: Door, monkeypatch):
    """Whoever may use the socket may check persons, but not see or change who is enrolled."""
    as_another(monkeypatch)
    for method, path, body in (
        ("POST", "/v1/staff", ENROLL),
        ("GET", "/v1/staff", None),
        ("DELETE", "/v1/staff/staff-017", None),
    ):
        with pytest.raises(AgentError, match="only root"):
            await door.ask(method, path, body)
    assert door.persons.asked == []
    assert await door.ask("POST", "/v1/identity/verify", VERIFY)
