"""The local door as its users meet it: HTTP on a real Unix socket."""

import asyncio
import grp
import itertools
import json
import os
import shutil
import socket
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.errors import AgentError, NotRunningError
from agent.local import http_connection
from agent.local.client import ask
from agent.local.http_message import Limits
from commands.desk.follower import MAX_WAITING
from commands.desk.sessions import MAX_SESSIONS
from tests.support.local_door import ME, Door, Events, http, parse

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
async def make_door(tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Door] = []

    async def make(**options: Any) -> Door:
        door = Door(tmp_path, **options)
        made.append(door)
        await door.open()
        return door

    yield make
    for door in made:
        await door.close()


@pytest.fixture
async def door(make_door) -> Door:
    return await make_door()


async def advance(door: Door, seconds: float) -> None:
    """Let time pass, and the state file be written, which takes real time."""
    await door.life.clock.advance(seconds)
    while door.desk._record._running:
        await asyncio.sleep(0.001)


# -- the routes ------------------------------------------------------------------------------


async def test_status_and_health(door: Door):
    """The door says how the agent and the kiosk are."""
    assert await door.ask("GET", "/v1/status") == {"alive": True, "kiosk": "k1"}
    assert (await door.ask("GET", "/v1/health"))["agent_uptime_s"] == 5
    door.health = None
    with pytest.raises(AgentError, match="no sample yet"):
        await door.ask("GET", "/v1/health")


async def test_a_session(door: Door):
    """The business application begins a session, keeps it alive and ends it."""
    session = await door.ask(
        "POST", "/v1/sessions", {"business": "violation.pay", "mode": "self_service"}
    )
    assert session["business"] == "violation.pay"
    assert session["idle_timeout_s"] == 60
    assert door.desk.is_serving
    await advance(door, 50)
    assert await door.ask("POST", f"/v1/sessions/{session['id']}/alive") == session
    await advance(door, 50)
    assert await door.ask("GET", "/v1/sessions") == {"sessions": [session]}
    assert await door.ask("DELETE", f"/v1/sessions/{session['id']}") == {}
    assert not door.desk.is_serving
    assert door.life.kinds == ["session.begin", "session.end"]


async def test_a_stale_session(door: Door):
    """A session that was forgotten is gone, and its application is told so by a type."""
    session = await door.ask("POST", "/v1/sessions", {"business": "a", "mode": "staff"})
    await advance(door, 60)
    assert door.life.events[-1].reason == "timeout"
    for request in (
        http("POST", f"/v1/sessions/{session['id']}/alive"),
        http("DELETE", f"/v1/sessions/{session['id']}"),
        http("DELETE", f"/v1/sessions/{UNKNOWN}"),
    ):
        problem = await door.talk_json(request)
        assert problem["status"] == 404
        assert problem["type"] == "urn:kiosk-agent:problem:no_such_session"


async def test_locked_while_a_session_is_open(door: Door):
    """A locked kiosk says so, keeps the open session and begins no other."""
    body = b'{"business": "a", "mode": "staff"}'
    session = await door.ask("POST", "/v1/sessions", json.loads(body))
    await door.desk.closing.lock(text="Closed", for_s=600)
    assert await door.ask("GET", "/v1/service") == {
        "state": "locked",
        "text": "Closed",
        "until": "2026-11-01T08:10:00.000Z",
        "may_begin": False,
        "reason": "the command centre has locked the kiosk",
    }
    problem = await door.talk_json(http("POST", "/v1/sessions", body))
    assert problem == {
        "type": "urn:kiosk-agent:problem:locked",
        "title": "Conflict",
        "status": 409,
        "detail": "the command centre has locked the kiosk",
    }
    await door.ask("DELETE", f"/v1/sessions/{session['id']}")
    await door.desk.closing.unlock()
    assert (await door.ask("GET", "/v1/service"))["may_begin"]


async def test_maintenance_by_the_person_on_site(door: Door):
    """Who works on the kiosk says so at the door; the audit trail learns who it was."""
    service = await door.ask("POST", "/v1/maintenance", {"text": "Repair", "for_s": 600})
    assert (service["state"], service["text"], service["may_begin"]) == (
        "maintenance",
        "Repair",
        False,
    )
    assert door.life.events[-1].by == ME
    service = await door.ask("DELETE", "/v1/maintenance")
    assert service["state"] == "open"
    assert door.acts == [("maintenance.on", ME), ("maintenance.off", ME)]


async def test_flood_of_acts_and_sessions(tmp_path: Path):
    """Nobody at the door can push older entries out of the audit trail, or fill the line."""
    door = Door(tmp_path, Limits(acts_per_hour=4, sessions_per_hour=2))
    await door.open()
    try:
        body = {"business": "violation.pay", "mode": "staff"}
        for _ in range(2):
            session = await door.ask("POST", "/v1/sessions", body)
            await door.ask("DELETE", f"/v1/sessions/{session['id']}")
            await door.ask("POST", "/v1/maintenance")
            await door.ask("DELETE", "/v1/maintenance")
        with pytest.raises(AgentError, match="2 sessions in an hour are the most"):
            await door.ask("POST", "/v1/sessions", body)
        with pytest.raises(AgentError, match="4 times"):
            await door.ask("POST", "/v1/maintenance")
        assert len(door.acts) == 4
        await advance(door, 900)
        await door.ask("POST", "/v1/maintenance")
    finally:
        await door.close()


async def test_maintenance_has_defaults(door: Door):
    """Nothing needs to be said to begin maintenance."""
    assert (await door.ask("POST", "/v1/maintenance"))["until"] == "2026-11-01T09:00:00.000Z"


async def test_what_cannot_be_recorded_is_not_done(door: Door):
    """An act that the audit trail does not take is refused, and the log says why."""
    door.record_fails = True
    with capture_logs() as logs, pytest.raises(AgentError, match="its log says why"):
        await door.ask("POST", "/v1/maintenance")
    assert logs[0]["event"] == "local_request_failed"
    assert (await door.ask("GET", "/v1/service"))["state"] == "open"


async def test_announcements(door: Door):
    """Those in force are there for an application that starts late."""
    door.desk.notices.announce("您好", 60)
    (shown,) = (await door.ask("GET", "/v1/announcements"))["announcements"]
    assert (shown["text"], shown["until"]) == ("您好", "2026-11-01T08:01:00.000Z")
    await advance(door, 60)
    assert await door.ask("GET", "/v1/announcements") == {"announcements": []}


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/sessions/x/y/z", 404),
        ("GET", "/v2/status", 404),
        ("PUT", "/v1/status", 405),
        ("GET", "/v1/maintenance", 405),
        ("OPTIONS", "*", 404),
        ("GET", "http://localhost/v1/status?a=b", 200),
    ],
)
async def test_paths_and_methods(door: Door, method: str, target: str, status: int):
    """What is not there is 404, what is there but not so is 405 and says how."""
    answered, headers, _ = await door.talk(http(method, target))
    assert answered == status
    assert ("allow" in headers) == (status == 405)


async def test_head_has_no_body(door: Door):
    """HEAD is answered without a body (RFC 9110, 9.3.2)."""
    status, headers, body = await door.talk(http("HEAD", "/v1/status"))
    assert (status, body) == (405, b"")
    assert headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "business: Field required"),
        (b"{", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b'{"business": "a", "mode": "robot"}', "mode: Input should be"),
        (b'{"business": "' + b"a" * 100 + b'", "mode": "staff"}', "business: String should match"),
        (b'{"business": "a", "mode": "staff", "x": 1}', "x: Extra inputs"),
        (b'{"business": "a", "mode": "staff\xff"}', "Invalid JSON"),
    ],
)
async def test_bad_bodies(door: Door, body: bytes, detail: str):
    """A body that does not fit is refused with the field and the reason."""
    problem = await door.talk_json(http("POST", "/v1/sessions", body))
    assert problem["status"] == 400
    assert detail in problem["detail"]
    assert not door.desk.is_serving


# -- events ----------------------------------------------------------------------------------


async def test_following_events(door: Door):
    """A follower learns what holds now, then every change, one whole subject at a time."""
    async with Events(door) as events:
        assert await events.block() == "retry: 1000"
        first = [await events.next() for _ in range(5)]
        assert [name for name, _ in first] == [
            "service",
            "sessions",
            "announcements",
            "power",
            "identity",
        ]
        assert first[0][1] == {"state": "open", "text": "", "may_begin": True, "reason": ""}
        session = await door.ask("POST", "/v1/sessions", {"business": "a", "mode": "staff"})
        assert await events.next() == ("sessions", {"sessions": [session]})
        assert (await events.next())[0] == "service"
        door.desk.notices.announce("Two\nlines", 60)
        name, data = await events.next()
        assert (name, data["announcements"][0]["text"]) == ("announcements", "Two\nlines")
        door.desk.announce_power("reboot", 15)
        name, data = await events.next()
        assert (name, data["kind"], data["seconds_left"]) == ("power", "reboot", 15)
        name, data = await events.next()
        assert (name, data["may_begin"]) == ("service", False)
        door.desk.withdraw_power()
        assert await events.next() == ("power", {"kind": "none", "seconds_left": 0, "text": ""})
    await until(lambda: door.desk.follower_count == 0)


async def test_heartbeat(make_door):
    """A quiet stream shows that it is alive, by comments that browsers ignore."""
    door = await make_door(limits=Limits(heartbeat_s=0.05))
    async with Events(door) as events:
        blocks = [await events.block() for _ in range(8)]
        assert blocks[-2:] == [": alive", ": alive"]


async def test_slow_consumer(make_door):
    """A follower that does not read is hung up on; the desk and others go on."""
    door = await make_door(limits=Limits(write_s=0.2))

    async def read_all(events: Events) -> int:
        count = 0
        while await events.reader.read(65536):
            count += 1
        return count

    async with Events(door), Events(door) as quick:
        reading = asyncio.create_task(read_all(quick))
        await until(lambda: door.desk.follower_count == 2)
        for _ in range(10 * MAX_WAITING):
            door.desk.notices.announce("x" * 500, 60)
            await asyncio.sleep(0.001)
        await until(lambda: door.desk.follower_count == 1)
        assert not reading.done()
    await door.close()
    assert await reading > 0


async def test_followers_are_bounded(make_door):
    """Followers cannot take all connections."""
    door = await make_door(limits=Limits(streams=1))
    async with Events(door):
        await until(lambda: door.desk.follower_count == 1)
        problem = await door.talk_json(http("GET", "/v1/events"))
        assert problem["status"] == 503
    await until(lambda: door.desk.follower_count == 0)
    async with Events(door):
        pass


# -- what comes from outside -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (b"\x00\x01\x02\xff\r\n\r\n", 400),
        (b'{"request": "status"}\n\r\n\r\n', 400),
        (b"GET /v1/status HTTP/1.1\r\n\r\n", 400),  # without Host
        (b"GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"GET /v1/status HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /v1/status HTTP/1.1\r\nHost: x\r\n bad: fold\r\nX y: z\r\n\r\n", 400),
        (b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 400),
        (b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (
            b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (b"GET //[/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413),
        (
            b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"10000\r\n" + b"x" * 65536 + b"\r\n1\r\nx\r\n0\r\n\r\n",
            413,
        ),
    ],
)
async def test_malformed_requests(door: Door, words: bytes, status: int):
    """What is not HTTP, or too much of it, gets a problem for an answer, and they hang up."""
    answered, headers, body = await door.talk(words)
    assert answered == status
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["detail"]
    assert await door.ask("GET", "/v1/status")


async def test_oversize_body_that_is_sent_all_the_same(door: Door):
    """Who sends megabytes without listening still reads why they were refused."""
    body = b"x" * 2_000_000
    reader, writer = await door.connect()
    writer.write(http("POST", "/v1/sessions", body))
    answer = b""
    async with asyncio.timeout(10):
        try:
            while data := await reader.read(65536):
                answer += data
        except ConnectionError:
            pass
    writer.transport.abort()
    assert parse(answer)[0] == 413


async def test_half_a_request_and_gone(door: Door):
    """Who hangs up in the middle of a request costs nothing."""
    for words in (b"", b"GET /v1/st", b"POST /v1/sessions HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
        _, writer = await door.connect()
        writer.write(words)
        await writer.drain()
        writer.close()
    assert await door.ask("GET", "/v1/status")


async def test_slow_client(make_door):
    """A client that sends its request byte by byte is answered 408 when its time is over."""
    door = await make_door(limits=Limits(request_s=0.3))
    reader, writer = await door.connect()
    began = time.monotonic()
    for byte in b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: ":
        if reader.at_eof() or reader._buffer:
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)
    async with asyncio.timeout(10):
        status, _, body = parse(await reader.read())
    writer.close()
    assert status == 408
    assert "not complete" in json.loads(body)["detail"]
    assert time.monotonic() - began < 5


async def test_idle_connection(make_door):
    """A connection on which nothing is asked is closed after a while, without a word."""
    door = await make_door(limits=Limits(idle_s=0.1))
    reader, writer = await door.connect()
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_keep_alive_and_pipelining(door: Door):
    """Many requests on one connection are answered in order, also when sent at once."""
    reader, writer = await door.connect()
    one = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    two = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(one + two)
    writer.write(one)
    writer.write(http("GET", "/v1/status"))
    async with asyncio.timeout(10):
        answers = (await reader.read()).split(b"HTTP/1.1 ")
    writer.close()
    assert [answer[:3] for answer in answers] == [b"", b"200", b"404", b"200", b"200"]


async def test_continue(door: Door):
    """A client that asks before it sends its body is told to go on (RFC 9110, 10.1.1)."""
    body = b'{"business": "a", "mode": "staff"}'
    head = http("POST", "/v1/sessions", body, "Expect: 100-continue").removesuffix(body)
    reader, writer = await door.connect()
    writer.write(head)
    async with asyncio.timeout(10):
        assert b"100" in await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        assert parse(await reader.read())[0] == 201
    writer.close()


async def test_http_1_0(door: Door):
    """An old client is answered and hung up on."""
    status, _, _ = await door.talk(b"GET /v1/status HTTP/1.0\r\n\r\n")
    assert status == 200


async def test_two_hundred_connections(make_door):
    """Two hundred at once: each is answered, by the agent or that there is no room now."""
    door = await make_door(limits=Limits(connections=50, grace_s=0.2))
    answers = await asyncio.gather(*(door.talk(http("GET", "/v1/status")) for _ in range(200)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 40
    assert await door.ask("GET", "/v1/status")


async def test_idle_connections_make_room(make_door):
    """Two hundred that do nothing keep nobody out: the oldest idle one goes for a new one."""
    door = await make_door(limits=Limits(connections=50, grace_s=0.1))
    idle = [await door.connect() for _ in range(200)]
    await asyncio.sleep(0.15)
    assert await door.ask("GET", "/v1/status")
    for _, writer in idle:
        writer.close()


async def test_one_user_cannot_keep_others_out(make_door, monkeypatch: pytest.MonkeyPatch):
    """Slow requests of one user make room for another user, not for more of their own."""
    users = itertools.chain([1001] * 12, itertools.repeat(0))
    monkeypatch.setattr(http_connection, "_uid", lambda _: next(users))
    door = await make_door(limits=Limits(connections=10, request_s=30))
    slow = [await door.connect() for _ in range(10)]  # one more was the fixture's
    for _, writer in slow:
        writer.write(b"G")
    await asyncio.sleep(0.05)
    status, _, _ = await door.talk(http("GET", "/v1/status"))
    assert status == 503
    status, _, _ = await door.talk(http("GET", "/v1/status"))
    assert status == 200
    for _, writer in slow:
        writer.close()


async def test_busy_connections_are_not_cut(make_door):
    """Those who follow events are not hung up on for a newcomer, who is told to come again."""
    door = await make_door(limits=Limits(connections=2, grace_s=0.01))
    await asyncio.sleep(0.05)
    async with Events(door), Events(door):
        await asyncio.sleep(0.05)
        status, headers, _ = await door.talk(http("GET", "/v1/status"))
        assert (status, headers["retry-after"]) == (503, "1")
        assert door.desk.follower_count == 2


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(words=st.binary(min_size=1, max_size=400) | st.text(max_size=200).map(str.encode))
async def test_any_bytes(make_door, words: bytes):
    """Whatever is sent, the answer is HTTP or a hang-up, and the door stays open."""
    door = await make_door()
    try:
        reader, writer = await door.connect()
        writer.write(words)
        writer.write_eof()
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        assert not answer or answer.startswith(b"HTTP/1.1 4")
    finally:
        await door.close()


async def test_sessions_are_bounded(door: Door):
    """An application that begins sessions without end is told to stop."""
    body = {"business": "a", "mode": "staff"}
    for _ in range(MAX_SESSIONS):
        await door.ask("POST", "/v1/sessions", body)
    with pytest.raises(AgentError, match="open already"):
        await door.ask("POST", "/v1/sessions", body)


async def test_handler_that_hangs(make_door):
    """An answer that does not come in time is said to be so."""
    door = await make_door(limits=Limits(answer_s=0.05))
    door._door._latest_status = asyncio.Event().wait
    problem = await door.talk_json(http("GET", "/v1/status"))
    assert problem["status"] == 503


# -- the socket ------------------------------------------------------------------------------


async def test_only_owner_and_group(make_door):
    """Nobody else may connect; the group is the one that was asked for."""
    group = grp.getgrgid(os.getgid()).gr_name
    door = await make_door(group=group)
    found = door.path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_gid == os.getgid()


async def test_group_that_cannot_be_given(make_door):
    """A group that does not exist is a line in the log; the door opens with the agent's own."""
    with capture_logs() as logs:
        door = await make_door(group="no-such-group")
    assert logs[0]["event"] == "socket_group"
    assert await door.ask("GET", "/v1/status")


async def test_socket_of_a_killed_agent(make_door, tmp_path: Path):
    """A socket that was left behind is replaced, and ours is gone when we are."""
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tmp_path / "s"))
    door = await make_door()
    assert await door.ask("GET", "/v1/status")
    await door.close()
    assert not door.path.exists()


async def test_closing_with_open_connections(door: Door):
    """The agent stops at once, whoever is connected."""
    async with Events(door) as events:
        async with asyncio.timeout(5):
            await door.close()
            rest = await events.reader.read()
        assert rest.startswith(b"d\r\nretry")


# -- clients ---------------------------------------------------------------------------------


async def test_nobody_is_there(tmp_path: Path):
    """Without an agent the client says so, in a sentence."""
    with pytest.raises(NotRunningError, match="no agent answers on"):
        await ask(tmp_path / "s", "GET", "/v1/status")


@pytest.mark.parametrize(
    "words",
    [b"", b"\x00garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"],
)
async def test_somebody_else_is_there(tmp_path: Path, words: bytes):
    """Whatever answers that is not the agent is told apart from it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    with pytest.raises(NotRunningError, match=r"no agent|not the agent"):
        await ask(tmp_path / "s", "GET", "/v1/status")
    server.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl(door: Door):
    """The examples of the documentation work."""

    async def curl(*arguments: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "10",
            "--unix-socket",
            door.path,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return output

    session = json.loads(
        await curl(
            "http://localhost/v1/sessions",
            "--data",
            '{"business": "violation.pay", "mode": "self_service"}',
        )
    )
    url = f"http://localhost/v1/sessions/{session['id']}"
    assert json.loads(await curl("--request", "POST", f"{url}/alive")) == session
    assert await curl("--request", "DELETE", url, "--write-out", "%{http_code}") == b"204"
    large = door.path.with_name("large")
    large.write_bytes(b"x" * 3_000_000)
    url = "http://localhost/v1/sessions"
    code = await curl("--data-binary", f"@{large}", url, "--write-out", "\n%{http_code}")
    assert code.splitlines()[-1] == b"413"
    followed = await curl("--no-buffer", "--max-time", "1", "http://localhost/v1/events")
    assert followed.startswith(b'retry: 1000\n\nevent: service\ndata: {"state":"open"')


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
