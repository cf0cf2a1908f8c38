"""Reads and writes one Parquet file with the schema and the encodings of its table."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from attrs import frozen

from agora_analytics.errors import RowsRefused
from agora_analytics.instants import LAST_SECOND
from agora_analytics.schemas import KEYS, PARTITIONS, TABLES


@frozen(kw_only=True)
class Encoding:
    """The Parquet encodings of a table's columns.

    Attributes:
        dictionary: the columns with dictionary encoding.
        other: the columns with another encoding, by name.
        statistics: the columns with minimum and maximum per row group, so that readers can skip row groups; None: all.
    """

    dictionary: tuple[str, ...]
    other: Mapping[str, str]
    statistics: tuple[str, ...] | None = None


ENCODINGS: Mapping[str, Encoding] = MappingProxyType(
    {
        "calls": Encoding(dictionary=("cname",), other={}),
        "sessions": Encoding(
            dictionary=(
                "call_id", "cname", "network", "platform", "roles.list.element", "sdk_version", "device_type"
            ),
            other={},
        ),
        # Measured: a fifth smaller than the writer's defaults. The Parquet writer falls back to plain encoding in each
        # row group whose dictionary grows too large. Statistics of all columns would take a quarter of the time, and
        # they would not help: a row group contains all sessions and metrics of a call.
        "metrics": Encoding(
            dictionary=("call_id", "sid", "mid", "peer_uid", "value"),
            other={"ts": "DELTA_BINARY_PACKED"},
            statistics=("call_id", "ts"),
        ),
        "points": Encoding(
            dictionary=(
                "vendor", "channel", "call_id", "session_id", "user_id", "peer_id", "metric", "unit", "source_metric"
            ),
            other={"ts": "DELTA_BINARY_PACKED"},
        ),
    }
)  # fmt: skip

Rows: TypeAlias = pa.Table | pa.RecordBatch | Iterable[pa.Table | pa.RecordBatch]
"""Rows of a table, as a whole or in pieces."""

ROW_GROUP = 250_000
"""Maximum rows in a row group. Larger groups do not compress better; smaller groups repeat their dictionaries."""

SMALL = 5_000
"""A file with fewer rows is compressed with Snappy, because the set-up of Zstandard for each column costs more."""

_PIECES_TO_COMBINE = 250

_STRING = pa.string()
_TEXT = pa.dictionary(pa.int32(), _STRING)
# computed once: a harvest writes thousands of small units, and a schema creates its field objects on each access
_COLUMNS = {table: [(field.name, field.type) for field in schema] for table, schema in TABLES.items()}
_ORDER = {table: list(schema.names) for table, schema in TABLES.items()}
_NAMES = {table: {*schema.names, *PARTITIONS.names} for table, schema in TABLES.items()}


def write(path: Path, table: str, rows: Rows, *, metadata: Mapping[str, str] | None = None) -> int:
    """Write one file. At most about one row group is in memory.

    Args:
        path: the file; it must not be visible to readers yet.
        table: the name of the table.
        rows: with the columns of the table's schema. Text may be dictionary-encoded. A missing column that is not a
            key is filled with nulls.
        metadata: text for the file's key-value metadata.

    Returns:
        The number of rows.

    Raises:
        RowsRefused: if the rows do not fit the table.
        OSError: if the file cannot be written; an incomplete file may remain.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write(Path(folder, "c1.parquet"), "calls", pa.table({"call_id": ["c1"]}))
        1
    """
    # opened here, because pyarrow would look for file system plug-ins for a path, which takes a millisecond per file
    return _write(lambda: pa.OSFile(str(path), "wb"), table, rows, metadata)


def encode(table: str, rows: Rows, *, metadata: Mapping[str, str] | None = None) -> tuple[bytes, int]:
    """Return the bytes of a file, as `write` writes it, and the number of rows."""
    file = pa.BufferOutputStream()
    written = _write(lambda: file, table, rows, metadata)
    return file.getvalue().to_pybytes(), written


def _write(
    create: Callable[[], pa.NativeFile], table: str, rows: Rows, metadata: Mapping[str, str] | None
) -> int:
    written = 0
    pieces = _row_groups(table, rows)
    first = next(pieces)  # before the file is created, because the rows may be refused
    small = first.num_rows < SMALL
    with create() as file, open_writer(file, table, first.schema, small=small) as writer:
        if metadata:
            writer.add_key_value_metadata(dict(metadata))
        for piece in chain([first], pieces):
            groups = max(1, piece.num_rows // ROW_GROUP)  # of equal size: a small last group compresses badly
            writer.write_table(_like(piece, first.schema), row_group_size=piece.num_rows // groups + 1)
            written += piece.num_rows
    return written


def open_writer(
    file: pa.NativeFile, table: str, schema: pa.Schema, *, small: bool = False
) -> pq.ParquetWriter:
    """Return a writer with the encodings of a table; `small` files are compressed faster."""
    encoding = ENCODINGS[table]
    return pq.ParquetWriter(
        file,
        schema,
        compression="snappy" if small else "zstd",
        compression_level=None if small else 1,
        use_dictionary=list(encoding.dictionary),
        column_encoding=dict(encoding.other) or None,
        write_statistics=True if encoding.statistics is None else list(encoding.statistics),
        # a flipped byte in a page is an error then, and not another value
        write_page_checksum=True,
        # the Arrow schema would make readers return dictionary columns; without it they return plain text columns
        store_schema=False,
    )


def _row_groups(table: str, rows: Rows) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    count = 0
    for block in _blocks(table, rows):
        waiting.append(block)
        count += block.num_rows
        if count >= ROW_GROUP:
            yield _joined(waiting)
            waiting, count = [], 0
    # a unit without rows is stored as a file without rows, which records that the unit is done
    yield _joined(waiting) if waiting else TABLES[table].empty_table()


def _blocks(table: str, rows: Rows) -> Iterator[pa.Table]:
    # thousands of small pieces with their own dictionaries would take more memory than a row group
    small: list[pa.Table] = []
    for piece in [rows] if isinstance(rows, pa.Table | pa.RecordBatch) else rows:
        if piece.num_rows >= SMALL:
            if small:
                yield _joined(small).combine_chunks()
                small = []
            yield conformed(table, piece)
            continue
        small.append(conformed(table, piece))
        if len(small) == _PIECES_TO_COMBINE:
            yield _joined(small).combine_chunks()
            small = []
    if small:
        yield _joined(small)


def _joined(pieces: list[pa.Table]) -> pa.Table:
    if len(pieces) == 1 and pieces[0].num_rows < SMALL and pieces[0].column(0).num_chunks == 1:
        return pieces[0]
    if len(pieces) > 1:
        pieces = [_like(piece, pieces[0].schema) for piece in pieces]
    # one dictionary per row group: with a second dictionary the writer stops dictionary encoding
    return pa.concat_tables(pieces).unify_dictionaries()


def _like(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table if table.schema.equals(schema) else table.cast(schema)


def conformed(table: str, rows: pa.Table | pa.RecordBatch) -> pa.Table:
    """Return rows with exactly the columns of a table's schema; dictionary-encoded text keeps its encoding.

    Raises:
        RowsRefused: if a column is unknown, a key is missing or null, or a value does not fit its type.
    """
    names = rows.schema.names
    if unknown := set(names) - _NAMES[table]:
        raise RowsRefused(
            f"table {table} has no column {', '.join(sorted(unknown))}; see table_schema({table!r})"
        )
    columns = []
    for name, kind in _COLUMNS[table]:
        index = names.index(name) if name in names else -1
        column = pa.nulls(rows.num_rows, kind) if index < 0 else _cast(table, name, rows.column(index), kind)
        if column.null_count and name in KEYS[table]:
            raise RowsRefused(f"table {table}: {name} is a key; every row needs a value")
        if pa.types.is_timestamp(kind):
            _require_sane_times(table, name, column)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=_ORDER[table])


def _require_sane_times(table: str, name: str, column: pa.ChunkedArray | pa.Array) -> None:
    times = pc.min_max(column.cast(pa.int64()))
    latest = LAST_SECOND * (1000 if column.type.unit == "ms" else 1)
    if (times["min"].as_py() or 0) < 0 or (times["max"].as_py() or 0) > latest:
        raise RowsRefused(f"table {table}: {name} has a time before 1970 or after 2100, which is refused")


def _cast(
    table: str, name: str, column: pa.ChunkedArray | pa.Array, kind: pa.DataType
) -> pa.ChunkedArray | pa.Array:
    if column.type.equals(kind):
        return column
    if kind.equals(_STRING) and pa.types.is_dictionary(column.type):
        kind = _TEXT
        if column.type.equals(kind):
            return column
    try:
        return column.cast(kind)
    except (pa.ArrowException, OverflowError) as problem:
        raise RowsRefused(f"table {table}: {name} does not fit {kind}: {problem}") from problem


def read_metadata(path: Path, table: str) -> dict[str, str]:
    """Return the key-value metadata of one file. Reads the footer only.

    Raises:
        As `read`.
    """
    with pa.OSFile(str(path), "rb") as file:
        return _metadata(pq.read_metadata(file), table)


def read(path: Path, table: str) -> tuple[pa.Table, dict[str, str]]:
    """Return the rows of one file in the table's schema, and its key-value metadata.

    Raises:
        FileNotFoundError: if there is no such file.
        pyarrow.ArrowInvalid, OSError, ValueError: if it is damaged, or not a file of the table.
    """
    # the whole file in one read: in small files, seeks cost more than the extra bytes
    return decode(path.read_bytes(), table)


def decode(content: bytes, table: str) -> tuple[pa.Table, dict[str, str]]:
    """Return the rows and the metadata of the bytes of a file; the errors as of `read`."""
    with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
        metadata = _metadata(file.metadata, table)
        return file.read(use_threads=False).cast(TABLES[table]), metadata


def _metadata(footer: pq.FileMetaData, table: str) -> dict[str, str]:
    check_columns(footer, table)
    return {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}


def check_columns(footer: pq.FileMetaData, table: str) -> None:
    """Raise ValueError if the columns of a file are not those of a table, in names and types."""
    if not footer.schema.to_arrow_schema().equals(_file_schema(table)):
        raise ValueError(f"its columns are not those of {table}")


@cache
def _file_schema(table: str) -> pa.Schema:
    # Parquet has no times in seconds, so a file's types are not those of the table
    file = pa.BufferOutputStream()
    pq.write_table(TABLES[table].empty_table(), file, store_schema=False)
    return pq.read_schema(pa.BufferReader(file.getvalue()))
