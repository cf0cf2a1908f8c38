"""Tables for people: as wide as the terminal, with a line about what is not shown."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agora_analytics.cli import terminal
from agora_analytics.cli.output.columns import NO_VALUE, Cells, RowKind, TableColumn, timestamp_text
from agora_analytics.cli.output.writers import RowWriter, csv_cell, plain_value
from agora_analytics.cli.visible_text import visible

if TYPE_CHECKING:
    import pyarrow as pa

_GAP = 2  # characters between two columns
_TITLES_EVERY = 40  # lines of a live table after which the titles are repeated
_LIVE_TEXT_WIDTH, _LIVE_NUMBER_WIDTH = 20, 9
_SQL_TEXT_LEAST, _SQL_DECIMALS = 12, 4


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

    def add(self, rows: "pa.Table") -> None:
        """Keep the texts of the rows."""
        columns = self._kind.columns
        self._rows += ([column.text(row) for column in columns] for row in rows.to_pylist())
        self.written = len(self._rows)

    def finish(self) -> None:
        """Draw the table."""
        console = terminal.out(self._file)
        kept = [
            place
            for place in range(len(self._kind.columns))
            if self._kind.keep_empty or any(row[place] != NO_VALUE for row in self._rows)
        ]
        columns = [self._kind.columns[place] for place in kept]
        # Before the widths are known: an escape is wider than the character.
        rows = [[visible(row[place], console.encoding) for place in kept] for row in self._rows]
        widths = _fit(columns, rows, console.width - self._indent if console.is_terminal else None)
        if rows or self._kind.keep_empty:
            self._draw(console, columns, rows, widths)
        if self._summary:
            for line in self._footer([column.title for column in columns[len(widths) :]]):
                console.print(line, style="faint", markup=False, soft_wrap=not console.is_terminal)

    def _draw(
        self,
        console: Console,
        columns: Sequence[TableColumn],
        rows: Sequence[Sequence[str]],
        widths: Sequence[int],
    ) -> None:
        table = Table(
            box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, padding=(0, 1, 0, 0)
        )
        for column, _ in zip(columns, widths, strict=False):
            table.add_column(Text(column.title), justify="right" if column.right else "left", no_wrap=True)
        more = "…" if visible("…", console.encoding) == "…" else "~"
        for row in rows:
            table.add_row(*(Text(_cut(text, width, more)) for text, width in zip(row, widths, strict=False)))
        # Without a terminal nothing is cut, however wide the table becomes.
        width = None if console.is_terminal else sum(widths) + _GAP * len(widths) + self._indent
        console.print(Padding(table, (0, 0, 0, self._indent), expand=False), width=width)

    def _footer(self, left_out: Sequence[str]) -> Iterator[str]:
        count = f"{self.written:,}" if self.written else "no"
        name = self._kind.name.removesuffix("s") if self.written == 1 else self._kind.name
        more = "" if self.total is None else f" of {self.total:,}"
        yield "; ".join(filter(None, (f"{count}{more} {name}", self.rest)))
        if self.written and left_out:
            yield f"A wider terminal shows: {', '.join(left_out)}"


def _fit(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the widths of the columns that fit: texts are cut before a column is left out, the last one first."""
    natural = [
        max(len(column.title), *(len(row[place]) for row in rows), 1) if rows else len(column.title)
        for place, column in enumerate(columns)
    ]
    if width is None:
        return natural
    least = [
        min(wanted, max(column.least, len(column.title))) if column.least else wanted
        for column, wanted in zip(columns, natural, strict=True)
    ]
    count = len(columns)
    while count > 1 and sum(least[:count]) + _GAP * (count - 1) > width:
        count -= 1
    widths, spare = least[:count], width - sum(least[:count]) - _GAP * (count - 1)
    for place in range(count):  # the texts share what is left, the first one first
        more = min(max(spare, 0), natural[place] - widths[place])
        widths[place] += more
        spare -= more
    return widths


def _cut(text: str, width: int, more: str) -> str:
    return text if len(text) <= width else text[: width - 1] + more


class LiveTableWriter(RowWriter):
    """Writes each row of a table as it comes, with columns of a fixed width and titles that are repeated."""

    def __init__(self, kind: RowKind) -> None:
        super().__init__()
        self._columns = kind.columns

    def add(self, rows: "pa.Table") -> None:
        """Write rows."""
        console = terminal.out()
        for row in rows.to_pylist():
            if self.written % _TITLES_EVERY == 0:
                self._write(console, [column.title for column in self._columns], "bold")
            self._write(
                console, [visible(column.text(row), console.encoding) for column in self._columns], ""
            )
            self.written += 1
        console.file.flush()

    def _write(self, console: Console, texts: Sequence[str], style: str) -> None:
        cells = [
            f"{text:>{max(len(column.title), _LIVE_NUMBER_WIDTH)}}"
            if column.right
            else f"{text:<{_LIVE_TEXT_WIDTH}}"
            for column, text in zip(self._columns, texts, strict=True)
        ]
        console.print("  ".join(cells), style=style, markup=False, soft_wrap=True)


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
    return TableColumn(name, _cell(name, lambda value: csv_cell(plain_value(value))), least=_SQL_TEXT_LEAST)


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
