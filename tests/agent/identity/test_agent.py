"""The whole agent with persons: a process, a rendered person before its camera, operators."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from agent.broker import EmbeddedBroker
from agent.errors import AgentError
from agent.local.client import ask
from console.keys import new_key
from tests.agent.conftest import AgentProcess
from tests.support.operator_line import OperatorLine
from tests.support.payload_scanner import find
from vision.clip import counter
from vision.clip.render import render_portrait

SETTINGS = """
[identity]
liveness = "off"

[supervision]
other_person_s = 2

[cabinet]
driver = "simulated"

[[camera]]
name = "counter"
source = "{clip}"
[camera.identity]
enabled = true
"""


def render_standing(path: Path) -> None:
    """Somebody stands before the camera all the time, breathing, with a sensor's noise."""
    background, person = counter.background(720, 1280), counter.person()
    random = np.random.default_rng(3)
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), codec, 10, (1280, 720))
    for second in np.arange(9, 12, 0.1):
        picture = counter.frame(background, person, float(second)).astype(np.int16)
        noise = random.normal(0, 2.5, picture.shape[:2])[:, :, None]
        video.write(np.clip(picture + noise, 0, 255).astype(np.uint8))
    video.release()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counter")
    render_standing(folder / "standing.avi")
    render_portrait(folder / "portrait.png")
    return folder


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


class Kiosk:
    """An agent before whose camera somebody stands, and the kiosk's own application."""

    def __init__(self, folder: Path, port: int, scene: Path) -> None:
        self.portrait = base64.b64encode((scene / "portrait.png").read_bytes()).decode()
        self.keys = new_key("Wang Lei", "operator"), new_key("Zhao Min", "supervisor")
        more = SETTINGS.format(clip=scene / "standing.avi")
        self.agent = AgentProcess(folder, port, more, keys=self.keys)
        self.agent.start()
        self.watching()

    def watching(self) -> None:
        """Wait until the camera and its identity process are at work."""
        self.agent.status_when(
            lambda status: (
                status["link"]["state"] == "online"
                and any(
                    (one.get("identity") or {}).get("state") == "watching"
                    for one in status["cameras"]
                )
                and all(one["state"] == "online" for one in status["cameras"])
            )
        )

    def crash_identity_process(self) -> None:
        """Kill it, as a crash in a library does."""
        settings = str(self.agent.settings)
        [agent] = [one for one in psutil.Process().children() if settings in one.cmdline()]
        [process] = [one for one in agent.children() if "vision.identity.watch" in one.cmdline()]
        process.kill()

    def ask(self, method: str, target: str, **body: Any) -> dict[str, Any]:
        socket = self.agent.folder / "state" / "agent.sock"
        return asyncio.run(ask(socket, method, target, body or None))

    def session(self, mode: str = "self_service") -> str:
        return self.ask("POST", "/v1/sessions", business="licence.renew", mode=mode)["id"]

    def verify(self, session: str, **more: Any) -> dict[str, Any]:
        asked = {"session_id": session, "purpose": "licence.renew", "consent_code": "c-1"}
        return self.ask("POST", "/v1/identity/verify", **(asked | more))

    @contextmanager
    def operators(self, *keys: Any) -> Iterator[OperatorLine]:
        line = OperatorLine(self.agent.port, *(keys or self.keys))
        try:
            yield line
        finally:
            line.close()


@pytest.fixture
def kiosk(tmp_path: Path, broker: EmbeddedBroker, scene: Path) -> Iterator[Kiosk]:
    kiosk = Kiosk(tmp_path, broker.port, scene)
    yield kiosk
    kiosk.agent.close()


def codes(answer: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in answer["reasons"]]


@pytest.mark.timeout(180)
def test_a_citizen_is_verified_and_nothing_of_the_face_is_left(kiosk: Kiosk):
    """A match is told by pseudonym, refusals with their reasons; nothing keeps a face or number."""
    with kiosk.operators() as line:
        session = kiosk.session()
        match = kiosk.verify(session, portrait=kiosk.portrait, document_number="11010519491231002X")
        assert (match["outcome"], match["reasons"]) == ("match", [])
        assert codes(kiosk.verify(session, face=False)) == ["declined"]
        assert codes(kiosk.verify(session)) == ["portrait_unreadable"]
        blank = cv2.imencode(".png", np.full((400, 300, 3), 200, np.uint8))[1].tobytes()
        nobody = kiosk.verify(session, portrait=base64.b64encode(blank).decode())
        assert (nobody["outcome"], codes(nobody)) == ("refer", ["portrait_no_face"])
        with pytest.raises(AgentError, match="no such session"):
            kiosk.verify("01890a5d-ac96-774b-bcce-b302099a8057", portrait=kiosk.portrait)
        kiosk.ask(
            "POST", f"/v1/identity/decisions/{nobody['decision_id']}/override", reason="known"
        )
        topic = "up/event/identity.decision"
        told = line.wait(topic, lambda data: data["outcome"] == "match")
        assert told["decision_id"] == match["decision_id"]
        assert len(told["pseudonym"]) == 32
        line.wait("up/event/identity.overridden", lambda data: data["reason"] == "known")
        kiosk.ask("DELETE", f"/v1/sessions/{session}")
        assert line.order("diagnostics")["status"] == "succeeded"
        [archive] = line.media
        assert list(find(archive)) == []
        heard = json.dumps(line.heard, ensure_ascii=False).encode()
    kinds = {entry["kind"] for entry in _trail(kiosk)}
    assert {"identity.decision", "identity.overridden"} <= kinds
    secrets = (
        b"11010519491231002X",
        kiosk.portrait[:200].encode(),
        kiosk.portrait[5000:5200].encode(),
    )
    raw = base64.b64decode(kiosk.portrait)[1000:1100]
    for path in [*(kiosk.agent.folder / "state").rglob("*"), kiosk.agent.log]:
        if path.is_file():
            content = path.read_bytes()
            for secret in (*secrets, raw):
                assert secret not in content, path
    assert not [secret for secret in secrets if secret in heard]


@pytest.mark.timeout(180)
def test_a_crash_forgets_the_verified_person_and_that_is_said(kiosk: Kiosk):
    """The restarted process does not know them: a finding, until they are verified anew."""
    with kiosk.operators() as line:
        session = kiosk.session()
        assert kiosk.verify(session, portrait=kiosk.portrait)["outcome"] == "match"
        kiosk.crash_identity_process()
        begin = line.wait("up/event/supervision.finding", lambda data: data["phase"] == "begin")
        assert (begin["rule"], begin["session_id"]) == ("person_unwatched", session)
        kiosk.watching()
        assert kiosk.verify(session, portrait=kiosk.portrait)["outcome"] == "match"
        end = line.wait("up/event/supervision.finding", lambda data: data["phase"] == "end")
        assert (end["finding_id"], end["ended"]) == (begin["finding_id"], "over")


@pytest.mark.timeout(180)
def test_staff_is_enrolled_by_two_persons_and_opens_the_cabinet(kiosk: Kiosk):
    """Signed by two, captured at the camera, recognised, used once, deleted on a receipt."""
    args: dict[str, Any] = {"subject": "staff-017", "purposes": ["presence", "cabinet"]}
    args |= {"consent_code": "consent/2026/17", "days": 30, "for_s": 20}
    with kiosk.operators(kiosk.keys[0]) as one:
        assert one.order("identity.enroll", **args)["code"] == "second_signature"
    nobody = kiosk.ask("POST", "/v1/identity/identify", purpose="cabinet")
    assert (nobody["outcome"], codes(nobody)) == ("no_match", ["unknown_person"])
    with kiosk.operators() as line:
        done = line.order("identity.enroll", **args)
        assert done["status"] == "succeeded", done
        enrolment = done["result"]["enrolment"]
        twice = line.order("identity.enroll", **(args | {"subject": "staff-018"}))
        assert "enrolled already" in twice["text"]
        assert line.wait("up/event/staff.begin", lambda data: data["enrolment"] == enrolment)
        found = kiosk.ask("POST", "/v1/identity/identify", purpose="cabinet")
        assert (found["outcome"], found["enrolment"]) == ("match", enrolment)
        kiosk.ask("POST", "/v1/cabinet/open", decision_id=found["decision_id"])
        assert line.wait("up/event/cabinet.opened", lambda data: data["enrolment"] == enrolment)
        with pytest.raises(AgentError, match="used already"):
            kiosk.ask("POST", "/v1/cabinet/open", decision_id=found["decision_id"])
        refused = kiosk.ask("POST", "/v1/identity/identify", purpose="maintenance")
        assert (refused["outcome"], codes(refused)) == ("no_match", ["purpose_not_allowed"])
        [person] = line.order("identity.list")["result"]["persons"]
        assert (person["subject"], person["enrolment"]) == ("staff-017", enrolment)
        receipt = line.order("identity.remove", subject="staff-017")["result"]
        assert (receipt["deleted"], receipt["enrolments"], receipt["persons"]) == (
            1,
            [enrolment],
            0,
        )
        gone = line.wait("up/event/identity.removed", lambda data: data["reason"] == "asked")
        assert gone["digest"] == receipt["digest"]
        assert kiosk.ask("GET", "/v1/staff") == {"persons": []}
        after = kiosk.ask("POST", "/v1/identity/identify", purpose="cabinet", time_limit_s=4)
        assert after["outcome"] != "match"


@pytest.mark.timeout(180)
def test_a_lost_key_is_said_and_the_agent_lives(kiosk: Kiosk):
    """Staff is not recognised any more, the alarm says why, citizens are checked all the same."""
    with kiosk.operators() as line:
        body = {"subject": "staff-017", "purposes": ["presence"], "consent_code": "c", "days": 30}
        kiosk.ask("POST", "/v1/staff", **body, time_limit_s=20)
        assert kiosk.agent.stop() == 0
        (kiosk.agent.folder / "state" / "gallery-key").unlink()
        kiosk.agent.start()
        raised = line.wait("up/event/alarm.raised", lambda data: data["code"] == "gallery.key_lost")
        assert "key" in raised["text"]
        kiosk.agent.status_when(
            lambda status: any(
                (one.get("identity") or {}).get("state") == "watching" for one in status["cameras"]
            )
        )
        assert kiosk.verify(kiosk.session(), portrait=kiosk.portrait)["outcome"] == "match"
        refused = kiosk.ask("POST", "/v1/identity/identify", purpose="presence")
        assert (refused["outcome"], codes(refused)) == ("refer", ["gallery_unusable"])
        with pytest.raises(AgentError, match="key"):
            kiosk.ask("POST", "/v1/staff", **body, time_limit_s=20)


def _trail(kiosk: Kiosk) -> list[dict[str, Any]]:
    with sqlite3.connect(kiosk.agent.folder / "state" / "ledger.db") as db:
        return [
            json.loads(line) for (line,) in db.execute("SELECT entry FROM audit ORDER BY number")
        ]
