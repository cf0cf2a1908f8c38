"""Writers of Arrow tables: JSON, JSON lines, CSV and Parquet. Each writes rows as they come."""

import base64
import csv
import json
import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO

from agora_analytics.cli.output.columns import RowKind
from agora_analytics.cli.terminal import data
from agora_analytics.core.hidden_characters import visible_json

if TYPE_CHECKING:
    from _csv import Writer as CsvRows

    import pyarrow as pa
    import pyarrow.parquet as pq

# What OWASP names, after blanks and in full width too; a plain number is harmless.
_FORMULA = re.compile(r"[\t\r\n]|\s*(?![+-]?\d+(\.\d+)?$)[=+\-@＝＋－＠]")  # noqa: RUF001

_BATCH = 20_000  # rows that are converted to Python at a time


class RowWriter:
    """Writes tables of one kind of rows to a file; None: stdout."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self.written = 0  # rows
        # Only a table shows these: the number of all rows, and a note about those that are not written.
        self.total: int | None = None
        self.rest = ""

    def add(self, rows: "pa.Table") -> None:
        """Write rows and flush them, so that a reader of a pipe has them at once."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what follows the last row."""


class JsonLinesWriter(RowWriter):
    """Writes an object on each line. Times are ISO 8601, NaN is null."""

    def __init__(self, kind: RowKind, file: TextIO | None) -> None:
        super().__init__(file)
        self._json_columns = kind.json_columns

    def add(self, rows: "pa.Table") -> None:
        """Write rows."""
        stream, names = data(self._file, visible_json), rows.column_names
        for values in _batches(rows):
            for name in self._json_columns:
                place = names.index(name)
                values[place] = [text and json.loads(text) for text in values[place]]
            for row in zip(*map(_finite, values), strict=True):
                cells = dict(zip(names, row, strict=True))
                stream.write(self._framed(json.dumps(cells, ensure_ascii=False, allow_nan=False)))
                self.written += 1
        stream.flush()

    def _framed(self, text: str) -> str:
        return text + "\n"


class JsonArrayWriter(JsonLinesWriter):
    """Writes one array with an object on each line."""

    def _framed(self, text: str) -> str:
        return (",\n " if self.written else "[") + text

    def finish(self) -> None:
        """Close the array."""
        data(self._file).write("]\n" if self.written else "[]\n")


class CsvWriter(RowWriter):
    """Writes a header and rows. Null is empty, times are ISO 8601, lists and objects are JSON.

    The module `csv` quotes only where it must; pyarrow's writer quotes every text and separates date and time by a
    blank.
    """

    def __init__(self, kind: RowKind, file: TextIO | None, *, defuse: bool = False) -> None:
        super().__init__(file)
        self._names: list[str] | None = kind.schema().names
        self._cell = defused_cell if defuse else csv_cell

    def add(self, rows: "pa.Table") -> None:
        """Write rows, and first the header."""
        writer = self._begun()
        for values in _batches(rows):
            writer.writerows(zip(*(map(self._cell, column) for column in values), strict=True))
        self.written += rows.num_rows
        data(self._file).flush()

    def finish(self) -> None:
        """Write the header if there were no rows."""
        self._begun()

    def _begun(self) -> "CsvRows":
        stream = data(self._file)
        # Before Python 3.13, a carriage return in a text is quoted only if it is in the line terminator.
        lines = SimpleNamespace(write=lambda line: stream.write(line[:-2] + "\n"))
        writer = csv.writer(lines, lineterminator="\r\n")
        if self._names is not None:
            writer.writerow(map(self._cell, self._names))
            self._names = None
        return writer


class ParquetFileWriter(RowWriter):
    """Writes a Parquet file with the column types of the store's tables, one row group for each batch."""

    def __init__(self, kind: RowKind, path: Path) -> None:
        super().__init__()
        self._schema = kind.schema()
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def add(self, rows: "pa.Table") -> None:
        """Write rows."""
        self._open().write_table(rows.cast(self._schema), row_group_size=_BATCH)
        self.written += rows.num_rows

    def finish(self) -> None:
        """Write the footer of the file."""
        self._open().close()

    def _open(self) -> "pq.ParquetWriter":
        if self._writer is None:
            import pyarrow.parquet as pq

            self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        return self._writer


def csv_cell(value: Any) -> Any:
    """Return a plain value as a cell of a CSV file."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list() | dict():
            return json.dumps(value, ensure_ascii=False) if value else ""
        case _:
            return value


def defused_cell(value: Any) -> Any:
    """Return the same, with an apostrophe before a text that a spreadsheet would run as a formula."""
    cell = csv_cell(value)
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _batches(table: "pa.Table") -> Iterator[list[list[Any]]]:
    """Yield the columns of a table as lists of plain Python values, some thousand rows at a time."""
    for start in range(0, table.num_rows, _BATCH):
        yield [_plain_values(column) for column in table.slice(start, _BATCH).columns]


def _plain_values(column: "pa.ChunkedArray") -> list[Any]:
    """Return the values of a column as what JSON knows, and as NaN where they are that."""
    import pyarrow.types as types

    kind = column.type
    if types.is_timestamp(kind):
        return _iso_texts(column)
    values: list[Any] = column.to_pylist()
    if types.is_string(kind) or types.is_integer(kind) or types.is_boolean(kind) or types.is_floating(kind):
        return values
    return list(map(plain_value, values))


def _iso_texts(column: "pa.ChunkedArray") -> list[str | None]:
    """Return timestamps as ISO 8601, in UTC where they have a zone; a fraction of a second only where there is one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = "Z" if column.type.tz else ""
    texts = column.cast(pa.timestamp(column.type.unit)).cast(pa.string())
    texts = pc.replace_substring(texts, " ", "T")
    texts = pc.replace_substring_regex(texts, r"\.0+$", "")
    return [text and text + zone for text in texts.to_pylist()]


def _finite(column: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in column]


def plain_value(value: Any) -> Any:
    """Return a value of a query as what JSON knows."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case date() | time() | datetime():
            return value.isoformat().replace("+00:00", "Z")
        case dict():
            return {str(key): plain_value(item) for key, item in value.items()}
        case bytes():
            return base64.b64encode(value).decode()
        case tuple() if hasattr(value, "_fields"):  # an interval
            return str(value)
        case list() | tuple():
            return [plain_value(item) for item in value]
        case _:
            return str(value)
