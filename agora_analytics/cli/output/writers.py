"""Where rows go: each format as something that takes rows while they come."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from agora_analytics.cli.output.columns import Kind, Listing, Row
from agora_analytics.cli.output.options import Format, Output
from agora_analytics.errors import StoreError
from agora_analytics.instants import iso

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PIECE = 20_000  # rows that are in memory at a time on the way to Parquet
_moment = lru_cache(4096)(iso)  # the samples of a call share their seconds


class Sink:
    """Takes rows; `written` counts them, `rest` is what a table says below itself about those that it has not."""

    def __init__(self) -> None:
        self.written = 0
        self.rest = ""

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows, so that whoever reads at the other end has them now."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what comes behind the last row."""


@contextmanager
def opened(output: Output, listing: Listing) -> Iterator[Sink]:
    """Open what an output names, and finish it at the end; after errors too: rows that came are not thrown away.

    A file is there under its name when the block has ended, never half.

    Raises:
        StoreError: the file cannot be written.
    """
    if output.file is None:
        with _finished(_text_sink(output.format, listing, sys.stdout)) as sink:
            yield sink
        return
    with written(output.file) as part, ExitStack() as open_file:
        if output.format is Format.PARQUET:
            made: Sink = _Parquet(listing, part)
        else:
            file = open_file.enter_context(part.open("w", encoding="utf-8", newline=""))
            made = _text_sink(output.format, listing, file)
        with _finished(made) as sink:
            yield sink


@contextmanager
def written(file: Path) -> Iterator[Path]:
    """Yield where to write what is a file's content in the end.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        with _placed(file) as part:
            yield part
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"cannot write {file}: {reason}") from error


@contextmanager
def _finished(sink: Sink) -> Iterator[Sink]:
    try:
        yield sink
    except BrokenPipeError:
        raise  # nobody is there to read the end
    except BaseException:
        if sink.written:
            sink.finish()
        raise
    sink.finish()


@contextmanager
def _placed(file: Path) -> Iterator[Path]:
    """Yield where to write, and put it in its place at the end, unless nothing came."""
    # A link, such as /dev/stdout, or a device is written through: a rename would put a plain file in its place.
    if file.is_symlink() or (file.exists() and not file.is_file()):
        yield file
        return
    part = file.with_name(f".{file.name}.part")
    try:
        yield part
    except OSError:
        part.unlink(missing_ok=True)
        raise
    except BaseException:
        if part.exists() and part.stat().st_size:
            part.replace(file)
        else:
            part.unlink(missing_ok=True)
        raise
    part.replace(file)


def _text_sink(kind: Format, listing: Listing, file: TextIO) -> Sink:
    match kind:
        case Format.JSON:
            return _JsonArray(listing, file)
        case Format.JSONL:
            return _JsonLines(listing, file)
        case Format.CSV:
            return _Csv(listing, file)
        case _:
            from agora_analytics.cli.output.table import Table

            return Table(listing, file)


def _in_json(value: Any, kind: Kind) -> Any:
    if kind is Kind.TIME and value is not None:
        return _moment(value)
    return value or None if kind is Kind.OBJECT else value


class _JsonLines(Sink):
    """An object a line."""

    _before, _between = "", ""

    def __init__(self, listing: Listing, file: TextIO) -> None:
        super().__init__()
        self._columns = listing.columns.items()
        self._file = file

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            plain = {name: _in_json(row.get(name), kind) for name, kind in self._columns}
            self._line(json.dumps(plain, ensure_ascii=False, allow_nan=False))
            self.written += 1
        self._file.flush()

    def _line(self, text: str) -> None:
        self._file.write(text + "\n")


class _JsonArray(_JsonLines):
    """One array, an object a line."""

    def _line(self, text: str) -> None:
        self._file.write((",\n " if self.written else "[") + text)

    def finish(self) -> None:
        self._file.write("]\n" if self.written else "[]\n")


class _Csv(Sink):
    """A header and rows. Null is empty, lists and objects are JSON."""

    def __init__(self, listing: Listing, file: TextIO) -> None:
        super().__init__()
        self._columns = listing.columns.items()
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")

    def add(self, rows: Iterable[Row]) -> None:
        if not self.written:
            self._head()
        for row in rows:
            self._writer.writerow([_in_csv(row.get(name), kind) for name, kind in self._columns])
            self.written += 1
        self._file.flush()

    def finish(self) -> None:
        if not self.written:
            self._head()

    def _head(self) -> None:
        if not self._headed:
            self._writer.writerow(name for name, _ in self._columns)
            self._headed = True

    _headed = False


def _in_csv(value: Any, kind: Kind) -> Any:
    if value is None:
        return ""
    match kind:
        case Kind.TIME:
            return _moment(value)
        case Kind.FLAG:
            return str(value).lower()
        case Kind.TEXTS | Kind.OBJECT:
            return json.dumps(value, ensure_ascii=False) if value else ""
        case _:
            return value


class _Parquet(Sink):
    """A Parquet file with the column types of the store's tables; made in pieces, never whole in memory."""

    def __init__(self, listing: Listing, path: Path) -> None:
        super().__init__()
        self._columns = listing.columns
        self._path = path
        self._schema = _schema(listing)
        self._writer: pq.ParquetWriter | None = None

    def add(self, rows: Iterable[Row]) -> None:
        import pyarrow as pa

        left = iter(rows)
        while piece := [self._plain(row) for row in islice(left, _PIECE)]:
            self._open().write_table(pa.Table.from_pylist(piece, schema=self._schema))
            self.written += len(piece)

    def finish(self) -> None:
        self._open().close()

    def _open(self) -> "pq.ParquetWriter":
        if self._writer is None:
            import pyarrow.parquet as pq

            self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        return self._writer

    def _plain(self, row: Row) -> dict[str, Any]:
        objects = (name for name, kind in self._columns.items() if kind is Kind.OBJECT)
        return {**row, **{name: json.dumps(row[name]) if row.get(name) else None for name in objects}}


def _schema(listing: Listing) -> "pa.Schema":
    import pyarrow as pa

    types = {
        Kind.TEXT: pa.string(),
        Kind.WHOLE: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.TIME: pa.timestamp("s", "UTC"),
        Kind.FLAG: pa.bool_(),
        Kind.TEXTS: pa.list_(pa.string()),
        Kind.OBJECT: pa.string(),
    }
    return pa.schema([(name, types[kind]) for name, kind in listing.columns.items()])
