"""The views of roll-ups: from their files where these are valid, else from the samples.

Both come from the same SQL, so a query returns the same rows with and without roll-ups.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import duckdb
import pyarrow as pa

from agora_analytics.schemas import QUALITY_HISTOGRAM, QUALITY_HOURS, SCORE_HOURS, VIEWS
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
    METRICS_SCORES,
    POINTS_HISTOGRAM,
    POINTS_HOURS,
    POINTS_SCORES,
    Rollup,
    RollupDay,
    rollup_days,
)
from agora_analytics.store.rollups.score_hours import SCORE_DIGITS
from agora_analytics.store.rollups.thresholds import COLUMNS, seconds_beyond_sql
from agora_analytics.store.sql_guard import escaped_glob, quoted
from agora_analytics.store.views import (
    PARTITION_SQL,
    comment_statements,
    no_rows,
    read_parquet,
    reads_catalog,
    select_files,
)

_ROLLUPS: Mapping[str, tuple[Rollup, Rollup]] = {
    "quality_hours": (METRICS_HOURS, POINTS_HOURS),
    "quality_histogram": (METRICS_HISTOGRAM, POINTS_HISTOGRAM),
    "score_hours": (METRICS_SCORES, POINTS_SCORES),
}
DESCRIPTIONS = {
    "quality_hours": "Aggregates of the values of `quality`, one row for each series and hour.",
    "quality_histogram": "Histograms of the values of `quality`, one row for each metric, hour and bucket.",
    "score_hours": "Scores of the intervals of `interval_scores`, one row for each received stream and hour.",
}
"""The comments on the views."""


def used_views(text: str) -> list[str]:
    """Return the views that a query may use: those whose name it contains, or all if it reads the catalog.

    Only these are created, because that lists every day, and DuckDB binds a view when it is created.
    """
    lowered = text.lower()
    return [view for view in _ROLLUPS if view in lowered or reads_catalog(text)]


def queries(layout: Layout, views: Iterable[str], *, use_files: bool = True) -> dict[str, str]:
    """Return the query for the rows of each roll-up of some views; no text if its table is empty.

    Args:
        layout: of the store.
        views: the names of the views.
        use_files: read the files of the roll-ups, where they are valid; False: aggregate all samples.
    """
    return {rollup.name: _query(layout, rollup, use_files) for view in views for rollup in _ROLLUPS[view]}


def scan_queries(tables: Mapping[str, str], views: Iterable[str]) -> dict[str, str]:
    """Return the query for the rows of each roll-up of some views from the query of each table, without files."""
    return {
        rollup.name: _selected(
            rollup,
            f"({(rollup.sql_of_days or rollup.sql)({table: tables[table] for table in rollup.tables})})",
        )
        for view in views
        for rollup in _ROLLUPS[view]
    }


def create_views(
    connection: duckdb.DuckDBPyConnection, views: Iterable[str], rows: Mapping[str, str], text: str
) -> None:
    """Create the views that a query uses on a connection that has the views of the tables.

    Args:
        connection: of the query.
        views: their names.
        rows: a query for each roll-up.
        text: the query. The views and their columns have comments only if it reads the catalog.
    """
    statements: list[str] = []
    for view in views:
        statements += [f"CREATE VIEW {view} AS {view_sql(view, rows)}"]
        if reads_catalog(text):
            statements += comment_statements(view, DESCRIPTIONS[view], VIEWS[view])
    connection.execute(";\n".join(statements))


def view_sql(view: str, rows: Mapping[str, str]) -> str:
    """Return the query of a view over the tables. `rows` has a query for each roll-up."""
    return _VIEWS[view]([rows[rollup.name] for rollup in _ROLLUPS[view]])


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


def _hours(parts: Sequence[str]) -> str:
    sql = {
        "hour": _HOUR,
        "samples": "samples::BIGINT AS samples",
        "measured": "(samples - unmeasured)::BIGINT AS measured",
        "value_sum": "(sum_units::DECIMAL(28, 0) + sum_rest * 0.00000001)::DECIMAL(38, 8) AS value_sum",
        "seconds": f"{_seconds('ms')} AS seconds",
        "seconds_beyond": f"{_seconds(seconds_beyond_sql())} AS seconds_beyond",
        **{name: f"{_seconds(name)} AS {name}" for name in COLUMNS},
    }
    return _select(QUALITY_HOURS, sql, [*parts, freeze_rate_hours_sql()])


def _histogram(parts: Sequence[str]) -> str:
    rates = histogram_sql(POINTS, {"points": agora_freeze_rates()})
    sql = {
        "hour": _HOUR,
        "value": f"{bucket_value_sql('bucket')} AS value",
        "samples": "samples::BIGINT AS samples",
    }
    return _select(QUALITY_HISTOGRAM, sql, [*parts, rates])


def _scores(parts: Sequence[str]) -> str:
    sql = {
        "hour": _HOUR,
        "intervals": "intervals::BIGINT AS intervals",
        "seconds": f"{_seconds('ms')} AS seconds",
        "seconds_without_score": f"{_seconds('ms_without_score')} AS seconds_without_score",
        "score_sum": "(sum_units::DECIMAL(28, 0) * 0.000001 + sum_rest * 0.000000001)::DECIMAL(38, 9) AS score_sum",
        "worst_window": f"worst / 1{'0' * SCORE_DIGITS} AS worst_window",
        "worst_window_ts": "to_timestamp(hour::BIGINT * 3600 + worst_second + worst_rest / 1000) AS worst_window_ts",
    }
    if not any(parts):
        parts = [_selected(METRICS_SCORES, f"({METRICS_SCORES.sql(_NO_SAMPLES)})")]
    return _select(SCORE_HOURS, sql, parts)


_VIEWS: Mapping[str, Callable[[Sequence[str]], str]] = {
    "quality_hours": _hours,
    "quality_histogram": _histogram,
    "score_hours": _scores,
}
_HOUR = "to_timestamp(hour * 3600) AS hour"
_NO_SAMPLES = {table: no_rows(table) for table in METRICS_SCORES.tables}


def _seconds(ms: str) -> str:
    return f"({ms} * 0.001)::DECIMAL(18, 3)"


def _select(schema: pa.Schema, sql: Mapping[str, str], parts: Sequence[str]) -> str:
    columns = ", ".join(sql.get(name, name) for name in schema.names)
    # A branch without rows takes as long to plan as the others.
    return f"SELECT {columns} FROM ({' UNION ALL '.join(filter(None, parts))})"
