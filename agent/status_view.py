"""The running agent's status for a person at the kiosk."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = tuple[str, str | Text]


def render(status: dict[str, Any], console: Console | None = None) -> None:
    """Print the answer of the local socket."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    for part in (_agent, _devices, _trouble, _machine):
        for name, text in part(status):
            # What others wrote is no markup.
            table.add_row(name, text if isinstance(text, Text) else Text(text))
    (console or Console()).print(table)


def _agent(status: dict[str, Any]) -> Iterator[Row]:
    link, outbox = status["link"], status["outbox"]
    yield "kiosk", f"{status['kiosk']}  (agent {status['version']})"
    yield "alive", _good(status["alive"], "yes", "NO")
    online = link["state"] == "online"
    line = _good(online, link["state"], link["state"])
    line.append(f"  {link['broker']}, session {link['session']}, {link['reconnects']} reconnects")
    yield "link", line
    if link["last_error"] and not online:  # else it is over
        yield "", f"last: {link['last_error']}"
    waiting = f"{outbox['rows']} waiting ({outbox['bytes']} bytes)"
    if outbox["rows"]:  # the age is looked at now and then, the rest at once
        waiting += f", oldest {outbox['oldest_s']} s"
    yield "outbox", f"{waiting}, {outbox['lost']} lost, last number {outbox['last_sequence']}"
    yield "operators", status["operators"]
    config = status["config"]
    pushed = f"version {config['version']}" if config["version"] else "nothing was pushed"
    yield "settings", pushed + (", on trial" if config["state"] == "trying" else "")
    if config["last_error"]:
        failed = config["failed_version"]
        yield "", (f"version {failed}: " if failed else "") + config["last_error"]
    if status["safe_mode"]:
        yield "SAFE MODE", Text(status["safe_mode"], style="red")


def _devices(status: dict[str, Any]) -> Iterator[Row]:
    for camera in status["cameras"]:
        text = _good(camera["state"] == "online", camera["state"], camera["state"])
        text.append(f"  {camera['frames_per_s']:.1f} frames/s, {camera['restarts']} restarts")
        if camera["conditions"]:
            text.append("  " + ", ".join(camera["conditions"]), style="red")
        yield f"camera {camera['name']}", text
        if plates := camera.get("plates"):
            counts = (f"{plates[key]} {key}" for key in ("read", "unreadable", "suppressed"))
            yield "  plates", _watch(plates, counts)
        if identity := camera.get("identity"):
            yield "  identity", _watch(identity, (f"{identity['checks']} checks",))
    for one in status.get("peripherals", ()):
        works = one["state"] == "ok"
        text = _good(works, one["state"], one["state"])
        yield one["name"], text if works else text.append(f"  {one['code']}: {one['text']}")


def _trouble(status: dict[str, Any]) -> Iterator[Row]:
    for alarm in status["alarms"]:
        subject = f" {alarm['subject']}" if alarm["subject"] else ""
        text = Text().append(f"{alarm['severity']}: {alarm['code']}{subject}", style="red")
        yield "alarm", text.append(f"  {alarm['text']}")
    for task, count in status["task_restarts"].items():
        yield "task", f"{task}: {count} restarts, {status['task_errors'].get(task, '')}"


def _machine(status: dict[str, Any]) -> Iterator[Row]:
    if health := status["health"]:
        shares = (("CPU", "cpu_percent"), ("memory", "memory_used_percent"))
        known = [
            f"{name} {health[key]:.0f} %"
            for name, key in (*shares, ("disk", "disk_used_percent"))
            if health.get(key) is not None
        ]
        yield "machine", ", ".join(known)


def _good(good: bool, yes: str, no: str) -> Text:  # noqa: FBT001
    return Text().append(yes, "green") if good else Text().append(no, "bold red")


def _watch(watch: dict[str, Any], counts: Iterable[str]) -> Text:
    """How plates or faces of one camera are looked at."""
    text = _good(watch["state"] != "failed", watch["state"], watch["state"])
    took = "" if watch["look_ms"] is None else f", {watch['look_ms']:.0f} ms a look"
    text.append(f"  {', '.join(counts)}{took}")
    if watch["text"]:
        text.append(f"  {watch['text']}", style="red")
    return text
