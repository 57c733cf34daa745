import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from telemetry.outbox import Outbox
from telemetry.settings import OutboxSettings
from tests.support.clock import ManualClock
from tests.support.messages import TOPICS

StartOutbox = Callable[..., Awaitable[Outbox]]


async def stop(outbox: Outbox, task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await outbox.close()


@asynccontextmanager
async def running(folder: Path, clock: ManualClock, faults: list[Any], **settings: Any):
    """An outbox with its writer; ended in order."""
    outbox = Outbox(
        folder,
        topics=TOPICS,
        settings=OutboxSettings(**settings),
        clock=clock,
        on_fault=lambda fault, text: faults.append((fault, text)),
    )
    await outbox.start()
    task = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        await stop(outbox, task)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def faults() -> list[tuple[str, str | None]]:
    return []


@pytest.fixture
async def start_outbox(
    tmp_path: Path, clock: ManualClock, faults: list[Any]
) -> AsyncIterator[StartOutbox]:
    """Start outboxes in one folder; a second one replaces the first, as after a restart."""
    stack = AsyncExitStack()

    async def start(folder: Path = tmp_path, **settings: Any) -> Outbox:
        await stack.aclose()
        return await stack.enter_async_context(running(folder, clock, faults, **settings))

    async with stack:
        yield start
