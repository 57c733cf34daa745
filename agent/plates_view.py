"""The plates of pictures and videos for a person: one table, and the errors."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


class PlatesView:
    """A view that grows record by record (:mod:`agent.plates_report`)."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._table = Table(box=None, pad_edge=False)
        for heading in ("plate", "sure", "class", "colour", "seen"):
            self._table.add_column(heading, no_wrap=True)
        self._table.add_column("file", overflow="fold")

    def add(self, record: dict[str, Any]) -> None:
        """Add a picture, a passage, or what could not be read."""
        file = _printable(record["file"])
        if "error" in record:
            self._errors.append(f"{file}: {_printable(record['error'])}")
        elif "begin_s" in record:
            seen = f"{record['begin_s']:.1f} to {record['end_s']:.1f} s, {record['views']} views"
            self._add_plate(file, record, seen)
        elif not record["plates"]:
            self._table.add_row(Text("no plate", style="dim"), "", "", "", "", Text(file))
        else:
            for plate in record["plates"]:
                x, y = plate["corners"][0]
                self._add_plate(file, plate, f"at {x:.0f}, {y:.0f}")

    def print(self, console: Console | None = None) -> None:
        """Print the table, and below it what could not be read."""
        console = console or Console()
        if self._table.row_count:
            console.print(self._table)
        for error in self._errors:
            console.print(Text(error, style="red"))

    def _add_plate(self, file: str, plate: dict[str, Any], seen: str) -> None:
        if plate["readable"]:
            text = Text(plate["text"], style="bold green" if plate["well_formed"] else "bold")
        else:
            text = Text(f"unreadable {plate['known']}".rstrip(), style="yellow")
        colour = plate["colour"] + (", two rows" if plate["rows"] == 2 else "")
        sure = f"{plate['min_confidence']:.2f}"
        self._table.add_row(
            text, sure, f"{plate['class']} {plate['kind']}", colour, seen, Text(file)
        )


def _printable(text: str) -> str:
    """Escape what moves the cursor or is no text: the names of files may hold anything."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
