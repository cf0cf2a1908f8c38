"""The rows that a report adds up, read once from a store into memory: one for each user of a call, hour and metric."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from attrs import frozen

from agora_analytics.insight.comparison import CallSums
from agora_analytics.insight.quality_report.group_differences import GroupSums, Integers, summed
from agora_analytics.insight.quality_report.panels import (
    MeasuredLimits,
    calls_sql,
    limits_sql,
    scores_sql,
    without_calls_sql,
)
from agora_analytics.insight.quality_report.report_selection import HOUR, ReportSelection
from agora_analytics.insight.ratio_bootstrap import Floats
from agora_analytics.instants import DAY, utc_day
from agora_analytics.store.duckdb_connection import connect, spill_outside_of_store

UNKNOWN = "(unknown)"
"""The group of the rows that have no value, such as no network."""
GROUPS: Mapping[str, str] = {
    "network": f"coalesce(nullif(network, ''), '{UNKNOWN}')",
    "platform": f"coalesce(nullif(platform, ''), '{UNKNOWN}')",
    "sdk_version": f"coalesce(nullif(sdk_version, ''), '{UNKNOWN}')",
    "hour_of_day": "lpad((epoch(hour)::BIGINT // 3600 % 24)::VARCHAR, 2, '0') || ':00'",
}
"""The panels by group: name, and SQL over the columns of the rows. Hours are UTC."""
WORST_CALLS = 20
RANKED_SECONDS = 120
"""A call with less measured time is not ranked: a single bad sample would make it the worst."""

Fetch = Callable[[str], pa.Table]


@frozen(kw_only=True)
class GroupCount:
    """How many calls and users a group has."""

    group: str
    calls: int
    users: int


class ReportRows:
    """The rows of one period, in tables of an in-memory DuckDB.

    `cells` has a row for each user of a call, hour and metric, with numbers for calls and users. `calls` has the number, id
    and channel of each call; `stored_calls` has the rows of the store's table.
    """

    def __init__(
        self, fetch: Fetch, selection: ReportSelection, limits: MeasuredLimits, *, with_scores: bool = True
    ) -> None:
        self.selection = selection
        self.limits = limits
        self._connection = connect()
        spill_outside_of_store(self._connection)
        stored = fetch(calls_sql(selection.calls_where))
        self._where = selection.hours_where(_first_day(stored, selection))
        self._fetch = fetch
        self._connection.register("stored_calls", stored)
        self._connection.register("limits", fetch(limits_sql(limits, self._where)))
        self._connection.register("scores", fetch(scores_sql(self._where if with_scores else "false")))
        measures = ", ".join(
            f"('{metric}', '{measure}')" for measure, metrics in limits.measures.items() for metric in metrics
        )
        self._connection.execute(f"""
            CREATE TABLE calls AS
            SELECT *, (row_number() OVER (ORDER BY vendor, app_id, call_id) - 1)::BIGINT AS call FROM (
                SELECT vendor, app_id, call_id, min(channel) AS channel, min(hour) AS first_hour, max(hour) AS last_hour
                FROM limits GROUP BY ALL
            );
            CREATE TABLE people AS
            SELECT *, row_number() OVER (ORDER BY vendor, app_id, user_id) AS person FROM (
                SELECT DISTINCT vendor, app_id, coalesce(user_id, '') AS user_id FROM limits
            );
            CREATE TABLE cells AS
            SELECT call, person, network, platform, sdk_version, hour, metric, measure, ms, beyond_ms, value_sum, measured
            FROM limits JOIN calls USING (vendor, app_id, call_id)
            JOIN people ON people.vendor = limits.vendor AND people.app_id = limits.app_id
                AND people.user_id = coalesce(limits.user_id, '')
            JOIN (VALUES {measures}) m(metric, measure) USING (metric);
            CREATE TABLE scored AS
            SELECT call, network, platform, sdk_version, hour, media, scores.ms, score_sum, worst_window
            FROM scores JOIN calls USING (vendor, app_id, call_id);
            CREATE TABLE judged AS
            SELECT call, person, bool_or(coalesce(poor, false)) AS poor FROM (
                SELECT call, person, {self._is_poor()} AS poor FROM cells GROUP BY call, person, metric
            ) GROUP BY ALL
        """)

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query over the tables in memory."""
        found: list[tuple[Any, ...]] = self._connection.sql(text).fetchall()
        return found

    @property
    def calls(self) -> int:
        """The number of calls."""
        return int(self.rows("SELECT count(*) FROM calls")[0][0])

    @property
    def users(self) -> int:
        """The number of users, counted once for each app."""
        return int(self.rows("SELECT count(*) FROM people")[0][0])

    @property
    def vendors(self) -> list[str]:
        """The vendors of the calls."""
        return [name for (name,) in self.rows("SELECT DISTINCT vendor FROM calls ORDER BY 1")]

    @property
    def measures(self) -> list[str]:
        """The measures that have both a limit and samples."""
        found = {name for (name,) in self.rows("SELECT DISTINCT measure FROM cells")}
        return [name for name in self.limits.measures if name in found]

    def days_without_calls(self) -> tuple[str, ...]:
        """Return the UTC days of the period without any data."""
        present = {day for (day,) in self.rows("SELECT DISTINCT strftime(hour, '%Y-%m-%d') FROM cells")}
        return tuple(day for day in self.selection.days if day not in present)

    def vendors_without_calls(self) -> list[str]:
        """Return the vendors other than Agora that have only values of all calls together in these hours."""
        found = self._fetch(without_calls_sql(self._where))["vendor"].to_pylist()
        return sorted(set(found) - {"agora", *self.vendors})

    def counts(self, group: str) -> list[GroupCount]:
        """Return how many calls and users each group has; `group` is SQL over the columns of `cells`."""
        text = f"""
            SELECT {group} AS grp, count(DISTINCT call), count(DISTINCT person) FROM cells GROUP BY 1 ORDER BY 2 DESC, 1
        """
        return [GroupCount(group=name, calls=calls, users=users) for name, calls, users in self.rows(text)]

    def sums(self, measure: str, group: str, names: Sequence[str]) -> GroupSums:
        """Return a measure by call and group. Groups that `names` does not have get the number after the last name."""
        found = self._connection.sql(f"""
            SELECT call, {group} AS grp, sum(beyond_ms)::BIGINT AS beyond, sum(ms)::BIGINT AS ms
            FROM cells WHERE measure = '{measure}' GROUP BY ALL HAVING sum(ms) > 0 ORDER BY ALL
        """).to_arrow_table()
        encoded = found["grp"].combine_chunks().dictionary_encode()
        places = {name: place for place, name in enumerate(names)}
        numbers = np.array(
            [places.get(name, len(names)) for name in encoded.dictionary.to_pylist()], dtype=np.int64
        )
        return _merged(
            found["call"].to_numpy(),
            numbers[encoded.indices.to_numpy()] if len(numbers) else np.empty(0, np.int64),
            found["beyond"].to_numpy() / 1000,
            found["ms"].to_numpy() / 1000,
            len(names) + 1,
        )

    def poor_users(self) -> CallSums:
        """Return for each call how many users were beyond a limit on average, and how many there were."""
        found = self._connection.sql("""
            SELECT sum(poor::INTEGER)::DOUBLE AS poor, count(*)::DOUBLE AS users FROM judged GROUP BY call ORDER BY call
        """).to_arrow_table()
        return CallSums(found["poor"].to_numpy(), found["users"].to_numpy())

    def call_sums(self, measure: str) -> CallSums:
        """Return the seconds beyond a limit and the measured seconds of each call."""
        found = self._connection.sql(f"""
            SELECT sum(beyond_ms)::DOUBLE / 1000 AS beyond, sum(ms)::DOUBLE / 1000 AS seconds
            FROM cells WHERE measure = '{measure}' GROUP BY call ORDER BY call
        """).to_arrow_table()
        return CallSums(found["beyond"].to_numpy(), found["seconds"].to_numpy())

    def scores(self, group: str) -> dict[tuple[str, str], tuple[float | None, float | None]]:
        """Return the mean score and the worst 30 s by group and medium."""
        text = f"""
            SELECT {group} AS grp, media, (sum(score_sum) * 1000 / nullif(sum(ms), 0))::DOUBLE, min(worst_window)
            FROM scored GROUP BY 1, 2
        """
        return {(name, media): (mean, worst) for name, media, mean, worst in self.rows(text)}

    def worst_calls(self) -> Iterator[dict[str, Any]]:
        """Yield the calls with the largest share of time beyond a limit, the worst first.

        `shares` has the share of each measure, `scores` the mean and the worst 30 s by medium, and `uid` is the user with
        the largest share.
        """
        text = f"""
            WITH shares AS (
                SELECT call, measure, sum(beyond_ms) / sum(ms) AS share, sum(beyond_ms) AS beyond, sum(ms) AS ms
                FROM cells GROUP BY ALL HAVING sum(ms) > 0
            ), ranked AS (
                SELECT call, max(share) FILTER (ms >= {1000 * RANKED_SECONDS}) AS worst, map(list(measure), list(share)) AS shares,
                    max(beyond) AS beyond
                FROM shares GROUP BY call
            ), chosen AS (
                SELECT * FROM ranked WHERE worst > 0 ORDER BY worst DESC, beyond DESC, call LIMIT {WORST_CALLS}
            ), of_users AS (
                SELECT call, person, sum(beyond_ms) / sum(ms) AS share
                FROM cells JOIN chosen USING (call) WHERE ms > 0 GROUP BY call, person, measure
            ), accused AS (
                SELECT call, min({{'share': -share, 'person': person}}).person AS person FROM of_users GROUP BY call
            ), counted AS (
                SELECT call, count(*) AS users, sum(poor::INTEGER)::BIGINT AS poor_users
                FROM judged JOIN chosen USING (call) GROUP BY call
            ), media AS (
                SELECT call, media, (sum(score_sum) * 1000 / nullif(sum(ms), 0))::DOUBLE AS score, min(worst_window) AS low
                FROM scored JOIN chosen USING (call) GROUP BY ALL
            ), of_media AS (
                SELECT call, map(list(media), list({{'score': score, 'low': low}})) AS scores FROM media GROUP BY call
            )
            SELECT c.vendor, c.app_id, c.call_id, c.channel, coalesce(epoch(s.created_ts), epoch(c.first_hour))::BIGINT AS start,
                epoch(s.destroyed_ts)::BIGINT AS end, coalesce(s.finished, true) AS finished, n.users, n.poor_users, h.shares,
                o.scores, p.user_id AS uid
            FROM chosen h JOIN calls c USING (call) JOIN counted n USING (call) JOIN accused a USING (call)
            JOIN people p USING (person) LEFT JOIN of_media o USING (call)
            LEFT JOIN stored_calls s ON s.app_id = c.app_id AND s.call_id = c.call_id AND c.vendor = 'agora'
            ORDER BY h.worst DESC, h.beyond DESC, call
        """
        found = self._connection.sql(text)
        for row in found.fetchall():
            yield dict(zip(found.columns, row, strict=True))

    def _is_poor(self) -> str:
        """Return the SQL of whether the mean of a user's samples of one metric is beyond its limit."""
        cases = " ".join(
            f"WHEN '{metric}' THEN {threshold.exceeded_sql(_TOTAL if threshold.share_of_time else _MEAN, '(sum(ms) / 1000)')}"
            for metric, threshold in self.limits.thresholds.items()
        )
        return f"CASE metric {cases} END"


_TOTAL = "(sum(value_sum)::DOUBLE)"
_MEAN = "(sum(value_sum)::DOUBLE / nullif(sum(measured), 0))"


def _first_day(stored: pa.Table, selection: ReportSelection) -> str:
    """Return the earliest day of a call that was active. Only Agora's calls have a table; others last less than a day."""
    days = [str(day) for day in stored["day"].unique().to_pylist()]
    return min([utc_day(max(0, selection.start - DAY)), *days])


def bin_seconds(selection: ReportSelection, calls: int, *, most: int, calls_each: int) -> int:
    """Return the length of the intervals of a chart over time.

    Args:
        selection: the hours of the chart.
        calls: the number of calls.
        most: the number of intervals is at most this.
        calls_each: and there are so many calls for each on average, unless an interval would be longer than a day.

    Example:
        >>> bin_seconds(ReportSelection(start=0, end=7 * DAY), 10_000, most=60, calls_each=30)
        10800
        >>> bin_seconds(ReportSelection(start=0, end=7 * DAY), 300, most=60, calls_each=30)
        86400
    """
    length = selection.end - selection.start
    lengths = [hours * HOUR for hours in (1, 2, 3, 6, 12, 24, 48) if length / (hours * HOUR) <= most]
    for each in lengths:
        if each >= DAY or calls * each >= calls_each * length:
            return each
    return 7 * DAY


def _merged(
    call: Integers, group: Integers, numerator: Floats, denominator: Floats, groups: int
) -> GroupSums:
    """Return one entry for each call and group."""
    keys, places = np.unique(call * groups + group, return_inverse=True)
    return GroupSums(
        keys // groups,
        keys % groups,
        summed(places, numerator, len(keys)),
        summed(places, denominator, len(keys)),
    )
