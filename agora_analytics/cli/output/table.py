"""A table for people: as wide as the terminal, numbers to the right, and a line about what it does not show."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from rich import box
from rich.table import Table as Drawing
from rich.text import Text

from agora_analytics.cli import terminal
from agora_analytics.cli.output.columns import NOTHING, Listing, Row, Shown
from agora_analytics.cli.output.writers import Sink

_BETWEEN = 2  # characters between two columns


class Table(Sink):
    """Keeps rows, and draws them when all are there: only then is known how wide they are."""

    def __init__(self, listing: Listing, file: TextIO | None = None) -> None:
        super().__init__()
        self._listing = listing
        self._console = terminal.out() if file in (None, sys.stdout) else terminal.into(file)
        self._rows: list[list[str]] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Keep the rows as they will be shown."""
        shown = self._listing.shown
        self._rows += ([column.text(row) for column in shown] for row in rows)
        self.written = len(self._rows)

    def finish(self) -> None:
        """Draw the table."""
        console = self._console
        shown, rows = _without_empty(self._listing.shown, self._rows)
        widths = _fitting(shown, rows, console.width if console.is_terminal else None)
        drawing = Drawing(
            box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, padding=(0, 1, 0, 0)
        )
        for column, _ in zip(shown, widths, strict=False):
            drawing.add_column(Text(column.title), justify="right" if column.right else "left", no_wrap=True)
        for row in rows:
            drawing.add_row(*(Text(_cut(text, width)) for text, width in zip(row, widths, strict=False)))
        if rows:
            # Where nothing is known of the width, nothing is cut.
            width = None if console.is_terminal else sum(widths) + _BETWEEN * len(widths)
            console.print(drawing, width=width)
        for line in self._told([column.title for column in shown[len(widths) :]]):
            console.print(line, style="faint", markup=False, soft_wrap=not console.is_terminal)

    def _told(self, left_out: Sequence[str]) -> Iterator[str]:
        name = self._listing.name
        count = f"{self.written:,} {name.removesuffix('s') if self.written == 1 else name}"
        yield "; ".join(filter(None, (count if self.written else f"no {name}", self.rest)))
        if self.written and left_out:
            yield f"A wider terminal shows: {', '.join(left_out)}"


def _without_empty(
    shown: Sequence[Shown], rows: Sequence[Sequence[str]]
) -> tuple[Sequence[Shown], Sequence[Sequence[str]]]:
    """Return the columns that hold something in at least one row."""
    kept = [place for place in range(len(shown)) if any(row[place] != NOTHING for row in rows)]
    return [shown[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _fitting(shown: Sequence[Shown], rows: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """Return the widths of the columns that fit: texts are cut before a column is left out, the last one first."""
    natural = [
        max(len(column.title), *(len(row[place]) for row in rows), 1) if rows else len(column.title)
        for place, column in enumerate(shown)
    ]
    if room is None:
        return natural
    least = [
        min(width, max(column.least, len(column.title))) if column.least else width
        for column, width in zip(shown, natural, strict=True)
    ]
    count = len(shown)
    while count > 1 and sum(least[:count]) + _BETWEEN * (count - 1) > room:
        count -= 1
    widths, spare = least[:count], room - sum(least[:count]) - _BETWEEN * (count - 1)
    for place in range(count):  # what is left goes to the texts, from the left
        more = min(max(spare, 0), natural[place] - widths[place])
        widths[place] += more
        spare -= more
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
