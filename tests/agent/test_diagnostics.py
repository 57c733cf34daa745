"""Diagnostics tell of a sick agent what they can, in a known size, and no secret."""

import asyncio
import io
import json
import os
import tarfile

import pytest

from agent.diagnostics import Diagnostics
from agent.settings import Settings
from commands.errors import ActionError
from commands.journal import Journal
from tests.support.clock import START, ManualClock
from vision.settings import CameraSettings
from vision.source import redact


class Pages(Journal):
    """A journal with these lines, or none."""

    def __init__(self, lines: list[str] | None):
        super().__init__()
        self._lines = lines

    async def newest(self, *, since_s, lines):
        if self._lines is None:
            msg = "the journal has no line of the agent"
            raise ActionError(msg)
        return [redact(line) for line in self._lines[-lines:]]


async def status():
    return {"link": {"state": "online"}}


def make(tmp_path, *, journal=("a line",), **changes) -> Diagnostics:
    camera = CameraSettings(name="front", source="rtsp://admin:geheim@10.0.0.5/live?token=geheim")
    settings = Settings(kiosk={"id": "k-1", "state_folder": tmp_path}, camera=(camera,))
    parts = {
        "settings": lambda: settings.model_dump(mode="json"),
        "status": status,
        "health": lambda: {"cpu_percent": 3.5},
    }
    return Diagnostics(
        agent_version="1.2.3",
        journal=Pages(None if journal is None else list(journal)),
        clock=ManualClock(),
        **(parts | changes),
    )


def unpack(content: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        assert {entry.mtime for entry in archive} == {int(START.timestamp())}
        return {
            entry.name.removeprefix("diagnostics/"): archive.extractfile(entry).read().decode()
            for entry in archive.getmembers()
        }


async def test_everything_is_in_one_archive(tmp_path):
    """Versions, settings, status, health, tasks and the newest lines of the journal."""
    archive = await make(tmp_path).collect()
    files = unpack(archive.content)
    assert set(archive.files) == files.keys()
    assert files["journal.txt"] == "a line\n"
    versions = json.loads(files["versions.json"])
    assert versions["agent"] == "1.2.3"
    assert versions["libraries"]["pydantic"]
    assert versions["kernel"].endswith(os.uname().version)
    assert json.loads(files["status.json"]) == {"link": {"state": "online"}}
    assert json.loads(files["health.json"]) == {"cpu_percent": 3.5}
    assert asyncio.current_task().get_name() in {
        task["name"] for task in json.loads(files["tasks.json"])
    }
    assert (archive.problems, json.loads(files["problems.json"])) == ((), [])


async def test_no_password_leaves_the_kiosk(tmp_path):
    """Neither from the settings nor from a line of the journal."""
    journal = ["cannot open rtsp://admin:geheim@10.0.0.5/live?token=geheim"]
    archive = await make(tmp_path, journal=journal).collect()
    files = unpack(archive.content)
    assert "10.0.0.5" in files["settings.json"]
    assert "10.0.0.5" in files["journal.txt"]
    assert not [name for name, content in files.items() if "geheim" in content]


async def test_what_fails_is_a_problem_and_the_rest_is_there(tmp_path):
    """A part that is broken, a log elsewhere: named in archive and receipt."""

    async def broken():
        msg = "no outbox"
        raise RuntimeError(msg)

    archive = await make(tmp_path, status=broken, health=lambda: None, journal=None).collect()
    assert archive.problems == (
        "status.json: RuntimeError: no outbox",
        "journal: the journal has no line of the agent",
    )
    files = unpack(archive.content)
    assert json.loads(files["problems.json"]) == list(archive.problems)
    assert files.keys() == {"versions.json", "settings.json", "tasks.json", "problems.json"}


@pytest.mark.parametrize("limit", [200_000, 20_000])
async def test_the_archive_keeps_to_its_size(tmp_path, limit):
    """Older lines of the journal give way, and a file that is absurdly large."""
    lines = [f"{number} {os.urandom(150).hex()}" for number in range(2000)]
    archive = await make(
        tmp_path, journal=lines, limit=limit, settings=lambda: {"much": "x" * 300_000}
    ).collect()
    assert len(archive.content) <= limit
    files = unpack(archive.content)
    kept = files["journal.txt"].splitlines()
    assert kept == lines[-len(kept) :]
    assert "settings.json" not in files
    assert archive.problems[0].startswith("settings.json: left out, 3000")
    assert archive.problems[-1] == f"journal: {2000 - len(kept)} older lines left out"
