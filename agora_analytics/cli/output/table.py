"""Tables for people: as wide as the terminal, with a line about what is not shown."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text

from agora_analytics.cli import terminal
from agora_analytics.cli.output.columns import NO_VALUE, Cells, RowKind, TableColumn, timestamp_text
from agora_analytics.cli.output.layout import TableLayout, lay_out
from agora_analytics.cli.output.writers import RowWriter, csv_cell, plain_value
from agora_analytics.cli.sparkline import chart_lines
from agora_analytics.core.hidden_characters import visible

if TYPE_CHECKING:
    import pyarrow as pa

_TITLES_EVERY = 40  # lines of a live table after which the titles are repeated
_LIVE_TEXT_WIDTH, _LIVE_NUMBER_WIDTH = 20, 9
_SQL_TEXT_LEAST, _SQL_DECIMALS = 12, 4
_ID = re.compile(r"(?:.*_|.* )?(?:id|uid|sid)", re.IGNORECASE)  # columns that are never cut


class TableWriter(RowWriter):
    """Collects rows and draws them at the end, because the widths depend on all of them.

    A line has `indent` blanks at its start; with `summary`, the last lines have the number of rows.
    """

    def __init__(
        self, kind: RowKind, file: TextIO | None = None, *, indent: int = 0, summary: bool = True
    ) -> None:
        super().__init__(file)
        self._kind = kind
        self._indent = indent
        self._summary = summary
        self._rows: list[list[str]] = []
        self._charts: dict[TableColumn, list[float | None]] = {
            column: [] for column in kind.columns if column.chart
        }

    def add(self, rows: "pa.Table") -> None:
        """Keep the texts of the rows, and the numbers of the charts."""
        columns = self._kind.columns
        self._rows += ([column.text(row) for column in columns] for row in rows.to_pylist())
        for column, numbers in self._charts.items():
            numbers.extend(rows[column.chart].to_pylist())
        self.written = len(self._rows)

    def finish(self) -> None:
        """Draw the table, then the charts and the number of rows."""
        console = terminal.out(self._file)
        kept = [
            place
            for place, column in enumerate(self._kind.columns)
            if self._kind.keep_empty or column.keep or any(row[place] != NO_VALUE for row in self._rows)
        ]
        columns = [self._kind.columns[place] for place in kept]
        # Before the widths are known: an escape is wider than the character.
        rows = [[visible(row[place], console.encoding) for place in kept] for row in self._rows]
        width = console.width - self._indent if console.is_terminal else None
        layout = lay_out(columns, rows, width)
        same = _same_in_all(columns, rows) if layout.left_out and self._kind.keep_empty else {}
        if same:  # room for the columns that differ
            rest = [place for place in range(len(columns)) if place not in same]
            shared = ", ".join(f"{columns[place].title}={text}" for place, text in same.items())
            columns, rows = (
                [columns[place] for place in rest],
                [[row[place] for place in rest] for row in rows],
            )
            layout = lay_out(columns, rows, width)
        if rows or self._kind.keep_empty:
            self._draw(console, columns, rows, layout)
        if not self._summary:
            return
        for chart in chart_lines(self._charts, console):
            console.print(chart, no_wrap=True, crop=False, soft_wrap=True)
        if same:
            console.print(f"The same in all rows: {shared}", style="faint", markup=False)
        for line in self._footer([columns[place].title for place in layout.left_out]):
            console.print(line, style="faint", markup=False, soft_wrap=not console.is_terminal)

    def _draw(
        self,
        console: Console,
        columns: Sequence[TableColumn],
        rows: Sequence[Sequence[str]],
        layout: TableLayout,
    ) -> None:
        blanks = " " * self._indent

        def write(line: str, style: str = "") -> None:
            console.print(Text(blanks + line, style), no_wrap=True, crop=False, soft_wrap=True)

        for line in layout.title_lines(columns):
            write(line, "bold")
        write(or_ascii("─", "-", console) * layout.width)
        more = or_ascii("…", "~", console)
        for row in rows:
            for line in layout.row_lines(columns, row, more):
                write(line)

    def _footer(self, left_out: Sequence[str]) -> Iterator[str]:
        count = f"{self.written:,}" if self.written else "no"
        name = self._kind.name
        if self.written == 1 and name != "series":
            name = name.removesuffix("s")
        more = "" if self.total is None else f" of {self.total:,}"
        yield "; ".join(filter(None, (f"{count}{more} {name}", self.rest)))
        yield from self._kind.notes
        if self.written and left_out:
            yield f"A wider terminal shows: {', '.join(left_out)}"


class LiveTableWriter(RowWriter):
    """Writes each row of a table as it arrives, with columns of a fixed width and titles that are repeated."""

    def __init__(self, kind: RowKind) -> None:
        super().__init__()
        self._columns = kind.columns
        self._layout: TableLayout | None = None

    def add(self, rows: "pa.Table") -> None:
        """Write rows."""
        console = terminal.out()
        layout = self._layout or self._begin(console)
        for row in rows.to_pylist():
            if self.written % _TITLES_EVERY == 0:
                self._write(console, layout.title_lines(self._columns), "bold")
                self._write(console, [or_ascii("─", "-", console) * layout.width])
            texts = [visible(column.text(row), console.encoding) for column in self._columns]
            self._write(console, layout.row_lines(self._columns, texts, more=""))
            self.written += 1
        console.file.flush()

    def _begin(self, console: Console) -> TableLayout:
        """Return the layout of all rows, for a guess of their widths; report the columns that do not fit."""
        widest = [
            "0" * (_LIVE_NUMBER_WIDTH if column.right else _LIVE_TEXT_WIDTH) for column in self._columns
        ]
        self._layout = lay_out(self._columns, [widest], console.width if console.is_terminal else None)
        if left_out := [self._columns[place].title for place in self._layout.left_out]:
            console.print(f"A wider terminal shows: {', '.join(left_out)}", style="faint", markup=False)
        return self._layout

    def _write(self, console: Console, lines: Iterable[str], style: str = "") -> None:
        for line in lines:
            console.print(Text(line, style), no_wrap=True, crop=False, soft_wrap=True)


def _same_in_all(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]]) -> dict[int, str]:
    """Return the texts that all rows share by the place of the column. Numbers are left out."""
    same = {
        place: rows[0][place] for place, column in enumerate(columns) if not column.right and len(rows) > 1
    }
    same = {place: text for place, text in same.items() if all(row[place] == text for row in rows)}
    return same if len(same) < len(columns) else {}


def or_ascii(character: str, ascii_: str, console: Console) -> str:
    """Return a character, or another one if the encoding of the console does not have it."""
    return character if visible(character, console.encoding) == character else ascii_


def query_result(table: "pa.Table") -> RowKind:
    """Return the kind of rows of a SQL query: every column, formatted by its type."""
    return RowKind(
        name="rows",
        schema=lambda: table.schema,
        columns=tuple(_column_of(table, name) for name in table.column_names),
        keep_empty=True,
    )


def _column_of(table: "pa.Table", name: str) -> TableColumn:
    import pyarrow.types as types

    kind = table.schema.field(name).type
    if types.is_floating(kind):
        decimals = _decimals(table[name].slice(0, 1000).to_pylist())
        return TableColumn(name, _cell(name, lambda value: f"{value:.{decimals}f}"), right=True)
    if types.is_integer(kind) or types.is_decimal(kind):
        return TableColumn(name, _cell(name, str), right=True)
    if types.is_timestamp(kind):
        return TableColumn(name, _cell(name, timestamp_text))
    if types.is_temporal(kind):
        return TableColumn(name, _cell(name, str))
    least = 0 if _ID.fullmatch(name) else _SQL_TEXT_LEAST
    return TableColumn(name, _cell(name, lambda value: csv_cell(plain_value(value))), least=least)


def _cell(name: str, text: Callable[[Any], Any]) -> Callable[[Cells], str]:
    def cell(row: Cells) -> str:
        value = row[name]
        return NO_VALUE if value is None else " ".join(str(text(value)).split())

    return cell


def _decimals(values: Sequence[float | Decimal | None]) -> int:
    """Return how many decimals a column of numbers needs, at most four, so that the decimal points are aligned."""
    fractions = [
        f"{value:.{_SQL_DECIMALS}f}".rstrip("0").partition(".")[2] for value in values if value is not None
    ]
    return max(map(len, fractions), default=0)
