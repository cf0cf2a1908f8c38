"""The tool `schema`: tables, views, columns and metrics."""

from collections.abc import Iterator
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest
from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.integrations.mcp.results import ResultModel, tool_result

_ABOUT = {
    "calls": "One row for each Agora call.",
    "sessions": "One row for each session of Agora: one user in one call, from joining to leaving.",
    "metrics": "One row for each sample of Agora, in the vendor's units (loss in %). Prefer quality.",
    "points": "One row for each value of OpenTok, ApsaraVideo, or Data Insights of Agora.",
    "quality": "The samples of all vendors with common names and units. Use it for metrics.",
    "quality_hours": "quality, aggregated: one row for each series and hour. Fast over many days: sum(value_sum) / sum(measured) is the mean.",
    "quality_histogram": "quality in buckets, for quantiles: one row for each metric, hour and bucket.",
    "interval_scores": "One row for each interval of a received stream, with its score.",
    "stream_scores": "One row for each received stream: the mean score and the worst 30 seconds.",
    "score_hours": "Scores, aggregated: one row for each received stream and hour.",
}
_OTHER_METRICS = 60


class SchemaColumn(ResultModel):
    """One column."""

    name: str
    type: str = Field(description="Arrow type. timestamp: UTC.")
    about: str


class SchemaTable(ResultModel):
    """One table or view."""

    name: str
    about: str
    columns: list[SchemaColumn] | list[str] = Field(description="Names only, unless a table was named.")


class StoredMetric(ResultModel):
    """One metric of the view quality."""

    name: str
    unit: str = Field(description="ratio: 0 to 1. Empty: not documented.")
    about: str | None = None
    vendors: list[str]
    rows: int


class StoreSchema(ResultModel):
    """Tables and metrics."""

    tables: list[SchemaTable]
    metrics: list[StoredMetric] | None = Field(
        default=None, description="The metrics of quality that the store has, the most frequent first."
    )


def schema(
    opened: OpenedStore,
    *,
    table: Annotated[
        str | None, Field(description="Describe the columns of this table; quality also lists all metrics.")
    ] = None,
) -> Annotated[CallToolResult, StoreSchema]:
    """List the tables and views for sql, or the columns of one of them with their units.

    Call it before sql. With table=quality, it also lists the metrics that the store has.
    Example: {} or {"table": "quality"}
    """
    known = opened.store.tables
    if table is None:
        tables = [
            SchemaTable(name=name, about=_ABOUT.get(name, ""), columns=list(columns.names))
            for name, columns in known.items()
        ]
        return tool_result(StoreSchema(tables=tables), f"{len(tables)} tables and views.")
    if table not in known:
        advice = did_you_mean(table, known) or f"; use {', '.join(known)}"
        raise InvalidRequest(f"there is no such table{advice}")
    described = SchemaTable(name=table, about=_ABOUT.get(table, ""), columns=list(_columns(opened, table)))
    metrics = _metrics(opened) if table == "quality" else None
    return tool_result(StoreSchema(tables=[described], metrics=metrics), f"{len(described.columns)} columns.")


def schema_text(opened: OpenedStore) -> str:
    """Return all tables with all columns as Markdown, for a resource."""
    lines = ["# Tables and views", "", "DuckDB SQL. All times are UTC."]
    for name in opened.store.tables:
        lines += ["", f"## {name}", "", _ABOUT.get(name, ""), ""]
        lines += [f"- `{each.name}` ({each.type}): {each.about}" for each in _columns(opened, name)]
    return "\n".join(lines) + "\n"


def metrics_text() -> str:
    """Return the common metrics as Markdown, for a resource."""
    lines = [
        "# Metrics of the view quality",
        "",
        "Loss and freeze rates are ratios, 0 to 1. Delays are in ms. Metrics without a common name keep the vendor's.",
        "",
    ]
    lines += [f"- `{name}` ({unit}): {about}" for name, (unit, about) in COMMON_METRICS.items()]
    return "\n".join(lines) + "\n"


def _columns(opened: OpenedStore, table: str) -> Iterator[SchemaColumn]:
    for each in opened.store.tables[table]:
        about = (each.metadata or {}).get(b"description", b"").decode()
        yield SchemaColumn(name=each.name, type=str(each.type), about=about)


def _metrics(opened: OpenedStore) -> list[StoredMetric]:
    rows = opened.rows(f"""
        SELECT metric AS name, max(unit) AS unit, list_sort(list(DISTINCT vendor)) AS vendors, count(*) AS rows
        FROM quality GROUP BY metric ORDER BY rows DESC, name LIMIT {len(COMMON_METRICS) + _OTHER_METRICS}
    """)
    return [StoredMetric(**row, about=COMMON_METRICS.get(row["name"], (None, None))[1]) for row in rows]
