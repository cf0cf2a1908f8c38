"""The views of a store's SQL: `calls`, `sessions`, `metrics` and `points` over its files, and `quality` over those."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.schemas import METRIC_NAMES, QUALITY, TABLES, table_schema
from agora_analytics.store import quality
from agora_analytics.store.layout import Layout, parquet_names, partitions
from agora_analytics.store.quality import UNNAMED_METRIC, lookup
from agora_analytics.store.sql_guard import escaped_glob, quoted

_PARTITION_SQL = {
    "app_id": "url_decode(substr(parse_path(filename)[-3], 8)) AS app_id",
    "day": "substr(parse_path(filename)[-2], 5)::DATE AS day",
}

_DESCRIPTIONS: Mapping[str, str] = {
    "calls": "One row for each call.",
    "sessions": "One row for each session: one user in one call, from joining to leaving.",
    "metrics": "One row for each sample of a metric of Agora, as the vendor sent it.",
    "points": "One row for each value of OpenTok, ApsaraVideo, or Data Insights of Agora.",
    "quality": "The metrics of all vendors with common names and units.",
}


METRIC_COLUMNS: Mapping[str, str] = {
    "metric": lookup({mid: metric.name for mid, metric in METRIC_IDS.items()}, UNNAMED_METRIC),
    "unit": lookup({mid: metric.unit for mid, metric in METRIC_IDS.items()}, "''"),
}
"""The columns of the view `metrics` that its files do not have, as SQL."""

_METRICS = table_schema("metrics")
_AFTER_MID = _METRICS.get_field_index("mid") + 1
_METRICS_VIEW = pa.schema([*list(_METRICS)[:_AFTER_MID], *METRIC_NAMES, *list(_METRICS)[_AFTER_MID:]])


def view_schema(name: str) -> pa.Schema:
    """Return the columns of a view, with their descriptions.

    Example:
        >>> view_schema("metrics").names
        ['app_id', 'call_id', 'sid', 'mid', 'metric', 'unit', 'peer_uid', 'ts', 'value', 'day']
    """
    match name:
        case "quality":
            return QUALITY
        case "metrics":
            return _METRICS_VIEW
        case _:
            return table_schema(name)


def create_views(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, str]) -> None:
    """Create the views of a store, with comments on them and on their columns. `rows` has a query for each table."""
    connection.execute(";\n".join(_statements(rows)))


def queries(layout: Layout) -> dict[str, str]:
    """Return the query for the rows of each table in a folder."""
    return {
        # DuckDB raises an error if no file matches the pattern
        table: select_files(table, f"{escaped_glob(str(layout.table(table)))}/*/*/*.parquet")
        if _has_files(layout.table(table))
        else _no_rows(table)
        for table in TABLES
    }


def select_files(table: str, glob: str) -> str:
    """Return the query that reads a table from the files that match a pattern."""
    columns = ", ".join(_PARTITION_SQL.get(name, name) for name in table_schema(table).names)
    # All files have the same columns, so DuckDB reads them from the first file. `union_by_name` would open every file.
    # Hive partitioning would also take the folders above the store for columns, and they would win over ours. DuckDB
    # skips the files that a condition on the name excludes.
    return f"SELECT {columns} FROM read_parquet({quoted(glob)}, hive_partitioning = false, filename = true)"


def _statements(rows: Mapping[str, str]) -> Iterator[str]:
    for table, query in rows.items():
        yield f"CREATE VIEW {table} AS {_with_metric_columns(query) if table == 'metrics' else query}"
    yield f"CREATE VIEW quality AS {quality.view_sql()}"
    for view, description in _DESCRIPTIONS.items():
        yield f"COMMENT ON VIEW {view} IS {quoted(description)}"
        for field in view_schema(view):
            text = quoted(field.metadata[b"description"].decode())
            yield f"COMMENT ON COLUMN {view}.{field.name} IS {text}"


def _with_metric_columns(rows: str) -> str:
    sql = {name: f"{value} AS {name}" for name, value in METRIC_COLUMNS.items()}
    columns = ", ".join(sql.get(name, name) for name in _METRICS_VIEW.names)
    return f"SELECT {columns} FROM ({rows})"


def _no_rows(table: str) -> str:
    columns = ", ".join(f"NULL::{_sql_type(field.type)} AS {field.name}" for field in table_schema(table))
    return f"SELECT {columns} WHERE false"


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ"
    return _SQL_TYPES[str(kind)]


_SQL_TYPES = {
    "string": "VARCHAR", "bool": "BOOLEAN", "int32": "INTEGER", "int64": "BIGINT", "double": "DOUBLE",
    "date32[day]": "DATE",
}  # fmt: skip


def _has_files(table: Path) -> bool:
    days = (day for _, app in partitions(table, "app_id") for _, day in partitions(app, "day"))
    return any(map(parquet_names, days))
