"""The query that adds up a metric for each call and group of two periods."""

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from agora_analytics.core.windows import Window
from agora_analytics.insight.call_metrics import CallMetric, agora_ids
from agora_analytics.instants import utc_day
from agora_analytics.scoring.samples import seconds_sql
from agora_analytics.store.sql_guard import escaped_glob, quoted

SESSION_COLUMNS = ("sdk_version", "network", "platform", "device_type")
"""The columns of `sessions` that describe a user. Only Agora's rows have them."""
NO_GROUP = "(none)"
"""The group of the rows that have no value, or that own groups do not name."""


@frozen(kw_only=True)
class Selection:
    """Which rows of a store are compared.

    Attributes:
        periods: the two periods. A call belongs to the period in which it began.
        vendor: only this vendor; None: all.
        app_id: only this app; None: all.
    """

    periods: tuple[Window, Window]
    vendor: str | None = None
    app_id: str | None = None

    @property
    def rows(self) -> str:
        """The condition for rows of any table. By the UTC days of the periods, it excludes the files of other days."""
        ranges = (f"day BETWEEN '{utc_day(each.start)}' AND '{utc_day(each.end)}'" for each in self.periods)
        app = "" if self.app_id is None else f" AND app_id = {quoted(self.app_id)}"
        return f"({' OR '.join(ranges)}){app}"

    def includes(self, vendor: str) -> bool:
        """Return whether rows of a vendor are selected."""
        return self.vendor in (None, vendor)


def counts_sql(metric: CallMetric, selection: Selection) -> str:
    """Return the query for the number of samples of each day: (day, count). It reads one column."""
    return f"""
    SELECT day::VARCHAR, count(*) FROM (
        SELECT day FROM metrics WHERE {_of_agora(metric, selection, selection.rows)}
        UNION ALL SELECT day FROM points WHERE {_of_others(metric, selection, selection.rows)}
    ) GROUP BY 1 ORDER BY 1
    """


def sums_sql(
    metric: CallMetric, selection: Selection, where: str, by: str | None, groups: Path | None
) -> str:
    """Return the query for the sums of the calls of some days.

    Its rows are (part, period, number, grp, value, x, y). For the part `calls` and those of `SESSION_COLUMNS`, `number` is
    the call, and x and y are the numerator and the denominator. For `users`, `number` is a hash of the user, for `vendors`,
    `value` is the vendor.

    Args:
        metric: the metric.
        selection: which rows are compared.
        where: the condition for the rows of these days.
        by: the column of the groups; None: no groups.
        groups: a file of `groups_file`; None: the values of the column are the groups.
    """
    label, names = f"coalesce(nullif({by or 'NULL'}, ''), '{NO_GROUP}')", ""
    if groups is not None:
        names = f"LEFT JOIN read_parquet({quoted(escaped_glob(str(groups)))}) own ON own.key = sums.{by}"
        label = f"coalesce(own.name, '{NO_GROUP}')"
    described = ", ".join(f"coalesce(nullif({name}, ''), '{NO_GROUP}') AS {name}" for name in SESSION_COLUMNS)
    return f"""
    WITH users AS (SELECT *, row_number() OVER () AS session FROM sessions WHERE {where}),
    sums AS ({" UNION ALL ".join(_sums(metric, selection, where))}),
    started AS ({" UNION ALL ".join(_starts(metric, selection, where))}),
    numbered AS (
        SELECT *, row_number() OVER (ORDER BY vendor, app_id, call_id) AS number, CASE {_period(selection)} END AS period
        FROM started
    ),
    rows AS MATERIALIZED (
        SELECT period, number, vendor, app_id, user_id, {label} AS grp, {described}, x, y
        FROM sums JOIN numbered USING (vendor, app_id, call_id) {names}
        WHERE period IS NOT NULL
    )
    {" UNION ALL ".join(_results())}
    ORDER BY ALL
    """


def _of_agora(metric: CallMetric, selection: Selection, where: str) -> str:
    # A metric id is a stored column, so DuckDB skips the row groups of other metrics; the name is computed.
    ids = agora_ids(metric.source) if selection.includes("agora") else {}
    return f"mid IN ({', '.join(map(str, ids))}) AND {where}" if ids else "false"


def _of_others(metric: CallMetric, selection: Selection, where: str) -> str:
    vendor = "" if selection.vendor is None else f" AND vendor = {quoted(selection.vendor)}"
    return f"metric = {quoted(metric.source)} AND call_id IS NOT NULL AND {where}{vendor}"


def _sums(metric: CallMetric, selection: Selection, where: str) -> Iterator[str]:
    """Yield the queries for the sums of each session of Agora, and of each stream of other vendors."""
    totals = f"sum({metric.numerator}) AS x, sum({metric.denominator}) AS y"
    session = ", ".join(SESSION_COLUMNS)
    if metric.rows is not None:
        yield f"""
        SELECT vendor, app_id, call_id, coalesce(user_id, uid) AS user_id, coalesce(channel, cname) AS channel, {session}, x, y
        FROM (
            SELECT vendor, app_id, call_id, session_id, any_value(user_id) AS user_id, any_value(channel) AS channel, {totals}
            FROM ({_own_rows(metric, selection, where)}) WHERE isfinite(value) GROUP BY ALL
        ) LEFT JOIN (SELECT app_id, call_id, sid AS session_id, uid, cname, {session} FROM users) USING (app_id, call_id, session_id)
        """
        return
    factors = " ".join(f"WHEN {mid} THEN {factor!r}" for mid, factor in agora_ids(metric.source).items())
    # The numbers of sessions take half the time and memory of their ids in the window.
    yield f"""
    SELECT 'agora' AS vendor, app_id, call_id, uid AS user_id, cname AS channel, {session}, x, y
    FROM (
        SELECT session, {totals}
        FROM (
            SELECT *, {seconds_sql("session, peer_uid, mid", vendor="'agora'")} AS seconds
            FROM (
                SELECT session, peer_uid, mid, ts, value * CASE mid {factors or "WHEN 0 THEN 1"} END AS value
                FROM (SELECT * FROM metrics WHERE {_of_agora(metric, selection, where)})
                JOIN (SELECT app_id, call_id, sid, session FROM users) USING (app_id, call_id, sid)
            )
        ) WHERE isfinite(value) GROUP BY session
    ) JOIN users USING (session)
    """
    stream = "vendor, app_id, call_id, session_id, user_id, peer_id, source_metric"
    yield f"""
    SELECT vendor, app_id, call_id, user_id, channel, {", ".join("NULL" for _ in SESSION_COLUMNS)}, {totals}
    FROM (
        SELECT *, {seconds_sql(stream)} AS seconds FROM points WHERE {_of_others(metric, selection, where)}
    ) WHERE isfinite(value) GROUP BY vendor, app_id, call_id, user_id, channel
    """


def _own_rows(metric: CallMetric, selection: Selection, where: str) -> str:
    rows = metric.rows(where) if metric.rows else ""
    return rows if selection.vendor is None else f"FROM ({rows}) WHERE vendor = {quoted(selection.vendor)}"


def _starts(metric: CallMetric, selection: Selection, where: str) -> Iterator[str]:
    """Yield the queries for when calls began. The other vendors' tables have no calls: the first sample is the start."""
    yield f"SELECT 'agora' AS vendor, app_id, call_id, created_ts AS start FROM calls WHERE {where}"
    others = f"points WHERE {_of_others(metric, selection, where)}"
    if metric.rows is not None:
        others = f"({_own_rows(metric, selection, where)}) WHERE vendor <> 'agora'"
    yield f"SELECT vendor, app_id, call_id, min(ts) FROM {others} GROUP BY ALL"


def _period(selection: Selection) -> str:
    return " ".join(
        f"WHEN epoch(start) >= {period.start} AND epoch(start) < {period.end + 1} THEN {number}"
        for number, period in enumerate(selection.periods)
    )


def _results() -> Iterator[str]:
    # The order of floating-point sums differs from run to run; rounding makes equal stores give equal numbers.
    sums = "round(sum(x)::DOUBLE, 6) AS x, round(sum(y)::DOUBLE, 6) AS y"
    yield f"SELECT 'calls' AS part, period, number, grp, '' AS value, {sums} FROM rows GROUP BY ALL"
    for name in SESSION_COLUMNS:
        yield f"SELECT '{name}', period, number, grp, {name}, {sums} FROM rows GROUP BY ALL"
    yield "SELECT DISTINCT 'users', period, (hash(app_id, user_id) >> 1)::BIGINT, grp, NULL, NULL, NULL FROM rows"
    yield "SELECT DISTINCT 'vendors', NULL, NULL, NULL, vendor, NULL, NULL FROM rows"
