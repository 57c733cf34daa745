"""Sends the outbox over one connection: live messages first, the backlog beside them at a rate."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from functools import partial

import structlog

from contract import Clock
from contract.message import CONTENT_TYPE
from telemetry.outbox import Outbox
from telemetry.row import Row
from telemetry.settings import OutboxSettings
from telemetry.transport import PACKET_OVERHEAD_BYTES, Connection, LineLostError, LinkError

TICK_S = 0.05
"""The backlog's rate is granted in steps of this length."""
DENIED_RETRY_S = 60.0
DENIED_RETRY_MAX_S = 480.0
"""What is denied again and again waits twice as long each time: a mobile line is paid for. Seldom
enough for that, and so often that its alarm stands."""
SILENCE_S = 60.0
"""No acknowledgement for so long, while some are due: the broker is stuck, the line is given up."""
_PREFETCH = 200
_TURN = 50
"""Messages sent in one turn of the event loop: it is never held for more than a millisecond."""

OnDenied = Callable[[str, int], None]
"""Told of a message that the broker would not take: topic and MQTT 5 reason code."""

log = structlog.get_logger()


class Sender:
    """The traffic of one connection; a new one is made for each.

    Args:
        outbox: where the messages are.
        connection: the line.
        settings: window and rate.
        clock: the time of the rate.
        on_denied: told of refused messages; they stay stored and are tried again later.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        connection: Connection,
        settings: OutboxSettings,
        clock: Clock,
        on_denied: OnDenied,
    ) -> None:
        self._outbox = outbox
        self._connection = connection
        self._clock = clock
        self._on_denied = on_denied
        # Two places are left for messages on up/state, which the link sends itself.
        self._window = min(settings.in_flight, max(1, connection.receive_maximum - 2))
        limit = connection.maximum_packet_size
        self._largest = limit - PACKET_OVERHEAD_BYTES if limit else None
        self._rate = settings.backlog_per_s
        self._in_flight = 0
        self._heard_at = clock.monotonic()
        self._ready: deque[Row] = deque()
        self._allowance = 0.0 if self._rate else math.inf
        self._oversize: list[Row] = []
        self._denied: list[int] = []
        self._scheduled = False
        self._wanted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Send until cancelled. Raises ``LineLostError`` where the broker stopped answering."""
        self._outbox.attach(self._schedule)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._backlog(), name="sender-backlog")
                tasks.create_task(self._retry_denied(), name="sender-denied")
                tasks.create_task(self._watch_answers(), name="sender-answers")
        finally:
            self._outbox.detach()

    # -- the window ------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Fill the window soon: once for all that happens in this turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        try:
            for _ in range(min(_TURN, self._window - self._in_flight)):
                row = self._outbox.take_live() or self._take_backlog()
                if row is None:
                    break
                self._send(row)
            else:
                if self._in_flight < self._window:
                    self._schedule()
        except LinkError:
            return  # whoever waits for the end of the line says why
        wants_more = self._outbox.has_backlog and len(self._ready) < _PREFETCH // 2
        if wants_more or self._oversize:
            self._wanted.set()

    def _take_backlog(self) -> Row | None:
        if not self._ready or self._allowance < 1:
            return None
        self._allowance -= 1
        return self._ready.popleft()

    def _send(self, row: Row) -> None:
        if self._largest is not None and len(row.payload) + len(row.topic) > self._largest:
            self._oversize.append(row)
            return
        self._connection.publish(
            row.topic, row.payload, on_ack=partial(self._answered, row), content_type=CONTENT_TYPE
        )
        if self._in_flight == 0:
            self._heard_at = self._clock.monotonic()
        self._in_flight += 1

    def _answered(self, row: Row, reason: int) -> None:
        self._in_flight -= 1
        self._heard_at = self._clock.monotonic()
        if reason < 0x80:
            self._outbox.delivered(row)
        else:
            self._denied.append(row.key)
            self._on_denied(row.topic, reason)
        self._schedule()

    # -- the backlog -----------------------------------------------------------------------

    async def _backlog(self) -> None:
        """Keep some of the backlog at hand and grant it its rate."""
        self._schedule()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._give_up_oversize()
            if self._outbox.has_backlog and len(self._ready) < _PREFETCH:
                self._ready.extend(await self._outbox.fetch_backlog())
            self._schedule()
            if self._rate and (self._ready or self._outbox.has_backlog):
                step = self._rate * TICK_S
                self._allowance = min(self._allowance + step, max(step, 1.0))
                await self._clock.sleep(TICK_S)
                self._wanted.set()

    async def _give_up_oversize(self) -> None:
        while self._oversize:
            row = self._oversize.pop()
            log.error(
                "message larger than the broker takes", topic=row.topic, bytes=len(row.payload)
            )
            await self._outbox.drop_oversize(row)

    async def _retry_denied(self) -> None:
        pause_s, before = DENIED_RETRY_S, 0
        while True:
            await self._clock.sleep(pause_s)
            again = 0 < before <= len(self._denied)
            pause_s = min(2 * pause_s, DENIED_RETRY_MAX_S) if again else DENIED_RETRY_S
            before = len(self._denied)
            while self._denied:
                self._outbox.put_back(self._denied.pop())
            self._schedule()

    async def _watch_answers(self) -> None:
        while True:
            await self._clock.sleep(SILENCE_S / 4)
            silent_s = self._clock.monotonic() - self._heard_at
            if self._in_flight and silent_s >= SILENCE_S:
                msg = f"the broker has not acknowledged anything for {silent_s:.0f} s"
                raise LineLostError(msg)
