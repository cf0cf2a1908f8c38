"""The tool `coverage`: which vendors, apps and days the store has."""

import time
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
    calls: int = Field(description="Agora calls that began on the day.")
    complete: bool = Field(description="Whether nothing that was listed is still to be fetched.")
    ongoing: int = Field(description="Calls that had not ended when they were fetched.")
    pending: int = Field(description="Units of work that are not in the tables yet.")


class Coverage(ResultModel):
    """What the store has."""

    now: str = Field(description="The present time, to which 6h, today and now refer.")
    sources: list[StoredSource]
    days: list[StoredDay] = Field(description="Days with data, the latest first.")
    days_without_data: list[str] = Field(
        description="UTC days between the first and the last shown day without any data: not harvested, or no calls."
    )
    more_days: int = Field(default=0, description="Earlier days that are not shown; use since and until.")


def coverage(
    opened: OpenedStore, *, since: Since = None, until: Until = None, app_id: AppId = None
) -> Annotated[CallToolResult, Coverage]:
    """Say which vendors, apps and days the store has, and which days are incomplete.

    Call this first. A day that is not listed has no data here: it was not harvested, or had no calls, so do not conclude
    that there were no problems.
    Example: {} or {"since": "2026-11-01", "until": "2026-11-08"}
    """
    now = time.time()
    first = "" if since is None else utc_day(epoch_seconds(since, now=now, name="since"))
    last = "9999" if until is None else utc_day(epoch_seconds(until, now=now, name="until") - 1)
    days = [
        StoredDay(**row | {"day": row["day"].isoformat()})
        for row in opened.store.completeness().to_pylist()
        if first <= row["day"].isoformat() <= last and app_id in (None, row["app_id"])
    ]
    days.sort(key=lambda each: (each.day, each.app_id), reverse=True)
    shown = days[:_MOST_DAYS]
    sources = [
        StoredSource(**row | {"first": time_text(row["first"]), "last": time_text(row["last"])})
        for row in opened.rows(_SOURCES)
        if app_id in (None, row["app_id"])
    ]
    result = Coverage(
        now=iso(now),
        sources=sources,
        days=shown,
        days_without_data=_gaps([each.day for each in shown]),
        more_days=len(days) - len(shown),
    )
    return tool_result(result, _summary(result))


def _gaps(days: list[str]) -> list[str]:
    """Return the days between the first and the last day that are missing."""
    if not days:
        return []
    first, last = (int(epoch_seconds(day, now=0)) for day in (min(days), max(days)))
    return [day for second in range(first, last, DAY) if (day := utc_day(second)) not in days]


def _summary(result: Coverage) -> str:
    if not result.sources:
        return "The store has no data for this selection."
    incomplete = sum(not each.complete for each in result.days)
    text = f"{len(result.days)} days of apps with data, {incomplete} of them incomplete."
    if result.days_without_data:
        text += f" {len(result.days_without_data)} days in between have no data."
    return text + (f" {result.more_days} earlier days are not shown." if result.more_days else "")
