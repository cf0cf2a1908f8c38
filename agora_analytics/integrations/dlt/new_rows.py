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
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import TypeAlias, TypedDict

import pyarrow as pa

from agora_analytics.integrations.dlt.store_days import AnyStore, StoreDays, days_of
from agora_analytics.schemas import KEYS, TABLES
from agora_analytics.store.sql_guard import quoted
from agora_analytics.store.views import METRIC_COLUMNS, view_schema

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
_COLUMN_SQL: Mapping[tuple[str, str], str] = {
    ("points", "part"): "coalesce(call_id, source_metric)",  # a merge does not find keys that are null
    ("sessions", "roles"): "to_json(roles)::VARCHAR",  # most destinations have no lists
    **{("metrics", name): text for name, text in METRIC_COLUMNS.items()},
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
        store: a folder or a bucket. A folder is not compacted while the rows of a day are read.
        table: `calls`, `sessions`, `metrics` or `points`. Of the first three, only rows of published calls are yielded.
        loaded: what the destination has. An entry is replaced when all rows of its day were yielded.

    Raises:
        StoreError: the store cannot be read, or its folder cannot be locked.
    """
    with closing(days_of(store)) as days:
        files = _files(days, table)
        newest = dict(sorted(files))
        for (app_id, day), digest in sorted(files.items()):
            key = f"{app_id}/{day}"
            known = loaded.get(key)
            found = None if known is None or known["files"] != digest else known["blocks"]
            changed = False
            if found is None:
                with days.unchanged(app_id):
                    blocks = _blocks(days, table, app_id, day)
                    new = _new_blocks(blocks, known)
                    if new:
                        yield from _rows(days, table, app_id, day, new if len(new) < len(blocks) else None)
                found, changed = sorted(blocks.values()), known is None or bool(new)
            if not changed and day != newest[app_id] and not isinstance(found, str):
                found = _digest(found)
            loaded[key] = DayState(files=digest, blocks=found)


def _new_blocks(blocks: Mapping[str, str], known: DayState | None) -> list[str]:
    if known is None:
        return list(blocks)
    if isinstance(known["blocks"], str):
        return [] if _digest(blocks.values()) == known["blocks"] else list(blocks)
    have = set(known["blocks"])
    return [block for block, digest in blocks.items() if digest not in have]


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:32]


def _blocks(days: StoreDays, table: str, app_id: str, day: str) -> dict[str, str]:
    """Return the blocks of a day with the digests of their rows."""
    columns = (f"coalesce({name}::VARCHAR, {_NULL})" for name in TABLES[table].names)
    row = f"md5_number(concat_ws({_SEPARATOR}, {', '.join(columns)}))"
    found = days.query(
        f"SELECT {_block_sql(table)} AS block, count(*)::VARCHAR AS rows, bit_xor({row})::VARCHAR AS digest"
        f" FROM {_source(days, table, app_id, day)} GROUP BY 1"
    )
    return {
        row["block"]: _digest([row["block"], row["rows"], row["digest"]])[:16]
        for batch in found
        for row in batch.to_pylist()
    }


def _rows(
    days: StoreDays, table: str, app_id: str, day: str, blocks: Sequence[str] | None
) -> Iterator[pa.Table]:
    """Yield the rows of some blocks of a day, or of all, as `loaded_schema`."""
    schema = loaded_schema(table)
    columns = ", ".join(f"{_COLUMN_SQL.get((table, name), name)} AS {name}" for name in schema.names)
    text = f"SELECT {columns} FROM {_source(days, table, app_id, day)}"
    if blocks is not None:
        text += f" WHERE {_block_sql(table)} IN ({', '.join(map(quoted, blocks))})"
    for rows in days.query(text):
        yield rows.cast(schema)


def _block_sql(table: str) -> str:
    column = MERGE_KEYS[table][-1]
    return _COLUMN_SQL.get((table, column), column)


def _source(days: StoreDays, table: str, app_id: str, day: str) -> str:
    rows = days.rows_sql(table, app_id=app_id, day=day)
    if table not in {"sessions", "metrics"}:
        return f"({rows})"
    calls = days.rows_sql("calls", app_id=app_id, day=day)
    # rows of a call that is being published are not complete
    return f"(SELECT * FROM ({rows}) WHERE call_id IN (SELECT call_id FROM ({calls})))"


def _files(days: StoreDays, table: str) -> dict[tuple[str, str], str]:
    """Return a digest of the files of each app's day that the rows of a table come from."""
    found = defaultdict[tuple[str, str], list[str]](list)
    for part in {table} if table in {"calls", "points"} else {"calls", table}:
        for app_id, day, file in days.files(part):
            found[app_id, day].append(f"{part} {file}")
    return {key: _digest(files) for key, files in found.items()}
