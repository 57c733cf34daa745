"""A key set on the operator's screen."""

import json
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.visible import visible
from console.words import Words
from contract.keys import KeySet, OperatorKey, fingerprint


def key_table(keys: KeySet, now: float, words: Words) -> RenderableType:
    """A row for each key, and the fingerprint of the set; ``now`` in seconds since 1970."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in (words.key_id, words.name, words.role, words.valid, words.thumbprint):
        table.add_column(title, overflow="fold")
    for key in sorted(keys.keys, key=lambda key: key.kid):
        table.add_row(
            Text(key.kid),
            Text(visible(key.name)),
            Text(words.roles.get(key.role, key.role)),
            Text(_validity(key, words)),
            Text(key.verifier().thumbprint()),
            style="" if key.valid_at(now) else "red",
        )
    return Group(table, Text(f"{words.fingerprint} {fingerprint(keys)}", "dim"))


def keys_as_json(keys: KeySet) -> str:
    """Return the set and its fingerprint as one line."""
    document = keys.model_dump(mode="json", exclude_none=True)
    return json.dumps(document | {"fingerprint": fingerprint(keys)}, ensure_ascii=False)


def _validity(key: OperatorKey, words: Words) -> str:
    until = words.always if key.exp is None else words.until.format(_day(key.exp))
    return until if key.nbf is None else f"{_day(key.nbf)} - {until}"


def _day(unix_s: int) -> str:
    try:
        return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return str(unix_s)
