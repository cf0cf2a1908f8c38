"""Reads a metric of two periods from a store, added up per call and group."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from attrs import evolve, field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.insight.call_metrics import CallMetric, agora_ids
from agora_analytics.insight.comparison import CallSums, Floats
from agora_analytics.instants import utc_day
from agora_analytics.scoring.samples import seconds_sql
from agora_analytics.store.sql_guard import escaped_glob, quoted
from agora_analytics.store.stream import stream

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore

Integers: TypeAlias = npt.NDArray[np.int64]

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
    def days(self) -> str:
        """The condition for the UTC days of the periods. It excludes the files of other days."""
        ranges = (f"day BETWEEN '{utc_day(each.start)}' AND '{utc_day(each.end)}'" for each in self.periods)
        return f"({' OR '.join(ranges)})"

    @property
    def rows(self) -> str:
        """The condition for rows of any table."""
        return self.days if self.app_id is None else f"{self.days} AND app_id = {quoted(self.app_id)}"

    def includes(self, vendor: str) -> bool:
        """Return whether rows of a vendor are selected."""
        return self.vendor in (None, vendor)


@frozen(eq=False, kw_only=True)
class PeriodSums:
    """The sums of both periods: one entry for each call, group and value of a column.

    Attributes:
        period: 0 before, 1 after.
        call: the number of the call.
        group: the place of the group in `groups`.
        groups: the names of the groups.
        value: the place of the value in `values`.
        values: the values of the column.
        numerator: sum of the metric's numerator.
        denominator: sum of the metric's denominator.
    """

    period: Integers
    call: Integers
    group: Integers
    groups: tuple[str, ...]
    value: Integers
    values: tuple[str, ...]
    numerator: Floats
    denominator: Floats

    @classmethod
    def of(cls, rows: pa.Table) -> "PeriodSums":
        """Return the sums in the rows of a query."""
        group, value = (rows[name].combine_chunks().dictionary_encode() for name in ("grp", "value"))
        return cls(
            period=rows["period"].to_numpy(),
            call=rows["call"].to_numpy(),
            group=group.indices.to_numpy(),
            groups=tuple(group.dictionary.to_pylist()),
            value=value.indices.to_numpy(),
            values=tuple(value.dictionary.to_pylist()),
            numerator=rows["x"].to_numpy(),
            denominator=rows["y"].to_numpy(),
        )

    def where(self, kept: npt.NDArray[np.bool_]) -> "PeriodSums":
        """Return the entries for which `kept` is true."""
        arrays = {name: getattr(self, name)[kept] for name in _ARRAYS}
        return evolve(self, **arrays)

    def of_group(self, group: str | None) -> "PeriodSums":
        """Return the entries of a group; None: all."""
        if group is None:
            return self
        return self.where(self.group == (self.groups.index(group) if group in self.groups else -1))

    def calls(self, period: int, numerator: Floats, denominator: Floats) -> CallSums:
        """Return the sums of two numbers of the entries, for each call of a period, in the order of the calls."""
        kept = self.period == period
        _, place = np.unique(self.call[kept], return_inverse=True)
        return CallSums(np.bincount(place, numerator[kept]), np.bincount(place, denominator[kept]))

    def totals(self, period: int) -> CallSums:
        """Return the metric of each call of a period."""
        return self.calls(period, self.numerator, self.denominator)


_ARRAYS = ("period", "call", "group", "value", "numerator", "denominator")


@frozen(kw_only=True, eq=False)
class MetricSums:
    """A metric of two periods.

    Attributes:
        vendors: the vendors of the rows.
        columns: by column of `SESSION_COLUMNS`, the sums for each call, group and value of the column.
        totals: the sums for each call and group.
        users: the number of users by (period, group); the group None has all users.
    """

    vendors: tuple[str, ...]
    totals: PeriodSums
    columns: Mapping[str, PeriodSums] = field(repr=False)
    users: Mapping[tuple[int, str | None], int] = field(repr=False)


def read_sums(
    store: "ParquetStore | BucketStore",
    metric: CallMetric,
    selection: Selection,
    by: str | None,
    groups: Path | None,
) -> MetricSums:
    """Return the sums of a metric for each call. DuckDB adds up the samples, so only the sums are in memory.

    Args:
        store: the store.
        metric: the metric.
        selection: which rows are compared.
        by: the column of the groups; None: no groups.
        groups: a file of `groups_file` that names the groups; None: the values of the column are the groups.

    Raises:
        StoreError: the store cannot be read.
    """
    schema, tables = stream(store, sums_sql(metric, selection, by, groups))
    rows = pa.concat_tables([schema.empty_table(), *tables])
    parts = {name: _part(rows, name) for name in (*_PARTS, *SESSION_COLUMNS)}
    users = {
        (row["period"], row["grp"]): int(row["x"])
        for name in ("users", "all users")
        for row in parts[name].to_pylist()
    }
    return MetricSums(
        vendors=tuple(sorted(parts["vendors"]["value"].to_pylist())),
        totals=PeriodSums.of(parts["calls"]),
        columns={name: PeriodSums.of(parts[name]) for name in SESSION_COLUMNS},
        users=users,
    )


_PARTS = ("calls", "users", "all users", "vendors")


def _part(rows: pa.Table, name: str) -> pa.Table:
    return rows.filter(pc.equal(rows["part"], name))


def sums_sql(metric: CallMetric, selection: Selection, by: str | None, groups: Path | None) -> str:
    """Return the query for the rows of `MetricSums`: (part, period, call, grp, value, x, y)."""
    column = "NULL" if by is None else _COLUMNS.get(by, f"sessions.{by}")
    label, names = f"coalesce(nullif({column}, ''), '{NO_GROUP}')", ""
    if groups is not None:
        names = f"LEFT JOIN read_parquet({quoted(escaped_glob(str(groups)))}) own ON own.key = {column}"
        label = f"coalesce(own.name, '{NO_GROUP}')"
    described = ", ".join(
        f"coalesce(nullif(sessions.{name}, ''), '{NO_GROUP}') AS {name}" for name in SESSION_COLUMNS
    )
    return f"""
    WITH timed AS ({_timed(metric, selection)}),
    sums AS (
        SELECT vendor, app_id, call_id, session_id, any_value(user_id) AS user_id, any_value(channel) AS channel,
            sum({metric.numerator}) AS x, sum({metric.denominator}) AS y
        FROM timed WHERE isfinite(value) GROUP BY ALL
    ),
    started AS ({" UNION ALL ".join(_starts(metric, selection))}),
    numbered AS (
        SELECT *, row_number() OVER (ORDER BY vendor, app_id, call_id) AS call, CASE {_period(selection)} END AS period
        FROM started
    ),
    rows AS MATERIALIZED (
        SELECT numbered.period, numbered.call, sums.vendor, sums.app_id, {_COLUMNS["user_id"]} AS user_id,
            {label} AS grp, {described}, sums.x, sums.y
        FROM sums JOIN numbered USING (vendor, app_id, call_id)
        LEFT JOIN (SELECT * FROM sessions WHERE {selection.rows}) sessions
            ON sums.vendor = 'agora' AND sessions.app_id = sums.app_id AND sessions.call_id = sums.call_id
            AND sessions.sid = sums.session_id
        {names}
        WHERE numbered.period IS NOT NULL
    )
    {" UNION ALL ".join(_results())}
    ORDER BY ALL
    """


_COLUMNS: Mapping[str, str] = {
    "app_id": "sums.app_id",
    "call_id": "sums.call_id",
    "channel": "coalesce(sums.channel, sessions.cname)",
    "user_id": "coalesce(sums.user_id, sessions.uid)",
}
"""The columns of all vendors, as SQL."""


def _timed(metric: CallMetric, selection: Selection) -> str:
    """Return the query for the values of a metric with the seconds that each covers."""
    if metric.rows is not None:
        rows = metric.rows(selection.rows)
        return (
            rows if selection.vendor is None else f"FROM ({rows}) WHERE vendor = {quoted(selection.vendor)}"
        )
    seconds = seconds_sql("vendor, app_id, call_id, session_id, peer_id, source_metric")
    return f"SELECT *, {seconds} AS seconds FROM ({' UNION ALL '.join(_samples(metric, selection))})"


def _samples(metric: CallMetric, selection: Selection) -> Iterator[str]:
    """Yield the queries for the samples of a metric: Agora's own, and those of the other vendors."""
    # A metric id is a stored column, so DuckDB skips the row groups of other metrics; the name is computed.
    ids = agora_ids(metric.source) if selection.includes("agora") else {}
    factors = " ".join(f"WHEN {mid} THEN {factor!r}" for mid, factor in ids.items() if factor != 1)
    factor = f"CASE mid {factors} ELSE 1.0 END" if factors else "1.0"
    yield f"""
        SELECT 'agora' AS vendor, app_id, call_id, sid AS session_id, peer_uid AS peer_id, NULL AS user_id, NULL AS channel,
            mid::VARCHAR AS source_metric, ts, value * {factor} AS value
        FROM metrics WHERE {f"mid IN ({', '.join(map(str, ids))})" if ids else "false"} AND {selection.rows}
    """
    yield f"""
        SELECT vendor, app_id, call_id, coalesce(session_id, user_id), peer_id, user_id, channel, source_metric, ts, value
        FROM points WHERE {_points(metric, selection)}
    """


def _points(metric: CallMetric, selection: Selection) -> str:
    vendor = "" if selection.vendor is None else f" AND vendor = {quoted(selection.vendor)}"
    return f"metric = {quoted(metric.source)} AND call_id IS NOT NULL AND {selection.rows}{vendor}"


def _starts(metric: CallMetric, selection: Selection) -> Iterator[str]:
    """Yield the queries for when calls began. The other vendors' tables have no calls: the first sample is the start."""
    yield f"SELECT 'agora' AS vendor, app_id, call_id, created_ts AS start FROM calls WHERE {selection.rows}"
    others = f"points WHERE {_points(metric, selection)}"
    if metric.rows is not None:
        others = f"({_timed(metric, selection)}) WHERE vendor <> 'agora'"
    yield f"SELECT vendor, app_id, call_id, min(ts) FROM {others} GROUP BY ALL"


def _period(selection: Selection) -> str:
    return " ".join(
        f"WHEN epoch(start) >= {period.start} AND epoch(start) < {period.end + 1} THEN {number}"
        for number, period in enumerate(selection.periods)
    )


def _results() -> Iterator[str]:
    # The order of floating-point sums differs from run to run; rounding makes equal stores give equal numbers.
    sums = "round(sum(x)::DOUBLE, 6) AS x, round(sum(y)::DOUBLE, 6) AS y"
    yield f"SELECT 'calls' AS part, period, call, grp, '' AS value, {sums} FROM rows GROUP BY ALL"
    for name in SESSION_COLUMNS:
        yield f"SELECT '{name}', period, call, grp, {name}, {sums} FROM rows GROUP BY ALL"
    users = "count(DISTINCT (app_id, user_id))"
    yield f"SELECT 'users', period, NULL, grp, NULL, {users}, NULL FROM rows GROUP BY ALL"
    yield f"SELECT 'all users', period, NULL, NULL, NULL, {users}, NULL FROM rows GROUP BY ALL"
    yield "SELECT DISTINCT 'vendors', NULL, NULL, NULL, vendor, NULL, NULL FROM rows"


def stored_metrics(store: "ParquetStore | BucketStore", selection: Selection) -> Sequence[str]:
    """Return the metrics that calls of the days of the periods have, sorted."""
    text = f"SELECT DISTINCT metric FROM quality WHERE call_id IS NOT NULL AND {selection.rows} ORDER BY 1"
    return [name for table in stream(store, text)[1] for name in table["metric"].to_pylist()]
