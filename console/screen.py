"""``watch`` and ``events``: messages onto the screen as they arrive."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from console.connection import Arrival, cancelled, follow
from console.describe import wanted
from console.fleet import Change, Fleet
from console.sequences import Missing, Sequences
from console.settings import ConsoleSettings
from console.view import fleet_table, message_line
from console.words import LANGUAGES
from contract import Topics
from contract.topics import all_kiosks

REFRESH_S = 0.5
_FRAME_ROWS = 4
"""Of the screen, for the header, what did not fit, and a problem."""
SETTLE_S = 5.0
"""How long a sequence number may be overtaken by others before it counts as missing."""


class Status:
    """Whether there is a connection; each change is said once where there is a console for it."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self.problem: str | None = None
        self.reached = False

    def report(self, problem: str | None) -> None:
        """Take note of a problem, or of its end."""
        if problem is None:
            self.reached = True
            if self.problem is not None and self._console:
                self._console.print("connected again", style="green")
        elif problem != self.problem and self._console:
            self._console.print(Text(f"{problem}; trying again"), style="red", soft_wrap=True)
        self.problem = problem


async def watch(
    settings: ConsoleSettings,
    out: Console,
    errors: Console,
    *,
    as_json: bool,
    seconds: float | None,
) -> bool:
    """Show the fleet until the time is over; returns whether the broker was ever reached."""
    fleet = Fleet(settings.root)
    live_screen = out.is_terminal and not as_json
    status = Status(None if live_screen else errors)
    words = LANGUAGES[settings.lang]
    filters = [all_kiosks(settings.root, suffix) for suffix in ("up/state", "up/health")] + [
        all_kiosks(settings.root, suffix) for suffix in ("up/event/#", "up/gap")
    ]

    def render() -> RenderableType:
        room = max(1, out.height - _FRAME_ROWS) if live_screen else None
        table = fleet_table(fleet.kiosks, _now(), words, max_rows=room)
        return table if status.problem is None else Group(table, Text(status.problem, "red"))

    def receive(arrived: Arrival) -> None:
        change = _feed(fleet, arrived)
        if change is not None and as_json:
            _print_json(out, change.view.summary() | {"changed": change.message.type})

    following = follow(settings, filters, receive, status.report)
    if live_screen:
        with Live(render(), console=out, auto_refresh=False) as live:
            await _for(seconds, following, _refresh(live, render))
        return status.reached
    try:
        await _for(seconds, following)
    finally:
        if not as_json:
            out.print(render())
    return status.reached


async def events(
    settings: ConsoleSettings,
    kiosk: str,
    out: Console,
    errors: Console,
    *,
    kind: str | None,
    as_json: bool,
    seconds: float | None,
) -> bool:
    """Show one kiosk's messages as they arrive; returns whether the broker was ever reached."""
    stream = EventStream(settings, out, kind=kind, as_json=as_json)
    status = Status(errors)

    async def watch_numbers() -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            stream.tell_missing(after_s=SETTLE_S)

    topic = Topics(kiosk, settings.root).up("up/#")
    await _for(seconds, follow(settings, [topic], stream.receive, status.report), watch_numbers())
    stream.tell_missing(after_s=0.0)
    return status.reached


class EventStream:
    """One kiosk's messages, printed: each once, and a line for numbers that are missing."""

    def __init__(
        self, settings: ConsoleSettings, out: Console, *, kind: str | None, as_json: bool
    ) -> None:
        self._out = out
        self._kind = kind
        self._as_json = as_json
        self._words = LANGUAGES[settings.lang]
        self._fleet = Fleet(settings.root)
        self._sequences = Sequences()

    def receive(self, arrived: Arrival) -> None:
        """Print a message that is new and asked for."""
        change = _feed(self._fleet, arrived)
        if change is None:
            return
        message = change.message
        if message.sequence is not None:
            self._sequences.add(message.sequence, time.monotonic())
        if not wanted(message.data, self._kind):
            return
        if self._as_json:
            _print_json(self._out, json.loads(arrived.payload))
        else:
            self._out.print(message_line(message, self._words), soft_wrap=True)

    def tell_missing(self, *, after_s: float) -> None:
        """Print what has been missing for so long and was not told before."""
        for missing in self._sequences.overdue(time.monotonic(), after_s=after_s):
            if self._as_json:
                numbers = {"first": missing.first, "last": missing.last}
                _print_json(self._out, {"missing": numbers})
            else:
                self._out.print(Text(_sentence(missing), "bold red"))


async def _refresh(live: Live, render: Callable[[], RenderableType]) -> None:
    while True:
        live.update(render(), refresh=True)
        await asyncio.sleep(REFRESH_S)


async def _for(seconds: float | None, *endless: Coroutine[Any, Any, None]) -> None:
    """Run side by side until the time is over, or one of them fails."""
    tasks = [asyncio.create_task(work) for work in endless]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await asyncio.gather(*(cancelled(task) for task in tasks), return_exceptions=True)


def _feed(fleet: Fleet, arrived: Arrival) -> Change | None:
    return fleet.feed(arrived.topic, arrived.payload, now=_now(), retained=arrived.retained)


def _sentence(missing: Missing) -> str:
    if missing.first == missing.last:
        return f"message {missing.first} has not arrived"
    return f"messages {missing.first} to {missing.last} have not arrived"


def _print_json(out: Console, value: object) -> None:
    out.out(json.dumps(value, ensure_ascii=False), highlight=False)
    out.file.flush()


def _now() -> datetime:
    return datetime.now(UTC)
