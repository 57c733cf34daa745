"""Faults of the agent's parts become alarms, once each, and end."""

import asyncio
from contextlib import suppress

import pytest

from agent.alarms import QUIET_S, FaultAlarms
from contract.events import AlarmCleared, AlarmRaised
from telemetry.alarms import AlarmBoard
from telemetry.link import LinkState
from telemetry.transport import LineLostError, NotAuthorisedError, SessionTakenError
from tests.support.clock import ManualClock


class Board:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.published: list[object] = []
        self.faults = FaultAlarms(AlarmBoard(clock=self.clock, publish=self._publish), self.clock)

    async def _publish(self, data, stamp) -> None:
        self.published.append(data)

    @property
    def said(self) -> list[str]:
        names = {AlarmRaised: "raised", AlarmCleared: "cleared"}
        return [f"{names[type(data)]} {data.code}" for data in self.published]


@pytest.fixture
async def board():
    board = Board()
    task = asyncio.create_task(board.faults.run())
    yield board
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_storage_fault_begins_and_ends(board: Board):
    """A fault that its part calls over is cleared then."""
    board.faults.tell("outbox.storage", "disk full")
    board.faults.tell("outbox.storage", "disk full")
    await board.clock.advance(1)
    assert board.said == ["raised outbox.storage"]
    await board.clock.advance(2 * QUIET_S)
    board.faults.tell("outbox.storage", None)
    await board.clock.advance(1)
    assert board.said == ["raised outbox.storage", "cleared outbox.storage"]


async def test_twin_alarm_ends_after_quiet(board: Board):
    """Two boxes with one id: one alarm while it goes on, cleared ten minutes after it ended."""
    taken = SessionTakenError("another client took the session")
    for _ in range(5):
        board.faults.link_changed(LinkState.WAITING, taken)
        await board.clock.advance(200)
        board.faults.link_changed(LinkState.ONLINE, None)
    assert board.said == ["raised link.session_taken"]
    alarm = board.published[0]
    assert isinstance(alarm, AlarmRaised)
    assert alarm.severity == "critical"
    await board.clock.advance(2 * QUIET_S)
    assert board.said == ["raised link.session_taken", "cleared link.session_taken"]


async def test_wrong_password_ends_when_online(board: Board):
    """A refused password is an alarm until the broker lets us in; a lost line is none."""
    board.faults.link_changed(LinkState.WAITING, LineLostError("reset"))
    await board.clock.advance(1)
    assert board.said == []
    board.faults.link_changed(LinkState.WAITING, NotAuthorisedError("wrong password"))
    await board.clock.advance(1)
    board.faults.link_changed(LinkState.ONLINE, None)
    await board.clock.advance(1)
    assert board.said == ["raised link.refused", "cleared link.refused"]


async def test_denied_messages(board: Board):
    """Messages that the broker refuses are one alarm, however many they are."""
    for _ in range(50):
        board.faults.denied("kiosk/v1/k1/up/health", 0x87)
    await board.clock.advance(1)
    assert board.said == ["raised link.denied"]
