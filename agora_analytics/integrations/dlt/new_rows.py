"""Finds the rows of a store that a destination does not have yet.

The rows of a table are divided into blocks, which are replaced as a whole: those of a call, or of a metric and day in
`points`. A block is identified by a digest of its rows. So it stays the same when files are compacted, and changes when a
call is fetched again.

The state of a destination has an entry for each app and day of a table, which is small:

- `files`: a digest of the names, sizes and times of the day's files. If it is unchanged, no file is read.
- `blocks`: the digests of the day's blocks. A day that did not change between two loads has one digest of them all; if it
  changes after all, its blocks are loaded again.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import TypeAlias, TypedDict

import pyarrow as pa

from agora_analytics.schemas import KEYS, TABLES
from agora_analytics.store import BucketStore, ParquetStore
from agora_analytics.store.layout import Layout, decode_id, partitions
from agora_analytics.store.sql_guard import quoted
from agora_analytics.store.stream import reader, stream
from agora_analytics.store.views import view_schema

AnyStore: TypeAlias = "ParquetStore | BucketStore"

MERGE_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "calls": ("app_id", "call_id"),
        "sessions": ("app_id", "call_id"),
        "metrics": ("app_id", "call_id"),
        "points": ("app_id", "day", "part"),
    }
)
"""The columns that identify a block, by table. The last one distinguishes the blocks of an app's day."""

_PART = pa.field(
    "part",
    pa.string(),
    metadata={"description": "The rows of a day that are replaced together: the call, or else the source_metric."},
)  # fmt: skip
_COLUMN_SQL = {
    "part": "coalesce(call_id, source_metric)",  # a merge does not find keys that are null
    "roles": "to_json(roles)::VARCHAR",  # most destinations have no lists
}
_TIME = pa.timestamp("us", "UTC")
_SEPARATOR, _NULL = "chr(31)", "chr(1)"


class DayState(TypedDict):
    """What a destination has of one app's day of a table; see the module."""

    files: str
    blocks: list[str] | str


Loaded: TypeAlias = MutableMapping[str, DayState]
"""The state of a table: `app_id/day` -> what the destination has."""


def loaded_schema(table: str) -> pa.Schema:
    """Return the columns of a table in a destination, with descriptions. Keys are not nullable.

    Example:
        >>> loaded_schema("points").names[-2:]
        ['day', 'part']
    """
    keys = {"app_id", "day", *KEYS[table], *MERGE_KEYS[table]}
    fields = [*view_schema(table), *([_PART] if table == "points" else [])]
    return pa.schema([_loaded_field(field).with_nullable(field.name not in keys) for field in fields])


def _loaded_field(field: pa.Field) -> pa.Field:
    if field.name == "roles":
        return field.with_type(pa.string()).with_metadata(
            {"description": f"{field_text(field)} A JSON list."}
        )
    return field.with_type(_TIME) if pa.types.is_timestamp(field.type) else field


def field_text(field: pa.Field) -> str:
    """Return the description of a column."""
    return str(field.metadata[b"description"].decode())


def new_rows(store: AnyStore, table: str, loaded: Loaded) -> Iterator[pa.Table]:
    """Yield the rows of a table that a destination does not have, in batches of some thousand rows.

    Args:
        store: a folder or a bucket. A folder is not compacted while this iterator is open.
        table: `calls`, `sessions`, `metrics` or `points`. Of the first three, only rows of published calls are yielded.
        loaded: what the destination has. An entry is replaced when all rows of its day were yielded.

    Raises:
        StoreError: the store cannot be read, or its folder cannot be locked.
    """
    files = _files(store, table)
    newest = dict(sorted(files))
    for (app_id, day), digest in sorted(files.items()):
        key = f"{app_id}/{day}"
        known = loaded.get(key)
        if known is not None and known["files"] == digest:
            blocks = known["blocks"]
            if day != newest[app_id] and not isinstance(blocks, str):
                loaded[key] = DayState(files=digest, blocks=_digest(blocks))
            continue
        with _not_compacted(store, app_id):
            found = _blocks(store, table, app_id, day)
            new = _new_blocks(found, known)
            if new:
                yield from _rows(store, table, app_id, day, new if len(new) < len(found) else None)
        settled = known is not None and not new and day != newest[app_id]
        blocks = sorted(found.values())
        loaded[key] = DayState(files=digest, blocks=_digest(blocks) if settled else blocks)


def _new_blocks(found: dict[str, str], known: DayState | None) -> list[str]:
    if known is None:
        return list(found)
    if isinstance(known["blocks"], str):
        return [] if _digest(found.values()) == known["blocks"] else list(found)
    have = set(known["blocks"])
    return [block for block, digest in found.items() if digest not in have]


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:32]


def _blocks(store: AnyStore, table: str, app_id: str, day: str) -> dict[str, str]:
    """Return the blocks of a day with the digests of their rows."""
    columns = (f"coalesce({name}::VARCHAR, {_NULL})" for name in TABLES[table].names)
    row = f"md5_number(concat_ws({_SEPARATOR}, {', '.join(columns)}))"
    found = reader(store)(
        f"SELECT {_block_sql(table)} AS block, count(*)::VARCHAR AS rows, bit_xor({row})::VARCHAR AS digest"
        f" FROM {_source(table, app_id, day)} GROUP BY 1"
    )
    return {row["block"]: _digest(row.values())[:16] for row in found.to_pylist()}


def _rows(
    store: AnyStore, table: str, app_id: str, day: str, blocks: Sequence[str] | None
) -> Iterator[pa.Table]:
    """Yield the rows of some blocks of a day, or of all, as `loaded_schema`."""
    schema = loaded_schema(table)
    columns = ", ".join(f"{_COLUMN_SQL.get(name, name)} AS {name}" for name in schema.names)
    text = f"SELECT {columns} FROM {_source(table, app_id, day)}"
    if blocks is not None:
        text += f" AND {_block_sql(table)} IN ({', '.join(map(quoted, blocks))})"
    for rows in stream(store, text)[1]:
        yield rows.cast(schema)


def _block_sql(table: str) -> str:
    column = MERGE_KEYS[table][-1]
    return _COLUMN_SQL.get(column, column)


def _source(table: str, app_id: str, day: str) -> str:
    where = f"app_id = {quoted(app_id)} AND day = DATE {quoted(day)}"
    if table in {"sessions", "metrics"}:  # rows of a call that is being published are not complete
        where += f" AND call_id IN (SELECT call_id FROM calls WHERE {where})"
    return f"{table} WHERE {where}"


def _files(store: AnyStore, table: str) -> dict[tuple[str, str], str]:
    """Return a digest of the files of each app's day that the rows of a table come from."""
    tables = ["points"] if table == "points" else sorted({"calls", table})
    found = defaultdict[tuple[str, str], list[str]](list)
    listed = _local_files(store, tables) if isinstance(store, ParquetStore) else _bucket_files(store, tables)
    for app_id, day, file in listed:
        found[app_id, day].append(file)
    return {key: _digest(files) for key, files in found.items()}


def _local_files(store: ParquetStore, tables: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    layout = Layout(store.path)
    for table in tables:
        for app, app_folder in partitions(layout.table(table), "app_id"):
            for day, folder in partitions(app_folder, "day"):
                with suppress(FileNotFoundError), os.scandir(folder) as entries:
                    for entry in entries:
                        with suppress(FileNotFoundError):
                            status = entry.stat()
                            name = f"{table} {entry.name} {status.st_size} {status.st_mtime_ns}"
                            yield decode_id(app), day, name


def _bucket_files(store: BucketStore, tables: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    from agora_analytics.store.bucket.delta_tables import DeltaTables, files_of
    from agora_analytics.store.bucket.location import BucketLocation

    delta = DeltaTables(BucketLocation.parse(store.url))
    for table in tables:
        for file in files_of(delta.load(table)).to_pylist():
            yield file["app_id"], file["day"], f"{table} {file['path']} {file['size_bytes']}"


@contextmanager
def _not_compacted(store: AnyStore, app_id: str) -> Iterator[None]:
    """Keep compaction out of a folder while its files are read. A bucket keeps replaced objects for its readers."""
    if isinstance(store, ParquetStore):
        with store.writer.writing(app_id):
            yield
    else:
        yield
