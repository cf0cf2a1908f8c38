"""The views `quality_hours` and `quality_histogram`: from roll-ups where these are valid, else from the samples.

Both come from the same SQL, so a query returns the same rows with and without roll-ups.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import duckdb

from agora_analytics.schemas import QUALITY_HISTOGRAM, QUALITY_HOURS, VIEWS
from agora_analytics.store.layout import SUFFIX, Layout
from agora_analytics.store.quality import agora_freeze_rates
from agora_analytics.store.rollups.aggregates import (
    POINTS,
    bucket_value_sql,
    freeze_rate_hours_sql,
    histogram_sql,
)
from agora_analytics.store.rollups.files import (
    METRICS_HISTOGRAM,
    METRICS_HOURS,
    POINTS_HISTOGRAM,
    POINTS_HOURS,
    ROLLUPS,
    Rollup,
    RollupDay,
    rollup_days,
)
from agora_analytics.store.rollups.thresholds import COLUMNS, seconds_beyond_sql
from agora_analytics.store.sql_guard import escaped_glob, quoted
from agora_analytics.store.views import PARTITION_SQL, comment_statements, no_rows, read_parquet, select_files

_MAY_USE_ROLLUPS = re.compile(r"quality_h|duckdb_|information_schema|pg_|sqlite_|\bshow\b", re.IGNORECASE)
_DESCRIPTIONS = {
    "quality_hours": "Aggregates of the values of `quality`, one row for each series and hour.",
    "quality_histogram": "Histograms of the values of `quality`, one row for each metric, hour and bucket.",
}


def may_use_rollups(text: str) -> bool:
    """Return whether a query may use the views: it contains a name of them, or reads the catalog.

    Only then are they created, because that lists every day, and DuckDB binds a view when it is created.
    """
    return _MAY_USE_ROLLUPS.search(text) is not None


def queries(layout: Layout, *, use_files: bool = True) -> dict[str, str]:
    """Return the query for the rows of each roll-up in a folder; no text if its table is empty.

    Args:
        layout: of the store.
        use_files: read the files of the roll-ups, where they are valid; False: aggregate all samples.
    """
    return {rollup.name: _query(layout, rollup, use_files) for rollup in ROLLUPS}


def scan_queries(tables: Mapping[str, str]) -> dict[str, str]:
    """Return the query for the rows of each roll-up from the query of each table, without files of roll-ups."""
    return {rollup.name: _selected(rollup, f"({rollup.sql(tables)})") for rollup in ROLLUPS}


def create_views(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, str]) -> None:
    """Create the views on a connection that has the views of the tables. `rows` has a query for each roll-up."""
    statements = [f"CREATE VIEW quality_hours AS {_hours(rows)}"]
    statements += [f"CREATE VIEW quality_histogram AS {_histogram(rows)}"]
    for view, description in _DESCRIPTIONS.items():
        statements += comment_statements(view, description, VIEWS[view])
    connection.execute(";\n".join(statements))


def _query(layout: Layout, rollup: Rollup, use_files: bool) -> str:
    files: list[str] = []
    scanned: defaultdict[str, list[RollupDay]] = defaultdict(list)
    for day in rollup_days(layout, rollup):
        if use_files and (file := day.valid_file()):
            files.append(escaped_glob(str(file)))
        else:
            scanned[day.day].append(day)
    # One query for each day: a condition on `day` excludes the others, and one day needs less memory than all.
    parts = [
        f"SELECT * REPLACE ({quoted(day)}::DATE AS day) FROM ({_scan(rollup, apps)})"
        for day, apps in sorted(scanned.items())
    ]
    if files:
        columns = ", ".join(PARTITION_SQL.get(name, name) for name in rollup.columns)
        parts.append(f"SELECT {columns} FROM {read_parquet(*files)}")
    return " UNION ALL ".join(parts)


def _scan(rollup: Rollup, apps: Sequence[RollupDay]) -> str:
    """Return the query for the rows of a roll-up for one day of some apps, from the samples."""
    rows = {}
    for table in rollup.tables:
        globs = [f"{escaped_glob(str(app.data(table)))}/*{SUFFIX}" for app in apps if table in app.files]
        rows[table] = select_files(table, *globs) if globs else no_rows(table)
    return _selected(rollup, f"({rollup.sql(rows)})")


def _selected(rollup: Rollup, rows: str) -> str:
    return f"SELECT {', '.join(rollup.columns)} FROM {rows}"


def _hours(rows: Mapping[str, str]) -> str:
    parts = [rows[METRICS_HOURS.name], rows[POINTS_HOURS.name], freeze_rate_hours_sql()]
    sql = {
        "hour": "to_timestamp(hour * 3600) AS hour",
        "samples": "samples::BIGINT AS samples",
        "measured": "(samples - unmeasured)::BIGINT AS measured",
        "value_sum": "(sum_units::DECIMAL(28, 0) + sum_rest * 0.00000001)::DECIMAL(38, 8) AS value_sum",
        "seconds": "(ms * 0.001)::DECIMAL(18, 3) AS seconds",
        "seconds_beyond": f"({seconds_beyond_sql()} * 0.001)::DECIMAL(18, 3) AS seconds_beyond",
        **{name: f"({name} * 0.001)::DECIMAL(18, 3) AS {name}" for name in COLUMNS},
    }
    columns = ", ".join(sql.get(name, name) for name in QUALITY_HOURS.names)
    return f"SELECT {columns} FROM ({_union(parts)})"


def _histogram(rows: Mapping[str, str]) -> str:
    rates = histogram_sql(POINTS, {"points": agora_freeze_rates()})
    parts = [rows[METRICS_HISTOGRAM.name], rows[POINTS_HISTOGRAM.name], rates]
    sql = {
        "hour": "to_timestamp(hour * 3600) AS hour",
        "value": f"{bucket_value_sql('bucket')} AS value",
        "samples": "samples::BIGINT AS samples",
    }
    columns = ", ".join(sql.get(name, name) for name in QUALITY_HISTOGRAM.names)
    return f"SELECT {columns} FROM ({_union(parts)})"


def _union(queries: Iterable[str]) -> str:
    # a branch without rows takes as long to plan as the others
    return " UNION ALL ".join(filter(None, queries))
