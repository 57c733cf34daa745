"""``update.install``: prepared while people are served, switched to when nobody is."""

import asyncio
from dataclasses import dataclass
from typing import Literal

import pytest

from commands.actions.update import ENDING_S, update_install
from commands.errors import ActionError
from contract.actions import UpdateInstall
from contract.errors import MalformedError
from contract.wire import validated
from tests.support.clock import ManualClock
from tests.support.invocations import invocation

NOW = ManualClock().stamp()
ARGUMENTS = UpdateInstall(file="x.release", sha256="0" * 64, version="1.1.0")
CALL = invocation(ARGUMENTS, NOW, signers=("li", "wang"))


@dataclass
class End:
    outcome: Literal["confirmed", "rolled_back", "lost"]
    version: str = "1.1.0"
    before: str = "1.0.0"
    why: str = "no line to the broker"


class FakeUpdates:
    def __init__(self):
        self.steps: list[str] = []
        self.end: End | None = None
        self.error: ActionError | None = None

    def missing(self) -> str | None:
        return "no launcher"

    async def prepare(self, arguments, say) -> None:
        if self.error:
            raise self.error
        await say("unpacks the release", 50)
        self.steps.append("prepared")

    async def switch(self, *, command, signers) -> None:
        self.steps.append(f"switched for {', '.join(signers)}")

    async def outcome(self, command):
        return self.end


class Counter:
    """A counter where a citizen may stand."""

    def __init__(self):
        self.free = asyncio.Event()
        self.free.set()

    @property
    def is_serving(self) -> bool:
        return not self.free.is_set()

    async def wait_until_free(self) -> None:
        await self.free.wait()


@pytest.fixture
def updates() -> FakeUpdates:
    return FakeUpdates()


async def test_waits_for_the_citizen_only_before_the_switch(updates):
    clock, counter = ManualClock(), Counter()
    counter.free.clear()
    action = update_install(updates, counter, clock)
    running = asyncio.ensure_future(action.run(ARGUMENTS, CALL))
    await clock.settle()
    assert updates.steps == ["prepared"]
    counter.free.set()
    await clock.settle()
    assert updates.steps[1:] == ["switched for li, wang"]
    await clock.advance(ENDING_S)
    with pytest.raises(ActionError, match="the agent did not end within 90 s"):
        await running


async def test_what_cannot_be_prepared_is_not_switched_to(updates):
    updates.error = ActionError("the disk is full")
    action = update_install(updates, Counter(), ManualClock())
    with pytest.raises(ActionError, match="the disk is full"):
        await action.run(ARGUMENTS, CALL)
    assert updates.steps == []


@pytest.mark.parametrize(
    ("end", "code", "text"),
    [
        (End("rolled_back"), "rolled_back", "1.1.0 went back to 1.0.0: no line to the broker"),
        (None, "interrupted", "what runs is as it was"),
    ],
)
async def test_end_that_is_none_is_told(updates, end, code, text):
    updates.end = end
    action = update_install(updates, Counter(), ManualClock())
    assert action.resume is not None
    with pytest.raises(ActionError, match=text) as caught:
        await action.resume(ARGUMENTS, CALL)
    assert caught.value.code == code


async def test_confirmed_release_is_told(updates):
    updates.end = End("confirmed")
    action = update_install(updates, Counter(), ManualClock())
    assert action.resume is not None
    result = await action.resume(ARGUMENTS, CALL)
    assert result == {"version": "1.1.0", "before": "1.0.0"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://x/y"},
        {"file": None},
        {"file": None, "url": "http://x/y"},
        {"file": None, "url": "https://user:secret@x/y"},
        {"file": "../x"},
        {"file": "a/b"},
        {"file": ".hidden"},
        {"version": "1.1"},
        {"version": "1.1.0.dev1"},
        {"sha256": "A" * 64},
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(MalformedError):
        validated(lambda: UpdateInstall(**(ARGUMENTS.model_dump() | wrong)))
