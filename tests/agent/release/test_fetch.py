"""Fetching over HTTPS: over a bad line, within limits, and from nobody who is not to be trusted."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ReleaseError
from agent.release.fetch import TRIES, Fetch
from tests.support.https import HttpsServer

CONTENT = os.urandom(50_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpsServer]:
    server = HttpsServer(tmp_path)
    server.files["r"] = CONTENT
    yield server
    server.close()


class Fetched:
    def __init__(self, folder: Path, server: HttpsServer):
        self.part = folder / "incoming/x.part"
        self.pauses: list[float] = []
        self.told: list[tuple[int, int]] = []
        self.wanted: list[int] = []
        self._server = server

    def __call__(self, **changes: Any) -> bytes:
        options = {
            "url": self._server.url("r"),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "limit": 100_000,
            "roots": self._server.roots,
        }
        fetch = Fetch(
            part=self.part,
            check_space=self.wanted.append,
            tell=lambda *word: self.told.append(word),
            sleep=self.pauses.append,
            **options | changes,
        )
        fetch.run()
        return self.part.read_bytes()


@pytest.fixture
def fetch(tmp_path: Path, server: HttpsServer) -> Callable[..., bytes]:
    return Fetched(tmp_path, server)


def test_whole_file_at_once(fetch):
    assert fetch() == CONTENT
    assert fetch.wanted == [50_000]
    assert fetch.told[-1] == (50_000, 50_000)
    assert fetch.pauses == []


def test_cut_line_goes_on_where_it_was(fetch, server):
    """Each byte comes once, and pauses stay short while something comes."""
    server.cuts = [10_000, 1, 20_000]
    assert fetch() == CONTENT
    assert [asked for _, asked in server.requests] == [
        None,
        "bytes=10000-",
        "bytes=10001-",
        "bytes=30001-",
    ]
    assert fetch.pauses == [1.0, 1.0, 1.0]


def test_what_is_there_of_an_earlier_life_is_used(fetch, server):
    fetch.part.parent.mkdir()
    fetch.part.write_bytes(CONTENT[:40_000])
    assert fetch() == CONTENT
    assert fetch.wanted == [10_000]
    fetch.part.write_bytes(CONTENT)
    assert fetch() == CONTENT, "also where nothing is missing"


def test_damage_of_an_earlier_life_is_mended(fetch, server):
    """A power cut may leave zeros: it is fetched once more from the beginning."""
    fetch.part.parent.mkdir()
    fetch.part.write_bytes(bytes(40_000))
    assert fetch() == CONTENT
    assert [asked for _, asked in server.requests] == ["bytes=40000-", None]


def test_server_that_cannot_resume(fetch, server):
    server.resumes = False
    server.cuts = [10_000]
    assert fetch() == CONTENT


def test_another_file_is_refused(fetch):
    with pytest.raises(ReleaseError, match="not the file that was ordered"):
        fetch(sha256="0" * 64)
    assert not fetch.part.exists()


def test_too_large_a_file_is_refused(fetch):
    """By what the server says, before it is fetched."""
    with pytest.raises(ReleaseError, match="larger than 0 MiB"):
        fetch(limit=49_999)
    assert fetch.told == []
    assert not fetch.part.exists()


def test_no_room(fetch):
    def full(_: int) -> None:
        msg = "the disk is full"
        raise ReleaseError(msg)

    fetch.wanted = type("Full", (), {"append": staticmethod(full)})()
    with pytest.raises(ReleaseError, match="the disk is full"):
        fetch()
    assert fetch.told == []


def test_server_under_other_roots_is_not_asked(fetch, server, tmp_path):
    (tmp_path / "other").mkdir()
    other = HttpsServer(tmp_path / "other")
    try:
        with pytest.raises(ReleaseError, match="the server is not to be trusted"):
            fetch(roots=other.roots)
    finally:
        other.close()
    assert server.requests == []
    with pytest.raises(ReleaseError, match="the server is not to be trusted"):
        fetch(roots=None)


def test_roots_that_are_not_there(fetch, tmp_path):
    with pytest.raises(ReleaseError, match=r"certificates .*nowhere"):
        fetch(roots=tmp_path / "nowhere")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_refusal_is_final(fetch, server, status):
    server.statuses = [(status, None)]
    with pytest.raises(ReleaseError, match=f"the server answers {status}"):
        fetch()
    assert len(server.requests) == 1


def test_busy_server_is_asked_again(fetch, server):
    server.statuses = [(503, None), (429, None), (500, None)]
    assert fetch() == CONTENT
    assert fetch.pauses == [2.0, 4.0, 8.0]


def test_dead_server_is_given_up(fetch, server):
    server.statuses = [(503, None)] * TRIES
    with pytest.raises(ReleaseError, match=f"in {TRIES} tries: the server answers 503"):
        fetch()


def test_nobody_there(fetch, server):
    with pytest.raises(ReleaseError, match="Connection refused"):
        fetch(url="https://127.0.0.1:1/r")


def test_redirects_stay_on_tls(fetch, server):
    server.statuses = [(302, server.url("r"))]
    assert fetch() == CONTENT
    server.statuses = [(302, "http://127.0.0.1:1/r")]
    with pytest.raises(ReleaseError, match="an address that is not HTTPS"):
        fetch(url=server.url("other"))


def test_proxy_of_the_environment_is_used(fetch, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    with pytest.raises(ReleaseError, match="Connection refused"):
        fetch()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert fetch() == CONTENT
