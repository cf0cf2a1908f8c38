"""The tool `sql`: a query in the sandbox, with limits."""

from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any

import duckdb
import pyarrow as pa
from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.core.record import json_text
from agora_analytics.errors import InvalidRequest
from agora_analytics.integrations.mcp.opened_store import OpenedStore, time_text
from agora_analytics.integrations.mcp.results import ResultModel, tool_result, visible_values
from agora_analytics.store.stream import fetch

MOST_BYTES = 40_000
"""The most bytes of the rows as JSON, which every model can read at once."""


class QueryColumn(ResultModel):
    """One column of a result."""

    name: str
    type: str = Field(description="Type of DuckDB.")


class QueriedRows(ResultModel):
    """Rows of a query."""

    columns: list[QueryColumn]
    rows: list[list[Any]] = Field(description="Values in the order of the columns. Times are UTC.")
    cut: str | None = Field(
        default=None, description="What is missing from the result, and how to get it. Absent: nothing."
    )


def sql(
    opened: OpenedStore,
    *,
    query: Annotated[
        str,
        Field(
            description="One statement that reads: SELECT, WITH, DESCRIBE, SUMMARIZE or EXPLAIN, in DuckDB's SQL."
        ),
    ],
    limit: Annotated[int, Field(ge=1, le=1000, description="Most rows of the result.")] = 100,
) -> Annotated[CallToolResult, QueriedRows]:
    """Run a SQL query (DuckDB) over the store. It can only read, and only the store.

    Call schema first for tables and columns. Use the view quality for metrics of all vendors, and filter by day, which
    skips files. Aggregate in SQL instead of fetching samples: at most 1000 rows and 40 kB are returned.
    Example: {"query": "select network, avg(value) as loss from quality join sessions on session_id = sid where metric = 'video_packet_loss_received' and quality.day = '2026-11-20' group by network order by loss desc"}
    """

    def read(relation: duckdb.DuckDBPyRelation) -> tuple[list[str], pa.Table]:
        types = [str(each) for each in relation.types]
        return types, relation.limit(limit + 1).to_arrow_table()

    try:
        types, table = fetch(opened.store, query, read, [])
        rows = [list(row) for row in zip(*(_values(column) for column in table.columns), strict=True)]
    except InvalidRequest as problem:
        # Its advice is for the command line.
        raise InvalidRequest(str(problem).partition("; name the folder with allow")[0]) from problem
    except (OverflowError, ValueError) as problem:
        raise InvalidRequest(
            f"a value cannot be converted: {problem}; cast its column to VARCHAR"
        ) from problem
    kept = _within_bytes(rows[:limit])
    columns = [
        QueryColumn(name=name, type=kind) for name, kind in zip(table.column_names, types, strict=True)
    ]
    result = QueriedRows(columns=columns, rows=kept, cut=_cut(len(kept), len(rows), limit))
    return tool_result(result, result.cut or f"All rows: {len(kept):,}.")


def _values(column: pa.ChunkedArray) -> list[Any]:
    return [_json(value) for value in column.to_pylist()]


def _json(value: Any) -> Any:
    """Return a value of a query as JSON types."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case Decimal():
            return float(value)
        case datetime() if value.tzinfo is not None:
            return time_text(value)
        case date():
            return value.isoformat()
        case bytes():
            return f"{len(value):,} bytes"
        case dict():
            return {str(name): _json(each) for name, each in value.items()}
        case list() | tuple():
            return [_json(each) for each in value]
        case _:
            return str(value)


def _within_bytes(rows: list[list[Any]]) -> list[list[Any]]:
    left = MOST_BYTES
    for place, row in enumerate(rows):
        left -= len(json_text(visible_values(row)).encode("utf-8", "replace")) + 1
        if left < 0:
            return rows[:place]
    return rows


def _cut(kept: int, found: int, limit: int) -> str | None:
    if kept < min(found, limit):
        return (
            f"Only the first {kept:,} rows fit into {MOST_BYTES:,} bytes; select fewer columns, or aggregate."
        )
    if found > limit:
        return f"More than {limit:,} rows; these are the first. Aggregate, or raise limit (at most 1,000)."
    return None
