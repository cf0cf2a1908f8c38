"""Reads a metric of two periods from a store, added up per call and group."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from attrs import evolve, field, frozen

from agora_analytics.insight.call_metrics import CallMetric
from agora_analytics.insight.call_sums_sql import SESSION_COLUMNS, Selection, counts_sql, sums_sql
from agora_analytics.insight.comparison import CallSums
from agora_analytics.insight.ratio_bootstrap import Floats
from agora_analytics.store.sql_guard import quoted
from agora_analytics.store.stream import stream

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore

Integers: TypeAlias = npt.NDArray[np.int64]

_MOST_SAMPLES = 4_000_000
"""DuckDB adds up so many samples at a time, which takes about 500 MB."""


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
            call=rows["number"].to_numpy(),
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
) -> MetricSums | None:
    """Return the sums of a metric for each call; None if there is no sample. DuckDB adds up the samples, so only the sums are in memory.

    Args:
        store: the store.
        metric: the metric.
        selection: which rows are compared.
        by: the column of the groups; None: no groups.
        groups: a file of `groups_file` that names the groups; None: the values of the column are the groups.

    Raises:
        StoreError: the store cannot be read.
    """
    batches = []
    calls = 0
    for where in _batches(store, metric, selection):
        schema, tables = stream(store, sums_sql(metric, selection, where, by, groups))
        rows = pa.concat_tables([schema.empty_table(), *tables])
        numbers = pc.if_else(pc.equal(rows["part"], "users"), rows["number"], pc.add(rows["number"], calls))
        calls += pc.max(rows.filter(pc.equal(rows["part"], "calls"))["number"]).as_py() or 0
        batches.append(rows.set_column(rows.column_names.index("number"), "number", numbers))
    if not batches:
        return None
    rows = pa.concat_tables(batches)
    parts = {
        name: rows.filter(pc.equal(rows["part"], name))
        for name in ("calls", "users", "vendors", *SESSION_COLUMNS)
    }
    return MetricSums(
        vendors=tuple(sorted(set(parts["vendors"]["value"].to_pylist()))),
        totals=PeriodSums.of(parts["calls"]),
        columns={name: PeriodSums.of(parts[name]) for name in SESSION_COLUMNS},
        users=_users(parts["users"]),
    )


def _batches(store: "ParquetStore | BucketStore", metric: CallMetric, selection: Selection) -> Iterator[str]:
    """Yield conditions that divide the rows of the periods: by day, and large days by call."""
    days: list[str] = []
    samples = 0
    app = "" if selection.app_id is None else f" AND app_id = {quoted(selection.app_id)}"

    def condition() -> str:
        return f"day IN ({', '.join(map(quoted, days))}){app}"

    for day, count in _counts(store, metric, selection):
        if days and samples + count > _MOST_SAMPLES:
            yield condition()
            days, samples = [], 0
        days.append(day)
        samples += count
        if (parts := math.ceil(samples / _MOST_SAMPLES)) > 1:
            yield from (f"{condition()} AND hash(call_id) % {parts} = {part}" for part in range(parts))
            days, samples = [], 0
    if days:
        yield condition()


def _counts(
    store: "ParquetStore | BucketStore", metric: CallMetric, selection: Selection
) -> Iterator[tuple[str, int]]:
    for table in stream(store, counts_sql(metric, selection))[1]:
        yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


def _users(rows: pa.Table) -> Mapping[tuple[int, str | None], int]:
    """Return the number of distinct users by period and group; the group None has all users."""
    found: dict[tuple[int, str | None], int] = {}
    for names in (["period", "grp"], ["period"]):
        counted = rows.group_by(names).aggregate([("number", "count_distinct")])
        for row in counted.to_pylist():
            found[row["period"], row.get("grp")] = row["number_count_distinct"]
    return found


def stored_metrics(store: "ParquetStore | BucketStore", selection: Selection) -> Sequence[str]:
    """Return the metrics that calls of the days of the periods have, sorted."""
    text = f"SELECT DISTINCT metric FROM quality WHERE call_id IS NOT NULL AND {selection.rows} ORDER BY 1"
    return [name for table in stream(store, text)[1] for name in table["metric"].to_pylist()]
