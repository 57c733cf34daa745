"""What a CA has issued, on the screen."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from console.ca_index import Issued
from console.view import plain
from console.words import Words


def issued_table(entries: Iterable[Issued], now: float, words: Words) -> RenderableType:
    """A row for each certificate, by name; ``now`` in seconds since 1970."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in (words.name, words.role, words.valid, words.serial):
        table.add_column(title, overflow="fold")
    for entry in sorted(entries, key=lambda entry: (entry.name, entry.not_before)):
        valid = {
            "valid": words.until.format(day(entry.not_after)),
            "revoked": words.revoked,
            "expired": words.run_out,
        }[_state(entry, now)]
        table.add_row(
            Text(plain(entry.name)),
            Text(words.roles.get(entry.role, entry.role)),
            Text(valid),
            Text(entry.serial),
            style="" if entry.valid_at(now) else "dim",
        )
    return table


def issued_as_json(entry: Issued, now: float) -> str:
    """Return a certificate as one line."""
    document = {
        "serial": entry.serial,
        "name": entry.name,
        "role": entry.role,
        "state": _state(entry, now),
        "not_before": entry.not_before,
        "not_after": entry.not_after,
        "revoked": entry.revoked,
    }
    return json.dumps(document, ensure_ascii=False)


def day(unix_s: int) -> str:
    """Return the day in this zone."""
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d")


def _state(entry: Issued, now: float) -> Literal["valid", "revoked", "expired"]:
    if entry.revoked is not None:
        return "revoked"
    return "valid" if entry.valid_at(now) else "expired"
