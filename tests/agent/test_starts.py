"""An agent that starts too often without running well rests its cameras, and comes back."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from agent.settings import SafeModeSettings
from agent.starts import SafeMode, Starts
from tests.support.clock import ManualClock

SPELL_S = 600


class Life:
    """One life of the agent's process."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.alive = True
        self.changes = 0
        self.fails = 0
        self.starts = Starts(path)

    async def begin(self, **settings: int) -> "Life":
        await asyncio.to_thread(self.starts.begin)
        self.mode = SafeMode(
            starts=self.starts,
            settings=SafeModeSettings(**settings),
            clock=self.clock,
            alive=lambda: self.alive,
            on_change=self._change,
        )
        self.task = asyncio.create_task(self.mode.run())
        return self

    async def _change(self) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError
        self.changes += 1

    async def last(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        for _ in range(20):  # the file is written in a thread
            await asyncio.sleep(0.001)
        await self.clock.settle()

    async def die(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "starts.json"


async def crash_loop(path: Path, times: int) -> None:
    for _ in range(times):
        life = await Life(path).begin()
        await life.last(SPELL_S - 10)
        await life.die()


async def test_sixth_start_is_in_safe_mode(path: Path):
    """Five starts in a row are bad luck; the sixth is in safe mode, and says why."""
    await crash_loop(path, 4)
    fifth = await Life(path).begin()
    assert not fifth.mode.is_on
    assert fifth.mode.reason is None
    await fifth.die()
    sixth = await Life(path).begin()
    assert sixth.mode.is_on
    assert "6 times" in (sixth.mode.reason or "")
    await sixth.die()


async def test_healthy_spell_begins_the_count_anew(path: Path):
    """After ten good minutes earlier starts do not count any more."""
    await crash_loop(path, 4)
    good = await Life(path).begin()
    await good.last(SPELL_S + 5)
    await good.die()
    await crash_loop(path, 4)
    assert not (await Life(path).begin()).mode.is_on


async def test_safe_mode_ends_by_itself(path: Path):
    """After a healthy spell cameras work again; the count begins anew after one more with them."""
    await crash_loop(path, 5)
    life = await Life(path).begin()
    await life.last(SPELL_S + 5)
    assert (life.mode.is_on, life.changes) == (False, 1)
    await life.die()
    again = await Life(path).begin()
    assert again.mode.is_on, "with cameras it was not healthy long enough"
    await again.last(2 * SPELL_S + 10)
    await again.die()
    assert not (await Life(path).begin()).mode.is_on


async def test_what_a_later_release_counted_counts(path: Path):
    """Fields that this release does not know are passed over."""
    await asyncio.to_thread(path.parent.mkdir)
    await asyncio.to_thread(path.write_text, '{"starts": 5, "more": {"x": [1]}}')
    life = await Life(path).begin()
    assert life.mode.is_on
    await life.die()


async def test_spell_is_in_one_piece(path: Path):
    """Time before a part was dead does not count."""
    await crash_loop(path, 5)
    life = await Life(path).begin()
    await life.last(SPELL_S - 10)
    life.alive = False
    await life.last(10)
    life.alive = True
    await life.last(SPELL_S - 10)
    assert life.mode.is_on
    await life.last(20)
    assert not life.mode.is_on
    await life.die()


async def test_wakes_again_where_waking_failed(path: Path):
    """Where cameras could not be started, it stays in safe mode and says so to its supervisor."""
    await crash_loop(path, 5)
    life = await Life(path).begin()
    life.fails = 1
    await life.last(SPELL_S + 5)
    with pytest.raises(OSError):  # noqa: PT011 - bare, from this test
        await life.task
    assert life.mode.is_on
    life.task = asyncio.create_task(life.mode.run())
    await life.last(SPELL_S + 5)
    assert not life.mode.is_on
    await life.die()


async def test_restart_on_purpose_does_not_count(path: Path):
    """A process that ends because it was told to start again is no sign of illness."""
    for _ in range(20):
        life = await Life(path).begin()
        assert not life.mode.is_on
        await asyncio.to_thread(life.starts.forgive)
        await life.die()


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"starts": -1}', b'{"starts": 1e9}', b"[]"])
async def test_broken_file_counts_from_nothing(path: Path, content: bytes):
    """A file that says nothing sensible is replaced."""
    path.parent.mkdir()
    path.write_bytes(content)
    life = await Life(path).begin()
    assert (life.starts.count, path.read_bytes()) == (1, b'{"starts":1}')
    await life.die()


async def test_file_that_cannot_be_written(tmp_path: Path):
    """Where nothing can be stored the agent starts all the same, and counts in memory."""
    (tmp_path / "state").write_text("a file where a folder should be")
    life = await Life(tmp_path / "state" / "starts.json").begin()
    assert life.starts.count == 1
    await life.last(SPELL_S + 5)
    assert life.starts.count == 0
    await life.die()
