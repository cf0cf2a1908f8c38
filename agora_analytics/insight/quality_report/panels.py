"""The queries of a report, as data. Every number of a report comes from their rows.

`limits` and `scores` read roll-ups where these are valid. All panels add up the rows of these two queries, so a report
reads each roll-up once. Times are sums of milliseconds, and values decimals, so no sum depends on the order of the rows.
"""

from collections.abc import Mapping

from attrs import frozen

from agora_analytics.scoring.profiles import LOSS_METRICS, Threshold, find_profile
from agora_analytics.store.rollups.thresholds import seconds_beyond_sql

MEASURES: Mapping[str, tuple[str, ...]] = {
    "freeze": ("audio_freeze_time", "video_freeze_time"),
    "loss": LOSS_METRICS,
    "delay": ("round_trip_time",),
}
"""What a report measures, and the metrics of the view `quality` whose time beyond a limit counts for it."""

QUERIES: Mapping[str, str] = {
    "calls": """
        SELECT app_id, call_id, cname AS channel, created_ts, destroyed_ts, finished, day FROM calls WHERE {where}
    """,
    "limits": """
        SELECT vendor, app_id, call_id, channel, user_id, network, platform, sdk_version, hour, metric,
            (sum(seconds) * 1000)::BIGINT AS ms, (coalesce(sum({beyond}), 0) * 1000)::BIGINT AS beyond_ms,
            sum(value_sum) AS value_sum, sum(measured)::BIGINT AS measured
        FROM quality_hours
        WHERE call_id IS NOT NULL AND metric IN ({metrics}) AND {where}
        GROUP BY ALL
    """,
    "without_calls": """
        SELECT DISTINCT vendor FROM quality_hours WHERE call_id IS NULL AND {where}
    """,
    "scores": """
        SELECT vendor, app_id, call_id, channel, user_id, network, platform, sdk_version, hour, media,
            (sum(seconds) * 1000)::BIGINT AS ms, sum(score_sum) AS score_sum, min(worst_window) AS worst_window
        FROM score_hours
        WHERE call_id IS NOT NULL AND {where}
        GROUP BY ALL
    """,
}
"""The queries over a store. `where` selects the time and the channels, `beyond` the seconds beyond the profile's limits."""


@frozen
class MeasuredLimits:
    """The limits of a profile that a report counts.

    Attributes:
        profile: the name of the profile.
        thresholds: its limits of the level `poor` for the metrics of `MEASURES`, by metric.
    """

    profile: str
    thresholds: Mapping[str, Threshold]

    @classmethod
    def of(cls, profile: str) -> "MeasuredLimits":
        """Return the limits of a profile.

        Raises:
            InvalidRequest: there is no such profile.

        Example:
            >>> list(MeasuredLimits.of("sinch").thresholds)
            ['round_trip_time']
        """
        found = find_profile(profile)
        poor = {each.metric: each for each in found.sampled if each.level == "poor"}
        kept = {name: poor[name] for metrics in MEASURES.values() for name in metrics if name in poor}
        return cls(found.name, kept)

    @property
    def measures(self) -> Mapping[str, tuple[str, ...]]:
        """The measures with a limit, each with its metrics that have one."""
        limited = {
            name: tuple(metric for metric in metrics if metric in self.thresholds)
            for name, metrics in MEASURES.items()
        }
        return {name: metrics for name, metrics in limited.items() if metrics}


def limits_sql(limits: MeasuredLimits, where: str) -> str:
    """Return the query `limits`: one row for each user of a call, hour and metric with a limit.

    Args:
        limits: the limits whose time beyond is counted.
        where: a condition over the columns of `quality_hours`; one on `day` skips the files of other days.
    """
    metrics = ", ".join(f"'{name}'" for name in limits.thresholds)
    return QUERIES["limits"].format(beyond=seconds_beyond_sql(limits.profile), metrics=metrics, where=where)


def scores_sql(where: str) -> str:
    """Return the query `scores`: one row for each receiver of a call, hour and medium."""
    return QUERIES["scores"].format(where=where)


def calls_sql(where: str) -> str:
    """Return the query `calls`: one row for each call of Agora."""
    return QUERIES["calls"].format(where=where)


def without_calls_sql(where: str) -> str:
    """Return the query `without_calls`: the vendors that have values of all calls together only, or in addition."""
    return QUERIES["without_calls"].format(where=where)
