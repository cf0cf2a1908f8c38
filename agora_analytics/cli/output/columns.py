"""What is written of a kind of rows: the Arrow schema for programs, and the columns of a table for people."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agora_analytics.core.arrow_columns import arrow_table

if TYPE_CHECKING:
    import pyarrow as pa

Cells = Mapping[str, Any]
"""One row by column name, as pyarrow converts it to Python."""

NO_VALUE = "-"


@frozen
class TableColumn:
    """A column of a table for people: its title, and a function that returns the text of a row.

    Attributes:
        title: in the words of a reader; the other formats have the names of the vendor.
        text: returns the text of a row.
        right: align to the right, as numbers are.
        least: the width to which a text may be cut on a narrow terminal; 0: never cut.
        below: an id. Where the columns do not fit, it is written on a line of its own under the row, if the row has one.
        keep: show the column although no row has a value in it.
        chart: the name of the number of which a chart follows the table; empty: none.
    """

    title: str
    text: Callable[[Cells], str]
    right: bool = False
    least: int = 0
    below: bool = False
    keep: bool = False
    chart: str = ""


@frozen(kw_only=True)
class RowKind:
    """A kind of rows, such as calls.

    Attributes:
        name: the plural, as in "12 calls".
        schema: returns the columns that programs get. A function, because pyarrow is imported only when it is used.
        columns: the columns of a table. Where not all fit, the last ones are left out.
        live: write the rows of a table on the screen as they arrive, with columns of a fixed width.
        keep_empty: show a column of a table although no row has a value in it.
        json_columns: text columns that hold JSON; the JSON formats write them as objects.
        notes: lines that follow a table.
    """

    name: str
    schema: "Callable[[], pa.Schema]"
    columns: tuple[TableColumn, ...]
    live: bool = False
    keep_empty: bool = False
    json_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def table(self, rows: Iterable[Cells]) -> "pa.Table":
        """Return rows as a table; a missing key is a null."""
        return arrow_table(rows, self.schema())


def row_schema(columns: Mapping[str, str]) -> "Callable[[], pa.Schema]":
    """Return what returns a schema.

    Args:
        columns: by name, a type (`time`, `texts` or an alias of pyarrow), or the table of the store with this column.
    """

    def schema() -> "pa.Schema":
        import pyarrow as pa

        from agora_analytics.schemas import TABLES, UTC_SECONDS

        types = {"time": UTC_SECONDS, "texts": pa.list_(pa.string())}
        fields = (
            TABLES[kind].field(name) if kind in TABLES else pa.field(name, types.get(kind, kind))
            for name, kind in columns.items()
        )
        return pa.schema(fields)

    return schema


def stored_table(name: str) -> "Callable[[], pa.Schema]":
    """Return what returns the schema of a table of the store."""

    def schema() -> "pa.Schema":
        from agora_analytics.schemas import TABLES

        return TABLES[name]

    return schema


def number(name: str, decimals: int = 0) -> Callable[[Cells], str]:
    """Return a formatter of numbers: `1,234`."""
    return _formatter(
        name, lambda value: f"{value:,.{decimals}f}" if decimals or isinstance(value, float) else f"{value:,}"
    )


def percent(name: str) -> Callable[[Cells], str]:
    """Return a formatter of fractions of 1: `1.2 %`."""
    return _formatter(name, percent_text)


def percent_text(value: float) -> str:
    """Return a fraction of 1 as every command shows it: `1.2 %`."""
    return f"{value * 100:.1f} %"


def with_unit(name: str, unit: str, decimals: int = 0) -> Callable[[Cells], str]:
    """Return a formatter of numbers with a unit: `1,234 ms`."""
    return _formatter(name, lambda value: f"{value:,.{decimals}f} {unit}")


def timestamp(name: str) -> Callable[[Cells], str]:
    """Return a formatter of timestamps: `2026-11-20 08:00:00Z`."""
    return _formatter(name, timestamp_text)


def plain(name: str) -> Callable[[Cells], str]:
    """Return a formatter of texts and lists, on one line."""
    return _formatter(name, one_line_text)


def elapsed(start: str, end: str, finished: str) -> Callable[[Cells], str]:
    """Return a formatter of the time between two columns: `12:30`, with a `+` while it is ongoing."""

    def text(row: Cells) -> str:
        return as_clock((row[end] - row[start]).total_seconds()) + ("" if row[finished] else "+")

    return text


def _formatter(name: str, text: Callable[[Any], str]) -> Callable[[Cells], str]:
    def cell(row: Cells) -> str:
        value = row.get(name)
        return NO_VALUE if value is None or value == "" else text(value)

    return cell


def timestamp_text(value: datetime) -> str:
    """Return a timestamp as a table shows it, to the second: `2026-11-20 08:00:00Z`."""
    zone = "" if value.tzinfo is None else "Z"
    return f"{value if value.tzinfo is None else value.astimezone(UTC):%Y-%m-%d %H:%M:%S}{zone}"


def one_line_text(value: Any) -> str:
    """Return a value as text without line breaks; a list is separated by commas."""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return " ".join(text.split())


def as_clock(seconds: float) -> str:
    """Return a duration as `12:30` (minutes and seconds), or `1:02:30` from an hour on."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
