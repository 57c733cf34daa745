"""Messages to put and rows to read in tests of the outbox and the link."""

import asyncio

from contract import Priority, Topics, open_message
from contract.events import AlarmRaised, MotionBegin
from contract.gap import Gap
from contract.message import Data
from contract.receipt import Receipt
from telemetry.outbox import Outbox
from telemetry.row import Row
from tests.support.clock import ManualClock

TOPICS = Topics("k1")


class Sample(Data, type_="kiosk.sample.v1", suffix="up/sample", priority=Priority.TELEMETRY):
    """Telemetry of a given size."""

    text: str


def message(priority: Priority, size: int = 10) -> Data:
    """A message of a class."""
    match priority:
        case Priority.ALARM:
            return AlarmRaised(
                alarm_id="01890a5d-ac96-774b-bcce-b302099a8057",
                code="test",
                severity="minor",
                text="x" * size,
            )
        case Priority.RECEIPT:
            return Receipt(status="succeeded", text="x" * size)
        case Priority.EVENT:
            return MotionBegin(camera="front", area_percent=5.0)
        case Priority.TELEMETRY:
            return Sample(text="x" * size)


async def put(outbox: Outbox, clock: ManualClock, *priorities: Priority, size: int = 10) -> None:
    """Put messages one after the other; each is stored when this returns."""
    for priority in priorities:
        await put_all(outbox, clock, [message(priority, size)])


async def put_all(outbox: Outbox, clock: ManualClock, messages: list[Data]) -> None:
    """Put messages together, at one moment; the clock moves while they are stored."""
    stamp = clock.stamp()
    task = asyncio.gather(*(outbox.put(item, stamp) for item in messages))
    while not task.done():
        await clock.advance(0.11)
        await asyncio.sleep(0.0005)
    await task


async def backlog(outbox: Outbox) -> list[Row]:
    """Everything stored, in the order of sending."""
    outbox.attach(lambda: None)
    rows: list[Row] = []
    while outbox.has_backlog:
        rows += await outbox.fetch_backlog()
    outbox.detach()
    return rows


def gaps(rows: list[Row]) -> list[Gap]:
    """The gap messages among rows."""
    return [data for row in rows if isinstance(data := open_message(row.payload).data, Gap)]


def covered(rows: list[Row]) -> tuple[set[int], set[int]]:
    """Sequence numbers that arrive, and those within an admitted gap."""
    arrive = {row.sequence for row in rows}
    admitted: set[int] = set()
    for gap in gaps(rows):
        admitted.update(range(gap.first_sequence, gap.last_sequence + 1))
    return arrive, admitted


__all__ = ["TOPICS", "Sample", "backlog", "covered", "gaps", "message", "put", "put_all"]
