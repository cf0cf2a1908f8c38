"""The values of a rule from a store: one for each minute and group."""

from typing import TYPE_CHECKING

from agora_analytics.alerts.conditions import AlertValue
from agora_analytics.alerts.rules import AlertRule
from agora_analytics.core.windows import Window
from agora_analytics.insight.call_metrics import CallMetric, agora_ids, call_metric
from agora_analytics.insight.call_sums_sql import SESSION_COLUMNS
from agora_analytics.instants import utc_day
from agora_analytics.scoring.samples import seconds_sql
from agora_analytics.store.sql_guard import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

STORE_WINDOW = 60
"""Seconds of a window: OpenTok sends a value every 30 s, Agora every 2 to 6 s."""


def store_values(fetch: "Callable[[str], pa.Table]", rule: AlertRule, window: Window) -> list[AlertValue]:
    """Return the values of a rule in the minutes of a time range, in the order of time.

    The value of a minute is the mean over all samples of a group, weighted by the seconds that they cover; a freeze rate is
    the frozen share of those seconds. A sample counts in the minute in which its interval ends. A minute without samples
    has no value. Samples without the id of a user do not count as users.

    Args:
        fetch: runs a query over the store, as `store.stream.reader` returns it.
        rule: a rule that stores have values for.
        window: the range in epoch seconds.
    """
    metric = call_metric(rule.metric)
    day = _first_day(fetch, window)
    if day is None:
        return []
    rows = fetch(_values_sql(rule, metric, window, f"day BETWEEN '{day}' AND '{utc_day(window.end)}'"))
    return [
        AlertValue(start=row["start"], end=row["start"] + STORE_WINDOW, group=row["group_name"], value=row["value"], users=row["users"])
        for row in rows.to_pylist()
    ]  # fmt: skip


def data_end(fetch: "Callable[[str], pa.Table]", window: Window) -> float:
    """Return the time up to which a store has data in a time range, in epoch seconds: the end of the last call."""
    day = f"day <= '{utc_day(window.end)}'"
    table = fetch(f"""
        SELECT epoch(max(ts)) AS ts FROM (
            SELECT destroyed_ts AS ts FROM calls WHERE {day}
            UNION ALL SELECT ts::TIMESTAMPTZ FROM points WHERE call_id IS NOT NULL AND {day}
        )""")
    return float(min(table["ts"][0].as_py() or window.start, window.end))


def _first_day(fetch: "Callable[[str], pa.Table]", window: Window) -> str | None:
    """Return the day of the oldest call with data in the range: a call is stored under the day on which it began."""
    since = f"to_timestamp({window.start})"
    table = fetch(f"""
        SELECT min(day)::VARCHAR AS day FROM (
            SELECT day FROM calls WHERE destroyed_ts >= {since} AND day <= '{utc_day(window.end)}'
            UNION ALL SELECT day FROM points
            WHERE ts::TIMESTAMPTZ >= {since} AND call_id IS NOT NULL AND day <= '{utc_day(window.end)}'
        )""")
    day: str | None = table["day"][0].as_py()
    return day


def _values_sql(rule: AlertRule, metric: CallMetric, window: Window, where: str) -> str:
    group = f"nullif({rule.by}, '')" if rule.by else "NULL::VARCHAR"
    only = f"AND group_name IN ({', '.join(map(quoted, rule.only))})" if rule.only else ""
    samples = metric.rows(where) if metric.rows else _samples_sql(metric, where)
    described = ", ".join(SESSION_COLUMNS)
    start = f"(ceil(epoch(ts) / {STORE_WINDOW}) - 1) * {STORE_WINDOW}"
    return f"""
    SELECT start, group_name, sum({metric.numerator}) / nullif(sum({metric.denominator}), 0) AS value,
        nullif(count(DISTINCT CASE WHEN user_id IS NOT NULL THEN (vendor, app_id, user_id) END), 0) AS users
    FROM (
        SELECT {start} AS start, vendor, app_id, user_id, {group} AS group_name, value, seconds
        FROM (
            SELECT vendor, app_id, coalesce(user_id, uid) AS user_id, coalesce(channel, cname) AS channel, ts, value,
                seconds, {described}
            FROM ({samples}) LEFT JOIN (
                SELECT app_id, call_id, sid AS session_id, uid, cname, {described} FROM sessions WHERE {where}
            ) USING (app_id, call_id, session_id)
        ) WHERE isfinite(value) AND epoch(ts) > {window.start} AND epoch(ts) <= {window.end}
    ) WHERE {"group_name IS NOT NULL" if rule.by else "true"} {only}
    GROUP BY ALL HAVING value IS NOT NULL ORDER BY start, group_name
    """


def _samples_sql(metric: CallMetric, where: str) -> str:
    """Return the query for the samples of a metric, with the seconds that each covers."""
    ids = agora_ids(metric.source)
    factors = " ".join(f"WHEN {mid} THEN {factor!r}" for mid, factor in ids.items())
    of_others = f"metric = {quoted(metric.source)} AND call_id IS NOT NULL AND {where}"
    stream = "vendor, app_id, call_id, session_id, user_id, peer_id, source_metric"
    others = f"""
        SELECT vendor, app_id, call_id, session_id, user_id, channel, ts::TIMESTAMPTZ AS ts, value,
            {seconds_sql(stream)} AS seconds
        FROM points WHERE {of_others}"""
    if not ids:
        return others
    return f"""
        SELECT 'agora' AS vendor, app_id, call_id, sid AS session_id, NULL AS user_id, NULL AS channel, ts,
            value * CASE mid {factors} END AS value,
            {seconds_sql("app_id, call_id, sid, peer_uid, mid", vendor="'agora'")} AS seconds
        FROM metrics WHERE mid IN ({", ".join(map(str, ids))}) AND {where}
        UNION ALL {others}"""
