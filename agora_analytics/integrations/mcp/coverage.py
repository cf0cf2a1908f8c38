"""The tool `coverage`: which vendors, apps and days the store has."""

import time
from itertools import islice
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.instants import DAY, epoch_seconds, iso, utc_day
from agora_analytics.integrations.mcp.arguments import AppId, Since, Until
from agora_analytics.integrations.mcp.opened_store import OpenedStore, time_text
from agora_analytics.integrations.mcp.results import ResultModel, tool_result

_MOST_DAYS = 62
_MOST_METRICS = 40

_SOURCES = f"""
    SELECT 'agora' AS vendor, app_id, 'calls' AS kind, min(created_ts) AS first, max(destroyed_ts) AS last,
        count(*) AS calls, NULL::VARCHAR[] AS metrics
    FROM calls GROUP BY app_id
    UNION ALL
    SELECT vendor, app_id, 'points', min(ts), max(ts), count(DISTINCT call_id),
        list_sort(list(DISTINCT metric))[:{_MOST_METRICS}]
    FROM points GROUP BY vendor, app_id
    ORDER BY vendor, app_id, kind
"""


class StoredSource(ResultModel):
    """What the store has of one app of one vendor."""

    vendor: str = Field(description="agora, opentok or apsaravideo.")
    app_id: str
    kind: str = Field(
        description="calls: calls, sessions and samples of Agora. points: values of OpenTok, ApsaraVideo, or Data Insights of Agora."
    )
    first: str | None = Field(default=None, description="Earliest time of the data, UTC.")
    last: str | None = Field(
        default=None, description="Latest time of the data, UTC. Nothing is known after it."
    )
    calls: int = Field(description="Calls, or OpenTok meetings; 0 if there are only values of the whole app.")
    metrics: list[str] | None = Field(default=None, description="Metrics of points, at most 40.")


class StoredDay(ResultModel):
    """One UTC day of one app."""

    app_id: str
    day: str
    calls: int | None = Field(
        default=None, description="Agora calls that began on the day. Absent for apps of other vendors."
    )
    complete: bool = Field(description="Whether nothing that was listed is still to be fetched.")
    ongoing: int = Field(description="Calls that had not ended when they were fetched.")
    pending: int = Field(description="Units of work that are not in the tables yet.")


class Coverage(ResultModel):
    """What the store has."""

    now: str = Field(description="The present time, to which 6h, today and now refer.")
    sources: list[StoredSource]
    days: list[StoredDay] = Field(description="Days with data, the latest first.")
    days_without_data: list[str] = Field(
        description="UTC days of the time range (default: from the first to the last shown day) on which no selected app has "
        "data: not harvested, or no calls."
    )
    more_days: int = Field(default=0, description="Earlier days that are not shown; use since and until.")


def coverage(
    opened: OpenedStore, *, since: Since = None, until: Until = None, app_id: AppId = None
) -> Annotated[CallToolResult, Coverage]:
    """List the vendors, apps and days that the store has, and the days that are incomplete or have no data.

    Call this first. A day without data was not harvested or had no calls, so do not conclude that there were no problems.
    Example: {} or {"since": "2026-11-01", "until": "2026-11-08"}
    """
    now = time.time()
    first = None if since is None else utc_day(epoch_seconds(since, now=now, name="since"))
    last = None if until is None else utc_day(epoch_seconds(until, now=now, name="until") - 1)
    sources = [row for row in opened.rows(_SOURCES) if app_id in (None, row["app_id"])]
    of_agora = {row["app_id"] for row in sources if row["kind"] == "calls"}
    days = [
        StoredDay(
            **row
            | {"day": row["day"].isoformat(), "calls": row["calls"] if row["app_id"] in of_agora else None}
        )
        for row in opened.store.completeness().to_pylist()
        if app_id in (None, row["app_id"])
    ]
    days = [each for each in days if (first or "") <= each.day <= (last or "9999")]
    days.sort(key=lambda each: (each.day, each.app_id), reverse=True)
    shown = days[:_MOST_DAYS]
    result = Coverage(
        now=iso(now),
        sources=[
            StoredSource(**row | {"first": time_text(row["first"]), "last": time_text(row["last"])})
            for row in sources
        ],
        days=shown,
        days_without_data=_days_without_data({each.day for each in shown}, first, last),
        more_days=len(days) - len(shown),
    )
    return tool_result(result, _summary(result))


def _days_without_data(days: set[str], first: str | None, last: str | None) -> list[str]:
    """Return the days of a time range that are missing, at most `_MOST_DAYS`."""
    first, last = first or min(days, default=""), last or max(days, default="")
    if not first or not last:
        return []
    begin, end = (int(epoch_seconds(day, now=0)) for day in (first, last))
    missing = (day for second in range(begin, end + DAY, DAY) if (day := utc_day(second)) not in days)
    return list(islice(missing, _MOST_DAYS))


def _summary(result: Coverage) -> str:
    if not result.sources:
        return "The store has no data of this selection."
    incomplete = sum(not each.complete for each in result.days)
    text = f"{len(result.days)} days with data, counted for each app; {incomplete} of them are incomplete."
    if result.days_without_data:
        text += f" {len(result.days_without_data)} days have no data."
    return text + (f" {result.more_days} earlier days are not shown." if result.more_days else "")
