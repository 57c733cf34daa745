"""The operators' file: who may command, and nobody when in doubt."""

import json
import re

import pytest

from commands.trust import Trust
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
