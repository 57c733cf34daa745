"""The operators' file: who may command, and nobody when in doubt."""

import asyncio
import errno
import json
import os
import re
from pathlib import Path

import pytest

from commands.trust import Trust
from contract.keys import KeySet
from tests.support.commanded import pin
from tests.support.operators import make_key


@pytest.fixture
def faults() -> list:
    return []


@pytest.fixture
def trust(tmp_path, faults) -> Trust:
    return Trust(tmp_path / "operators.json", on_fault=lambda *told: faults.append(told))


async def test_the_keys_are_read_and_read_again_when_they_change(tmp_path, trust, faults):
    """A change of the file counts at the next look, without a restart."""
    pin(tmp_path / "operators.json", [make_key("li")])
    await trust.refresh()
    assert set(trust.keys) == {"li"}
    pin(tmp_path / "operators.json", [make_key("li"), make_key("wang")])
    await trust.refresh()
    assert set(trust.keys) == set(trust.verifiers) == {"li", "wang"}
    assert trust.problem is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("", "Invalid JSON"),
        ("[]", "message"),
        (json.dumps({"keys": [{"kid": "li"}]}), r"keys\.0\.x: Field required"),
        (json.dumps({"keys": [make_key("li").public().model_dump() | {"role": "king"}]}), "role"),
        ("x" * 2_000_000, "exceeds the limit"),
    ],
)
async def test_a_broken_file_takes_every_right(tmp_path, trust, faults, content, said):
    """Missing or broken: nobody may command, and the fault says why, once, until it is mended."""
    path = tmp_path / "operators.json"
    pin(path, [make_key("li")])
    await trust.refresh()
    if content is None:
        path.unlink()
    else:
        path.write_text(content, encoding="utf-8")
    await trust.refresh()
    await trust.refresh()
    assert dict(trust.keys) == {}
    pin(path, [make_key("li")])
    await trust.refresh()
    assert set(trust.keys) == {"li"}
    ended, (begun, text), ended_again = faults
    assert ended == ended_again == ("operators.unusable", None)
    assert begun == "operators.unusable"
    assert str(path) in text
    assert re.search(said, text)


async def test_whoever_looks_sees_what_is_read_at_the_moment(tmp_path):
    """Of two looks at the same time none returns before the keys are in force."""
    pin(tmp_path / "operators.json", [make_key("li")])
    for _ in range(30):
        trust = Trust(tmp_path / "operators.json")
        looks = [asyncio.create_task(trust.refresh()) for _ in range(2)]
        await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
        assert set(trust.keys) == {"li"}
        await asyncio.gather(*looks)


async def test_a_date_that_json_cannot_say_takes_every_right(tmp_path, trust):
    """A key set that has no fingerprint is a broken one, not the end of the agent."""
    path = tmp_path / "operators.json"
    pin(path, [make_key("li")])
    document = json.loads(path.read_text(encoding="utf-8"))
    document["keys"][0]["exp"] = 2**60
    path.write_text(json.dumps(document), encoding="utf-8")
    await trust.refresh()
    assert dict(trust.keys) == {}
    assert "to the year 9999" in trust.problem


async def test_what_cannot_be_read_now_is_read_later(tmp_path, monkeypatch):
    """A rotated set that could not be read for a moment counts again, with the same file."""
    path, rotated = tmp_path / "operators.json", tmp_path / "keys.json"
    pin(path, [make_key("li")])
    trust = Trust(path, rotated=rotated, write=Path.write_bytes)
    await trust.refresh()
    new = KeySet(keys=(make_key("wang").public(),))
    await trust.replace(new, replaces=trust.fingerprint)
    read_bytes = Path.read_bytes

    def too_many(file: Path) -> bytes:
        if file == rotated:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read_bytes(file)

    trust = Trust(path, rotated=rotated)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", too_many)
        await trust.refresh()
        assert dict(trust.keys) == {}
    await trust.refresh()
    assert set(trust.keys) == {"wang"}
