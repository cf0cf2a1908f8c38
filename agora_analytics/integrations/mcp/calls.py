"""The tool `list_calls`: calls by time, channel and user, page by page."""

import time
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from agora_analytics.integrations.mcp.arguments import AppId, Since, Until, Vendor, page_text
from agora_analytics.integrations.mcp.cursors import read_cursor, write_cursor
from agora_analytics.integrations.mcp.opened_store import (
    OpenedStore,
    all_of,
    equals,
    matches,
    time_text,
    timestamp,
)
from agora_analytics.integrations.mcp.results import ResultModel, tool_result
from agora_analytics.store.sql_guard import quoted

_KEY = ("start", "vendor", "app_id", "call_id")
_ALL_CALLS = """
    SELECT 'agora' AS vendor, app_id, call_id, cname AS channel, created_ts AS start, destroyed_ts AS "end", finished
    FROM calls
    UNION ALL
    SELECT vendor, app_id, call_id, any_value(channel), min(ts), max(ts), NULL::BOOLEAN
    FROM points WHERE call_id IS NOT NULL GROUP BY vendor, app_id, call_id
"""
_USERS = """
    SELECT 'agora' AS vendor, app_id, call_id, uid AS user_id, account FROM sessions
    UNION ALL
    SELECT DISTINCT vendor, app_id, call_id, user_id, NULL FROM points WHERE user_id IS NOT NULL
"""


class ListedCall(ResultModel):
    """One call."""

    vendor: str
    app_id: str
    call_id: str
    channel: str | None = None
    start: str = Field(description="UTC. OpenTok: time of the first value.")
    end: str = Field(
        description="UTC; of an ongoing call, the latest known time. OpenTok: time of the last value."
    )
    minutes: float = Field(description="From start to end.")
    users: int = Field(description="Users with a session; OpenTok: connections with values.")
    finished: bool | None = Field(default=None, description="False: the call was ongoing when it was stored.")


class CallPage(ResultModel):
    """A page of calls."""

    calls: list[ListedCall] = Field(description="The latest start first.")
    total: int = Field(description="Calls of all pages.")
    next: str | None = Field(
        default=None, description="Pass it as cursor for the next page. Absent on the last page."
    )


def list_calls(
    opened: OpenedStore,
    *,
    since: Since = None,
    until: Until = None,
    channel: Annotated[
        str | None, Field(description="Channel name; `*` stands for any text, such as standup*.")
    ] = None,
    user: Annotated[
        str | None,
        Field(
            coerce_numbers_to_str=True,
            description="Only calls of this user: id, or the name in the application; `*` stands for any text.",
        ),
    ] = None,
    vendor: Vendor = None,
    app_id: AppId = None,
    limit: Annotated[int, Field(ge=1, le=100, description="Calls of a page.")] = 20,
    cursor: Annotated[str | None, Field(description="`next` of the page before.")] = None,
) -> Annotated[CallToolResult, CallPage]:
    """List calls that were active in a time range, by channel or user, the latest first.

    Use it to find the call of a complaint, or all calls of a user. Filters are combined with AND. ApsaraVideo has no calls.
    Example: {"since": "1d", "channel": "standup*"} or {"user": "42", "limit": 5}
    """
    now = time.time()
    of_user = user and (
        f"(vendor, app_id, call_id) IN (SELECT (vendor, app_id, call_id) FROM ({_USERS}) "
        f"WHERE {matches('user_id', user)} OR {matches('account', user)})"
    )
    kept = all_of(
        None if since is None else f'"end" >= {timestamp(since, "since", now=now)}',
        None if until is None else f"start < {timestamp(until, 'until', now=now)}",
        matches("channel", channel),
        equals("vendor", vendor),
        equals("app_id", app_id),
        of_user,
    )
    after = "true" if cursor is None else _after(cursor)
    rows = opened.rows(f"""
        WITH found AS (SELECT * FROM ({_ALL_CALLS}) WHERE {kept}),
        page AS (SELECT * FROM found WHERE {after} ORDER BY start DESC, vendor, app_id, call_id LIMIT {limit + 1}),
        counted AS (
            SELECT vendor, app_id, call_id, count(DISTINCT user_id) AS users FROM ({_USERS})
            WHERE (vendor, app_id, call_id) IN (SELECT (vendor, app_id, call_id) FROM page) GROUP BY ALL
        )
        SELECT page.*, epoch_us(start) AS start_us, coalesce(users, 0) AS users, (SELECT count(*) FROM found) AS total
        FROM page LEFT JOIN counted USING (vendor, app_id, call_id) ORDER BY start DESC, vendor, app_id, call_id
    """)
    total = (
        rows[0]["total"]
        if rows
        else opened.rows(f"SELECT count(*) AS n FROM ({_ALL_CALLS}) WHERE {kept}")[0]["n"]
    )
    shown = rows[:limit]
    result = CallPage(
        calls=[_call(row) for row in shown],
        total=total,
        next=write_cursor([shown[-1]["start_us"], *(shown[-1][name] for name in _KEY[1:])])
        if len(rows) > limit
        else None,
    )
    text = page_text(len(shown), total, "calls", is_last=result.next is None)
    return tool_result(result, text)


def _call(row: dict[str, Any]) -> ListedCall:
    values = {name: row[name] for name in ("vendor", "app_id", "call_id", "channel", "users", "finished")}
    seconds = (row["end"] - row["start"]).total_seconds()
    times = {name: time_text(row[name]) for name in ("start", "end")}
    return ListedCall.model_validate(values | times | {"minutes": round(seconds / 60, 1)})


def _after(cursor: str) -> str:
    """Return the condition that a row is after the last one of a page."""
    start, *names = read_cursor(cursor, (int, str, str, str))
    start_sql = f"make_timestamptz({start})"
    later = ", ".join(quoted(str(name)) for name in names)
    return f"(start < {start_sql} OR (start = {start_sql} AND (vendor, app_id, call_id) > ({later})))"
