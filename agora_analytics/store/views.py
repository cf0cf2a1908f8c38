"""The views of a store's SQL: `calls`, `sessions`, `metrics` and `points` over its files, and those over these views."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.schemas import METRIC_NAMES, TABLES, VIEWS, table_schema
from agora_analytics.store import quality, score_views
from agora_analytics.store.layout import Layout, parquet_names, partitions
from agora_analytics.store.quality import UNNAMED_METRIC, lookup
from agora_analytics.store.sql_guard import escaped_glob, quoted

PARTITION_SQL = {
    "app_id": "url_decode(substr(parse_path(filename)[-3], 8)) AS app_id",
    "day": "substr(parse_path(filename)[-2], 5)::DATE AS day",
}
"""The columns of the folder names, as SQL over the name of a file."""

DESCRIPTIONS: Mapping[str, str] = {
    "calls": "One row for each call.",
    "sessions": "One row for each session: one user in one call, from joining to leaving.",
    "metrics": "One row for each sample of a metric of Agora, as the vendor sent it.",
    "points": "One row for each value of OpenTok, ApsaraVideo, or Data Insights of Agora.",
    "quality": "The metrics of all vendors with common names and units.",
    "interval_scores": "One row for each interval of a received stream, with its score.",
    "stream_scores": "One row for each received stream: the mean score and the worst 30 seconds.",
}
"""The comments on the views."""

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
    if name == "metrics":
        return _METRICS_VIEW
    return VIEWS[name] if name in VIEWS else table_schema(name)


def create_views(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, str], text: str) -> None:
    """Create the views that a query may use.

    Args:
        connection: of the query.
        rows: a query for each table.
        text: the query. The views of scores are created only if it contains one of their names, or reads the catalog,
            because DuckDB binds a view when it is created, which takes 30 ms for these two. Only a query that reads the
            catalog sees comments on the views and on their columns, which take another 15 ms.
    """
    names = list(DESCRIPTIONS)
    if not _SCORES.search(text) and not reads_catalog(text):
        names = [name for name in names if name not in score_views.VIEWS]
    statements = [f"CREATE VIEW {view} AS {view_sql(view, rows)}" for view in names]
    if reads_catalog(text):
        statements += [
            each for view in names for each in comment_statements(view, DESCRIPTIONS[view], view_schema(view))
        ]
    connection.execute(";\n".join(statements))


def reads_catalog(text: str) -> bool:
    """Return whether a query may read the catalog of DuckDB, such as the comments on views and columns."""
    return bool(_CATALOG.search(text))


def queries(layout: Layout) -> dict[str, str]:
    """Return the query for the rows of each table in a folder."""
    return {
        # DuckDB raises an error if no file matches the pattern
        table: select_files(table, f"{escaped_glob(str(layout.table(table)))}/*/*/*.parquet")
        if _has_files(layout.table(table))
        else no_rows(table)
        for table in TABLES
    }


def select_files(table: str, *globs: str) -> str:
    """Return the query that reads a table from the files that match one of some patterns."""
    columns = ", ".join(PARTITION_SQL.get(name, name) for name in table_schema(table).names)
    # All files have the same columns, so DuckDB reads them from the first file. `union_by_name` would open every file.
    # Hive partitioning would also take the folders above the store for columns, and they would win over ours. DuckDB
    # skips the files that a condition on the name excludes.
    return f"SELECT {columns} FROM {read_parquet(*globs)}"


def read_parquet(*globs: str) -> str:
    """Return the SQL that reads files with their names."""
    files = ", ".join(map(quoted, globs))
    return f"read_parquet([{files}], hive_partitioning = false, filename = true)"


_CATALOG = re.compile(r"duckdb_|information_schema|pg_|sqlite_|_description|\bshow\b", re.IGNORECASE)
_SCORES = re.compile("_scores", re.IGNORECASE)


def comment_statements(view: str, description: str, schema: pa.Schema) -> Iterator[str]:
    """Yield the statements that set the comments on a view and its columns."""
    yield f"COMMENT ON VIEW {view} IS {quoted(description)}"
    for field in schema:
        text = quoted(field.metadata[b"description"].decode())
        yield f"COMMENT ON COLUMN {view}.{field.name} IS {text}"


def view_sql(view: str, rows: Mapping[str, str]) -> str:
    """Return the query of a view. `rows` has a query for each table; the views over them name the tables."""
    match view:
        case "metrics":
            return _with_metric_columns(rows["metrics"])
        case "quality":
            return quality.view_sql()
        case "interval_scores":
            return score_views.interval_scores_sql()
        case "stream_scores":
            return score_views.stream_scores_sql()
        case _:
            return rows[view]


def _with_metric_columns(rows: str) -> str:
    sql = {name: f"{value} AS {name}" for name, value in METRIC_COLUMNS.items()}
    columns = ", ".join(sql.get(name, name) for name in _METRICS_VIEW.names)
    return f"SELECT {columns} FROM ({rows})"


def no_rows(table: str) -> str:
    """Return a query with the columns of a table and no rows."""
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
