"""One Parquet file: its rows brought into the table's schema, written with the table's encodings, read back."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from agora_analytics.errors import StoreError
from agora_analytics.schemas import ENCODINGS, KEYS, PARTITIONS, TABLES

Rows: TypeAlias = pa.Table | pa.RecordBatch | Iterable[pa.Table | pa.RecordBatch]
"""Rows of a table, at once or piece by piece."""

ROW_GROUP = 250_000
"""Rows in a row group, at most. Larger ones pack no better; smaller ones repeat their dictionaries."""

SMALL = 5_000
"""A unit of fewer rows is packed with Snappy: setting Zstandard up for each column would take longer than all the rest."""

_TINY_PIECES = 250

_STRING = pa.string()
_TEXT = pa.dictionary(pa.int32(), _STRING)
# looked up once: a harvest writes thousands of small units, and a schema makes its fields anew for each question
_COLUMNS = {table: [(field.name, field.type) for field in schema] for table, schema in TABLES.items()}
_ORDER = {table: list(schema.names) for table, schema in TABLES.items()}
_NAMES = {table: {*schema.names, *PARTITIONS.names} for table, schema in TABLES.items()}


def write(path: Path, table: str, rows: Rows, *, notes: Mapping[str, str] | None = None) -> int:
    """Write one file, with at most about one row group in memory.

    Args:
        path: a file that nobody reads yet.
        table: `calls`, `sessions` or `metrics`.
        rows: with the columns of the table's schema; text may be dictionary-encoded; a missing column that is
            no key is null throughout.
        notes: text kept beside the rows, in the file's key-value metadata.

    Returns:
        The number of rows.

    Raises:
        StoreError: if the rows do not fit the table.
        OSError: if the file cannot be written; a part of it may be left.

    Example:
        >>> write(Path("/tmp/one.parquet"), "calls", pa.table({"call_id": ["c1"]}))
        1
    """
    written = 0
    pieces = _row_groups(table, rows)
    first = next(pieces)
    # a file opened here: a path would make pyarrow look for file system plug-ins, a millisecond for each file
    with pa.OSFile(str(path), "wb") as file, _writer(file, table, first) as writer:
        if notes:
            writer.add_key_value_metadata(dict(notes))
        for piece in _with_first(first, pieces):
            groups = max(1, piece.num_rows // ROW_GROUP)  # even ones: a small rest would pack badly
            writer.write_table(_like(piece, first.schema), row_group_size=piece.num_rows // groups + 1)
            written += piece.num_rows
    return written


def _writer(file: pa.NativeFile, table: str, first: pa.Table) -> pq.ParquetWriter:
    encoding = ENCODINGS[table]
    small = first.num_rows < SMALL
    return pq.ParquetWriter(
        file,
        first.schema,
        compression="snappy" if small else "zstd",
        compression_level=None if small else 1,
        use_dictionary=list(encoding.dictionary),
        column_encoding=dict(encoding.other) or None,
        write_statistics=True if encoding.statistics is None else list(encoding.statistics),
        # Arrow's own schema would tell readers of our dictionaries; without it every reader sees plain text columns
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
    # a unit without rows is a file without rows: that it is there says that the work is done
    yield _joined(waiting) if waiting else TABLES[table].empty_table()


def _blocks(table: str, rows: Rows) -> Iterator[pa.Table]:
    # thousands of tiny pieces, each with dictionaries of its own, take more memory than a row group does
    tiny: list[pa.Table] = []
    for piece in [rows] if isinstance(rows, pa.Table | pa.RecordBatch) else rows:
        if piece.num_rows >= SMALL:
            if tiny:
                yield _joined(tiny).combine_chunks()
                tiny = []
            yield conformed(table, piece)
            continue
        tiny.append(conformed(table, piece))
        if len(tiny) == _TINY_PIECES:
            yield _joined(tiny).combine_chunks()
            tiny = []
    if tiny:
        yield _joined(tiny)


def _joined(pieces: list[pa.Table]) -> pa.Table:
    if len(pieces) == 1 and pieces[0].num_rows < SMALL and pieces[0].column(0).num_chunks == 1:
        return pieces[0]
    if len(pieces) > 1:
        pieces = [_like(piece, pieces[0].schema) for piece in pieces]
    # one dictionary for the row group: the writer gives dictionaries up when a second one comes
    return pa.concat_tables(pieces).unify_dictionaries()


def _like(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table if table.schema.equals(schema) else table.cast(schema)


def _with_first(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def conformed(table: str, rows: pa.Table | pa.RecordBatch) -> pa.Table:
    """Return rows with exactly the columns of a table's schema; dictionary-encoded text stays so.

    Raises:
        StoreError: if a column is unknown, a key is missing or null, or a value does not fit its type.
    """
    names = rows.schema.names
    if unknown := set(names) - _NAMES[table]:
        raise StoreError(f"table {table} has no column {', '.join(sorted(unknown))}")
    columns = []
    for name, kind in _COLUMNS[table]:
        at = names.index(name) if name in names else -1
        column = pa.nulls(rows.num_rows, kind) if at < 0 else _fitting(table, name, rows.column(at), kind)
        if column.null_count and name in KEYS[table]:
            raise StoreError(f"table {table}: {name} is a key and must be there in every row")
        columns.append(column)
    return pa.Table.from_arrays(columns, names=_ORDER[table])


def _fitting(
    table: str, name: str, column: pa.ChunkedArray | pa.Array, kind: pa.DataType
) -> pa.ChunkedArray | pa.Array:
    found = column.type
    if found.equals(kind):
        return column
    if kind.equals(_STRING) and pa.types.is_dictionary(found):
        kind = _TEXT
        if found.equals(kind):
            return column
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise StoreError(f"table {table}: {name} does not fit {kind}: {problem}") from problem


def read(path: Path, table: str) -> tuple[pa.Table, dict[str, str]]:
    """Return the rows of one file in the table's schema, and the notes kept beside them.

    Raises:
        FileNotFoundError: if there is no such file.
        pyarrow.ArrowInvalid, OSError: if it is damaged.
    """
    # one read of the whole file: for the small files of units, seeking costs more than the bytes
    with pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
        notes = {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items()}
        return file.read(use_threads=False).cast(TABLES[table]), notes
