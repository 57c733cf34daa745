"""The running agent's status for a person at the kiosk."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def render(status: dict[str, Any], console: Console | None = None) -> None:
    """Print the answer of the local socket."""
    console = console or Console()
    link, outbox = status["link"], status["outbox"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("kiosk", f"{status['kiosk']}  (agent {status['version']})")
    table.add_row("alive", _good(status["alive"], "yes", "NO"))
    online = link["state"] == "online"
    line = _good(online, link["state"], link["state"])
    line.append(f"  {link['broker']}, session {link['session']}, {link['reconnects']} reconnects")
    table.add_row("link", line)
    if link["last_error"] and not online:  # else it is over
        table.add_row("", f"last: {link['last_error']}")
    table.add_row(
        "outbox",
        f"{outbox['rows']} waiting ({outbox['bytes']} bytes), oldest {outbox['oldest_s']} s, "
        f"{outbox['lost']} lost, last number {outbox['last_sequence']}",
    )
    table.add_row("operators", status["operators"])
    config = status["config"]
    pushed = f"version {config['version']}" if config["version"] else "nothing was pushed"
    table.add_row("settings", pushed + (", on trial" if config["state"] == "trying" else ""))
    if config["last_error"]:
        failed = config["failed_version"]
        what = f"version {failed}: " if failed else ""
        table.add_row("", what + config["last_error"])
    if status["safe_mode"]:
        table.add_row("SAFE MODE", Text(status["safe_mode"], style="red"))
    for camera in status["cameras"]:
        text = _good(camera["state"] == "online", camera["state"], camera["state"])
        text.append(f"  {camera['frames_per_s']:.1f} frames/s, {camera['restarts']} restarts")
        if camera["conditions"]:
            text.append("  " + ", ".join(camera["conditions"]), style="red")
        table.add_row(f"camera {camera['name']}", text)
    for alarm in status["alarms"]:
        table.add_row("alarm", Text(f"{alarm['severity']}: {alarm['code']}", style="red"))
    for task, count in status["task_restarts"].items():
        table.add_row("task", f"{task}: {count} restarts, {status['task_errors'].get(task, '')}")
    if health := status["health"]:
        shares = (("CPU", "cpu_percent"), ("memory", "memory_used_percent"))
        known = [
            f"{name} {health[key]:.0f} %"
            for name, key in (*shares, ("disk", "disk_used_percent"))
            if health.get(key) is not None
        ]
        table.add_row("machine", ", ".join(known))
    console.print(table)


def _good(good: bool, yes: str, no: str) -> Text:  # noqa: FBT001
    return Text(yes, "green") if good else Text(no, "bold red")
