"""Commands under way on the operator's screen: lines for one kiosk, a live table for several."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group, OverflowMethod, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from console.order import local_time
from console.outcome import Ending, Outcome
from console.screen import Status
from console.view import message_line, plain
from console.words import Words
from contract import Envelope
from contract.receipt import Receipt

_FRAME_ROWS = 4
"""Of the screen, for the header, what did not fit, and a problem."""
_STYLES = {
    Outcome.SUCCEEDED: "green",
    Outcome.EXPIRED: "yellow",
    Outcome.NO_ANSWER: "yellow",
}


def outcome_word(outcome: Outcome, words: Words) -> str:
    """Return an outcome in the operator's language."""
    return words.outcomes.get(outcome.name.lower(), outcome.name.lower().replace("_", " "))


def sentence(ending: Ending, *, timeout_s: float) -> str:
    """Say in a sentence how a command ended that did not succeed."""
    return _how(ending, timeout_s) + _that_was(ending)


def already(ending: Ending) -> str | None:
    """Say that a command was done before it was sent; ``None`` where it was not."""
    if ending.answered is None or ending.outcome is not Outcome.SUCCEEDED:
        return None
    return f"{ending.kiosk} did not do it again{_that_was(ending)}"


def _that_was(ending: Ending) -> str:
    """A kiosk answers an order once: a signature that comes later does not change the answer."""
    if ending.answered is not None:
        return f"; it answered this order already at {local_time(ending.answered)}: sign a new one"
    if ending.last is not None and ending.last.code == "second_signature":
        return "; its answer stays, whoever signs this order later: sign a new one"
    return ""


def _how(ending: Ending, timeout_s: float) -> str:
    kiosk, last = ending.kiosk, ending.last
    why = last.text if last else ""
    match ending.outcome:
        case Outcome.REJECTED:
            return f"{kiosk} rejected the command: {why}"
        case Outcome.EXPIRED:
            return f"the command expired before {kiosk} began it: {why}"
        case Outcome.NO_ANSWER if last:
            return f"{kiosk} has not finished within {timeout_s:g} s; it goes on by itself"
        case Outcome.NO_ANSWER:
            return (
                f"no answer from {kiosk} within {timeout_s:g} s; should it come on line, it may"
                f" still do it until {local_time(ending.exp)}"
            )
        case Outcome.NO_BROKER:
            return f"the broker was not reached within {timeout_s:g} s; nothing was sent"
        case _:
            return f"{kiosk} could not do it: {why}"


def tally(endings: Sequence[Ending], words: Words) -> Text:
    """How many ended how, in one line."""
    counts = {outcome: sum(ending.outcome is outcome for ending in endings) for outcome in Outcome}
    return Text(", ").join(
        Text(f"{count} {outcome_word(outcome, words)}", _STYLES.get(outcome, "bold red"))
        for outcome, count in counts.items()
        if count
    )


class JsonScreen(Status):
    """One JSON object a line: every receipt, and for several kiosks how each ended."""

    def __init__(self, out: Console, errors: Console, *, several: bool) -> None:
        super().__init__(errors)
        self._out = out
        self._errors = errors
        self._several = several

    def begun(self, kiosk: str) -> None:
        """Nothing to say."""

    def receipt(self, message: Envelope[Receipt]) -> None:
        """Print it as it is."""
        self._print(message.model_dump_json(exclude_none=True))

    def note(self, kiosk: str, text: str) -> None:
        """Say it beside the result."""
        self._errors.print(Text(f"{kiosk}: {text}"), soft_wrap=True)

    def ended(self, ending: Ending) -> None:
        """Print how it ended, which for a silent kiosk no receipt tells."""
        if self._several:
            self._print(json.dumps(as_json(ending), ensure_ascii=False))

    def _print(self, line: str) -> None:
        self._out.out(line, highlight=False)
        self._out.file.flush()


class LineScreen(Status):
    """Every step in a line; where several kiosks are asked, only how each ended."""

    def __init__(self, out: Console, errors: Console, words: Words, *, several: bool) -> None:
        super().__init__(errors)
        self._out = out
        self._errors = errors
        self._words = words
        self._several = several

    def begun(self, kiosk: str) -> None:
        """Nothing to say."""

    def receipt(self, message: Envelope[Receipt]) -> None:
        """Print a step."""
        if not self._several:
            self._out.print(message_line(message, self._words), soft_wrap=True)

    def note(self, kiosk: str, text: str) -> None:
        """Say it beside the result."""
        self._errors.print(Text(f"{kiosk}: {text}"), soft_wrap=True)

    def ended(self, ending: Ending) -> None:
        """Print how it ended."""
        if self._several:
            self._out.print(summary_line(ending, self._words), soft_wrap=True)


def summary_line(ending: Ending, words: Words) -> Text:
    """How it ended for one kiosk."""
    style = _STYLES.get(ending.outcome, "bold red")
    return Text.assemble(
        (f"{ending.kiosk:<24} ", "bold"),
        (outcome_word(ending.outcome, words), style),
        f"  {_said(ending)}",
    )


def _said(ending: Ending) -> str:
    return ("" if ending.last is None else plain(ending.last.text)) + _that_was(ending)


def as_json(ending: Ending) -> dict[str, Any]:
    """How it ended for one kiosk, as one flat object."""
    last = ending.last
    return {
        "kiosk": ending.kiosk,
        "command_id": ending.command_id,
        "outcome": ending.outcome.name.lower(),
        "code": None if last is None else last.code,
        "text": "" if last is None else last.text,
    }


@dataclass(slots=True)
class _Row:
    kiosk: str
    begun: float | None = None
    ended: float | None = None
    receipt: Receipt | None = None
    outcome: Outcome | None = None
    note: str = ""

    @property
    def rank(self) -> int:
        """Sorts those first that an operator looks at: under way, gone wrong, waiting, done."""
        if self.outcome is None:
            return 0 if self.begun is not None else 2
        return 3 if self.outcome is Outcome.SUCCEEDED else 1


@dataclass(slots=True)
class TableScreen:
    """A row for each kiosk, redrawn as it changes, on a terminal, while its body runs."""

    kiosks: Sequence[str]
    out: Console
    words: Words
    _rows: dict[str, _Row] = field(init=False)
    _problem: str | None = None
    _live: Live = field(init=False)

    def __post_init__(self) -> None:
        self._rows = {kiosk: _Row(kiosk) for kiosk in self.kiosks}
        self._live = Live(
            get_renderable=self._fitting,
            console=self.out,
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the whole table on the screen."""
        self._live.stop()
        self.out.print(self.table())

    def report(self, problem: str | None) -> None:
        """Show why there is no connection, as long as there is none."""
        self._problem = problem

    def begun(self, kiosk: str) -> None:
        """A kiosk's turn has come."""
        self._rows[kiosk].begun = time.monotonic()

    def receipt(self, message: Envelope[Receipt]) -> None:
        """Show a step."""
        self._rows[message.kiosk].receipt = message.data

    def note(self, kiosk: str, text: str) -> None:
        """Show it until the next receipt."""
        row = self._rows[kiosk]
        row.note, row.receipt = text, None

    def ended(self, ending: Ending) -> None:
        """Show how it ended."""
        row = self._rows[ending.kiosk]
        row.outcome, row.receipt, row.ended = ending.outcome, ending.last, time.monotonic()
        row.note = _said(ending)

    def table(self, *, max_rows: int | None = None) -> RenderableType:
        """All kiosks, and all of what they say; or, in ``max_rows``, what needs a look first."""
        rows = list(self._rows.values())
        more = 0 if max_rows is None else len(rows) - max_rows
        if more > 0:
            rows = sorted(rows, key=lambda row: (row.rank, row.kiosk))[:max_rows]
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        short = max_rows is not None
        overflow: OverflowMethod = "ellipsis" if short else "fold"
        widest = 24 if short else None
        table.add_column(self.words.kiosk, no_wrap=short, overflow=overflow, max_width=widest)
        table.add_column(self.words.step, no_wrap=True)
        table.add_column("%", justify="right", no_wrap=True)
        table.add_column("s", justify="right", no_wrap=True)
        table.add_column(self.words.said, no_wrap=short, overflow=overflow)
        for row in rows:
            table.add_row(Text(row.kiosk), *self._cells(row))
        return Group(table, Text(self.words.more.format(more), "dim")) if more > 0 else table

    def _cells(self, row: _Row) -> tuple[Text, Text, Text, Text]:
        receipt, now = row.receipt, time.monotonic()
        if row.outcome is not None:
            step = Text(outcome_word(row.outcome, self.words), _STYLES.get(row.outcome, "bold red"))
        elif receipt is not None:
            step = Text(self.words.statuses.get(receipt.status, receipt.status), "cyan")
        else:
            step = Text(self.words.waiting if row.begun is None else self.words.sent, "dim")
        percent = None if receipt is None or row.outcome is not None else receipt.percent
        took = None if row.begun is None else (row.ended or now) - row.begun
        said = row.note if receipt is None or row.outcome is not None else receipt.text
        return (
            step,
            Text("" if percent is None else f"{percent:.0f}"),
            Text("" if took is None else f"{took:.0f}"),
            Text(plain(said)),
        )

    def _fitting(self) -> RenderableType:
        table = self.table(max_rows=max(1, self.out.height - _FRAME_ROWS))
        return table if self._problem is None else Group(table, Text(self._problem, "red"))
