"""A kiosk's configuration on the operator's screen."""

import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.view import plain
from console.words import Words
from contract.config import ConfigReport
from contract.wire import format_time

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def report_view(report: ConfigReport, words: Words) -> RenderableType:
    """What is in force: version, hash, since when, all settings, and why the last one went back."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(overflow="fold")
    state = words.config_states.get(report.state, report.state)
    rows = {
        words.version: f"{report.version} ({state})",
        words.fingerprint: report.hash,
        words.since: "-" if report.since is None else format_time(report.since),
    }
    if report.failed_version is not None:
        rows[words.failed] = f"{report.failed_version}: {report.last_error or '-'}"
    for name, value in rows.items():
        table.add_row(Text(name, "bold"), Text(plain(value)))
    settings = json.dumps(report.settings, indent=2, ensure_ascii=False).splitlines()
    return Group(table, Text(""), *(Text(plain(line)) for line in settings))


def diff_view(lines: Sequence[str], words: Words) -> RenderableType:
    """A unified diff in colours."""
    if not lines:
        return Text(words.same, "dim")
    return Group(*(Text(plain(line), _DIFF_STYLES.get(line[:1], "")) for line in lines))
