"""What is known of the fleet as rich renderables.

Everything from the wire is plain text here: a kiosk cannot smuggle markup or control characters
onto the operator's screen.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.describe import describe, kind_of
from console.fleet import KioskView
from console.words import ENGLISH, Words
from contract import Data, Envelope
from contract.message import D
from contract.plates import PlateHit
from contract.receipt import Receipt

_STATE_STYLES: Final = {"online": "green", "stopping": "yellow", "offline": "bold red"}
_SEVERITY_STYLES: Final = {
    "critical": "bold white on red",
    "major": "bold red",
    "minor": "yellow",
    "warning": "cyan",
}
_STATUS_STYLES: Final = {
    "succeeded": "green",
    "failed": "bold red",
    "rejected": "bold red",
    "expired": "yellow",
    "cancelled": "yellow",
}


def fleet_table(
    kiosks: Iterable[KioskView],
    now: datetime,
    words: Words = ENGLISH,
    *,
    max_rows: int | None = None,
) -> RenderableType:
    """All kiosks, one row each; fits 100 columns.

    Where they are more than ``max_rows``, the most urgent ones and how many there are besides.
    """
    rows = list(kiosks)
    more = 0 if max_rows is None else len(rows) - max_rows
    if more > 0:
        rows = sorted(rows, key=lambda view: view.urgency)[:max_rows]
    if not rows:
        return Text(words.no_kiosks, style="dim")
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(words.kiosk, no_wrap=True, max_width=24)
    table.add_column(words.state, no_wrap=True)
    table.add_column(words.seen, justify="right", no_wrap=True)
    table.add_column(words.alarm, no_wrap=True, ratio=1)
    table.add_column("CPU", justify="right", no_wrap=True)
    table.add_column(words.memory, justify="right", no_wrap=True)
    table.add_column(words.disk, justify="right", no_wrap=True)
    table.add_column("°C", justify="right", no_wrap=True)
    table.add_column(words.outbox, justify="right", no_wrap=True)
    table.add_column(words.cameras, justify="right", no_wrap=True)
    for view in rows:
        table.add_row(
            Text(view.kiosk),
            _state(view, words),
            Text(_age(view.last_seen, now)),
            _worst_alarm(view, words),
            *(Text(_number(value)) for value in _numbers(view)),
            _cameras(view),
            style="" if view.state == "online" else "dim",
        )
    return Group(table, Text(words.more.format(more), "dim")) if more > 0 else table


def kiosk_panel(
    view: KioskView, now: datetime, words: Words = ENGLISH, *, events: int = 8, receipts: int = 4
) -> Panel:
    """One kiosk: state, health, alarms, newest events and receipts."""
    parts: list[RenderableType] = [_health_line(view, words)]
    if view.health is not None and view.health.cameras:
        parts.append(_camera_lines(view))
    parts.append(_section(words.alarms, [_alarm_line(view, words)] if view.alarms else [], words))
    parts.append(_section(words.events, _lines(view.events, events, words), words))
    parts.append(_section(words.receipts, _lines(view.receipts, receipts, words), words))
    title = Text.assemble(
        (view.kiosk, "bold"), "  ", _state(view, words), "  ", _age(view.last_seen, now)
    )
    if view.agent_version:
        title.append(f"  {plain(view.agent_version)}", style="dim")
    return Panel(Group(*parts), title=title, title_align="left")


def message_line(message: Envelope[D], words: Words = ENGLISH) -> Text:
    """One message: its time in this machine's zone, its kind, what it says."""
    data = message.data
    style = ""
    if isinstance(data, Receipt):
        style = _STATUS_STYLES.get(data.status, "")
    elif isinstance(data, PlateHit):
        style = _SEVERITY_STYLES["major"]
    elif severity := getattr(data, "severity", None):
        style = _SEVERITY_STYLES.get(severity, "")
    text = plain(describe(message))
    if isinstance(data, Receipt) and data.status in words.statuses:
        text = text.replace(data.status, words.statuses[data.status], 1)
    return Text.assemble(
        (message.time.astimezone().strftime("%H:%M:%S "), "dim"),
        (f"{kind_of(data):<16} ", "bold"),
        (text, style),
    )


def plain(text: str) -> str:
    """Return the text without control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _age(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "-"
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _numbers(view: KioskView) -> tuple[float | None, ...]:
    """Processor, memory and disk in percent, the highest temperature, the outbox's rows."""
    health = view.health
    if health is None:
        return (None,) * 5
    return (
        health.cpu_percent,
        health.memory_used_percent,
        health.disk_used_percent,
        health.temperature_max_c,
        health.outbox_rows,
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _state(view: KioskView, words: Words) -> Text:
    return Text(words.states.get(view.state, view.state), _STATE_STYLES.get(view.state, "dim"))


def _worst_alarm(view: KioskView, words: Words) -> Text:
    worst = view.worst_alarm
    if worst is None:
        return Text("-", "dim")
    more = f" +{len(view.alarms) - 1}" if len(view.alarms) > 1 else ""
    severity = words.severities.get(worst.severity, worst.severity)
    subject = f" {worst.subject}" if worst.subject else ""
    return Text(f"{severity} {worst.code}{subject}{more}", _SEVERITY_STYLES[worst.severity])


def _cameras(view: KioskView) -> Text:
    if view.health is None or not view.health.cameras:
        return Text("-", "dim")
    online, all_ = view.cameras_online, len(view.health.cameras)
    return Text(f"{online}/{all_}", "" if online == all_ else "bold red")


def _health_line(view: KioskView, words: Words) -> Text:
    names = ("CPU", words.memory, words.disk, "", words.outbox)
    units = ("%", "%", "%", "°C", "")
    line = Text("  ").join(
        Text.assemble((f"{name} ".lstrip(), "dim"), f"{_number(value)}{unit}")
        for name, value, unit in zip(names, _numbers(view), units, strict=True)
        if value is not None
    )
    if view.lost:
        line.append(f"  {view.lost} {words.lost_messages}", style="bold red")
    return line or Text("-", "dim")


def _camera_lines(view: KioskView) -> Text:
    lines = []
    for camera in view.health.cameras if view.health else ():
        conditions = " ".join(camera.conditions)
        style = "" if camera.state == "online" and not conditions else "bold red"
        text = f"{camera.name} {camera.state} {camera.frames_per_s:.0f}/s {conditions}".rstrip()
        lines.append(Text(text, style))
    return Text("   ").join(lines)


def _alarm_line(view: KioskView, words: Words) -> Text:
    worst = view.worst_alarm
    text = f": {plain(worst.text)}" if worst else ""
    return Text.assemble(_worst_alarm(view, words), text)


def _lines(messages: Sequence[Envelope[Data]], count: int, words: Words) -> list[Text]:
    return [message_line(message, words) for message in list(messages)[-count:]]


def _section(title: str, lines: Sequence[Text], words: Words) -> Group:
    body = lines or [Text(words.nothing, "dim")]
    for line in body:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(Text(f"\n{title}", "bold underline"), *body)
