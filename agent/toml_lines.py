"""Which line of a TOML file a key stands on: the standard parser does not tell."""

import re

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?")
_PAIR = re.compile(rf"^\s*({_DOTTED})\s*=")


def find_lines(text: str) -> dict[Path, int]:
    """Map the path of each table and key to its line (from 1).

    Good enough to point a person to the place: inside a multi-line value, lines that look
    like keys are taken for keys.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _keys(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                lines.setdefault(table, number)
                table = (*table, counts[table])
            elif len(table) > 1 and table[:1] in counts:
                table = (table[0], counts[table[:1]], *table[1:])
            lines[table] = number
        elif pair := _PAIR.match(line):
            path: Path = table
            for key in _keys(pair[1]):
                path = (*path, key)
                lines.setdefault(path, number)
    return lines


def _keys(dotted: str) -> Path:
    return tuple(key.strip("\"'") for key in re.findall(_KEY, dotted))
