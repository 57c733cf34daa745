"""The end of a process whose words nobody took."""

import asyncio
import signal

import pytest

from tests.support.flooding_process import Flood
from vision.process import ChildProcess, start

SOON_S = 30


async def flooding(*, ends):
    """Start a process and wait until it is held up by its full pipe."""
    child = await start(ChildProcess, "tests.support.flooding_process", Flood(ends=ends))
    async with asyncio.timeout(SOON_S):
        assert await child.read()
        while not child.last_words:
            await asyncio.sleep(0.02)
    return child


@pytest.mark.parametrize("ends", [True, False])
async def test_a_process_with_a_full_pipe_is_killed(ends):
    """What lies in the pipe does not hold up who reaps it."""
    child = await flooding(ends=ends)
    async with asyncio.timeout(SOON_S):
        assert await child.close(kill=True) == -signal.SIGKILL


async def test_a_process_with_a_full_pipe_ends_in_order():
    """It gets rid of what it had to say, and ends by itself."""
    child = await flooding(ends=True)
    async with asyncio.timeout(SOON_S):
        assert await child.close(kill=False) == 0


async def test_a_process_that_does_not_end_is_killed():
    """A moment after it was asked to end."""
    child = await flooding(ends=False)
    async with asyncio.timeout(SOON_S):
        assert await child.close(kill=False) == -signal.SIGKILL
