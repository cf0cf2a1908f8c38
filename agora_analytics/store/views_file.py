"""A DuckDB database file with views over a store, for tools that connect to a database: Metabase, Superset, Grafana.

The file has no rows. Each view reads the Parquet files that exist when it is queried, so a view shows what a harvest
has stored since. The views are plain SQL with absolute paths: a tool needs DuckDB and nothing of this package.

- Each view stands alone. A view over other views would depend on the schema and the catalog that a tool selects.
- Times are `TIMESTAMP` in UTC. `TIMESTAMPTZ` would be shown in the time zone of the server that a tool runs on, and
  computing with it needs DuckDB's extension `icu`, which the driver of Metabase does not always have.
- DuckDB raises an error if no file matches a pattern. So a table without files has a placeholder, an empty file in a
  folder with a similar name, such as `_oints` for `points`, and the pattern `[_p]oints` matches both folders.
- The views of roll-ups aggregate the samples: a roll-up is valid for certain data files only, which SQL cannot check.
"""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from agora_analytics.errors import InvalidRequest, StoreError
from agora_analytics.schemas import PARTITIONS, TABLES, VIEWS
from agora_analytics.store import duckdb_connection, parquet_file
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.layout import PENDING, SUFFIX, Layout
from agora_analytics.store.rollups import views as rollup_views
from agora_analytics.store.sql_guard import escaped_glob, quoted
from agora_analytics.store.views import (
    DESCRIPTIONS,
    PARTITION_SQL,
    comment_statements,
    select_files,
    view_schema,
    view_sql,
)

STORAGE_VERSION = "v0.10.2"
"""The oldest format of a DuckDB file. The versions of DuckDB in BI tools are older than that of this package."""

_COMPLETENESS = pa.schema(
    [
        PARTITIONS.field("app_id"),
        PARTITIONS.field("day"),
        pa.field("calls", pa.int64(), metadata={"description": "Number of calls that are stored."}),
        pa.field("ongoing", pa.int64(), metadata={"description": "Those that had not ended when they were fetched."}),
        pa.field("pending", pa.int64(), metadata={"description": "Units of work that the next harvest has to finish."}),
        pa.field("complete", pa.bool_(), metadata={"description": "True if `ongoing` and `pending` are 0."}),
    ]
)  # fmt: skip
_COMPLETENESS_DESCRIPTION = "One row for each app and day with data: what a harvest still has to fetch."
NAMES = (*TABLES, *VIEWS, "completeness")
"""The names of the views."""


def write_views_file(layout: Layout, path: Path) -> None:
    """Write a DuckDB file with a view for each table and view of a store. See `ParquetStore.write_views`."""
    path = path.expanduser().absolute()
    if path.exists():
        _require_only_views(path)
    if not path.parent.is_dir():
        raise InvalidRequest(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    _write_placeholders(layout)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with duckdb_connection.connect() as connection:
            connection.execute(f"ATTACH {quoted(str(part))} AS views (STORAGE_VERSION '{STORAGE_VERSION}')")
            connection.execute("USE views")
            connection.execute(";\n".join(_statements(layout)))
            connection.execute("USE memory; DETACH views")
        with translate_os_errors("cannot write", path):
            part.replace(path)
    except duckdb.IOException as problem:
        raise StoreError(f"cannot write {path}: {str(problem).splitlines()[0]}") from problem
    finally:
        for name in (part, part.with_name(f"{part.name}.wal")):
            name.unlink(missing_ok=True)


def _require_only_views(path: Path) -> None:
    """Raise `InvalidRequest` if a file has anything but our views, because replacing it would delete that."""
    advice = "give another path, or delete the file first"
    if not path.is_file():
        raise InvalidRequest(f"cannot write {path}: it is not a file; {advice}")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            rows = connection.execute(
                "SELECT view_name FROM duckdb_views() WHERE NOT internal UNION ALL "
                "SELECT table_name FROM duckdb_tables() UNION ALL SELECT sequence_name FROM duckdb_sequences() UNION ALL "
                "SELECT function_name FROM duckdb_functions() WHERE NOT internal"
            ).fetchall()
    except (duckdb.Error, UnicodeDecodeError) as problem:
        raise InvalidRequest(
            f"cannot replace {path}: it is not a DuckDB file that this version can read; {advice}"
        ) from problem
    if other := sorted({name for (name,) in rows} - set(NAMES)):
        raise InvalidRequest(
            f"cannot replace {path}: it has {other[0]}, which `agora-analytics views` did not write; {advice}"
        )


def _write_placeholders(layout: Layout) -> None:
    for table in TABLES:
        placeholder = layout.placeholder(table)
        # an existing one may have the columns of an older version
        if placeholder.exists() or not layout.files(table):
            part = placeholder.with_name(secrets.token_hex(4))
            with translate_os_errors("cannot write", placeholder):
                placeholder.parent.mkdir(parents=True, exist_ok=True)
                parquet_file.write(part, table, TABLES[table].empty_table())
                part.replace(placeholder)


def _pattern(layout: Layout, table: str) -> str:
    """Return the pattern of the files of a table and of its placeholder."""
    return f"{escaped_glob(str(layout.folder))}/[_{table[0]}]{table[1:]}/*/*/*{SUFFIX}"


def _statements(layout: Layout) -> Iterator[str]:
    rows = {table: select_files(table, _pattern(layout, table)) for table in TABLES}
    hours = rollup_views.scan_queries(rows, rollup_views.DESCRIPTIONS)
    for view in NAMES:
        if view == "completeness":
            schema, description, sql = _COMPLETENESS, _COMPLETENESS_DESCRIPTION, _completeness_sql(layout)
        elif view in rollup_views.DESCRIPTIONS:
            schema, description = VIEWS[view], rollup_views.DESCRIPTIONS[view]
            sql = rollup_views.view_sql(view, hours)
        else:
            schema, description, sql = view_schema(view), DESCRIPTIONS[view], view_sql(view, rows)
        queries = rows | {
            "interval_scores": _in_utc(VIEWS["interval_scores"], view_sql("interval_scores", rows))
        }
        named = ", ".join(f"{name} AS NOT MATERIALIZED ({queries[name]})" for name in _READS.get(view, ()))
        yield f"CREATE VIEW {view} AS {named and 'WITH '}{named} {_in_utc(schema, sql)}"
        yield from comment_statements(view, f"{description} Times are UTC.", schema)


_TABLES_OF_QUALITY = ("metrics", "sessions", "points")
_READS: Mapping[str, tuple[str, ...]] = {
    "quality": _TABLES_OF_QUALITY,
    "interval_scores": _TABLES_OF_QUALITY,
    "stream_scores": (*_TABLES_OF_QUALITY, "interval_scores"),
    "quality_hours": ("sessions",),
    "quality_histogram": ("sessions",),
    "completeness": ("calls",),
}
"""The tables and views that the query of a view names."""


def _in_utc(schema: pa.Schema, sql: str) -> str:
    """Return a query with the columns of a schema, whose times are timestamps without a time zone, in UTC."""
    columns = ", ".join(
        f"make_timestamp(epoch_us({field.name})) AS {field.name}"
        if pa.types.is_timestamp(field.type)
        else field.name
        for field in schema
    )
    return f"SELECT {columns} FROM ({sql})"


def _completeness_sql(layout: Layout) -> str:
    """Return the query of `ParquetStore.completeness`."""
    days = " UNION ALL ".join(_days(layout.table(table), "*/*/*", pending=0) for table in TABLES)
    pending = _days(layout.folder / PENDING, "*/*/*/*", pending=1)
    return f"""
    SELECT app_id, day, coalesce(sum(calls), 0)::BIGINT AS calls, coalesce(sum(ongoing), 0)::BIGINT AS ongoing,
        sum(pending)::BIGINT AS pending, coalesce(sum(ongoing), 0) + sum(pending) = 0 AS complete
    FROM (
        SELECT app_id, day, count(*) AS calls, count(*) FILTER (NOT finished) AS ongoing, 0 AS pending FROM calls GROUP BY ALL
        UNION ALL BY NAME SELECT app_id, day, pending FROM ({days} UNION ALL {pending})
    )
    GROUP BY ALL
    """


def _days(folder: Path, names: str, *, pending: int) -> str:
    # glob has no rows if no file matches, where read_parquet raises an error
    files = f"SELECT file AS filename FROM glob({quoted(f'{escaped_glob(str(folder))}/{names}{SUFFIX}')})"
    return f"SELECT {', '.join(PARTITION_SQL.values())}, {pending} AS pending FROM ({files})"
