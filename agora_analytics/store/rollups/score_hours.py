"""The SQL that aggregates the scores of intervals, for each received stream and hour.

Scores are rounded to integers before they are added, so a sum and the mean of a window do not depend on the order of the
rows.
"""

from collections.abc import Mapping

from agora_analytics.scoring.intervals import LEAST_OF_WINDOW, STREAM, WINDOW
from agora_analytics.store.rollups.aggregates import SERIES_KEYS, SESSION, hour_sql, milliseconds_sql
from agora_analytics.store.score_views import interval_scores_sql

SCORE_DIGITS = 6
"""The decimals to which the score of each interval is rounded, and the mean of each window."""
SCORE_COLUMNS = (
    "app_id", "day", "vendor", *SERIES_KEYS, *SESSION, "media", "hour", "intervals", "ms", "ms_without_score",
    "sum_units", "sum_rest", "worst", "worst_ms",
)  # fmt: skip
"""The columns of `score_hours_sql`.

`sum_units` is in millionths of a score for a second, and `sum_rest` in thousandths of them. `worst` is in millionths.
`worst_ms` is the end of the worst window in milliseconds of the hour.
"""

_HOUR_MS = 3_600_000


def score_hours_sql(tables: Mapping[str, str]) -> str:
    """Return the query for the scores of each stream and hour.

    An interval counts in the hour of its end, and a window in the hour of the end of its last interval. The mean of a
    stream without a window that counts is its worst window, in the hour of its last interval.

    Args:
        tables: a query for the rows of `metrics` and of `sessions`, or one for those of `points`.
    """
    rows = {table: f"({query})" for table, query in tables.items()}
    stream = ", ".join(STREAM)
    window = (
        f"OVER (PARTITION BY {stream} ORDER BY ts "
        f"RANGE BETWEEN INTERVAL {round(WINDOW * 1e6) - 1} MICROSECONDS PRECEDING AND CURRENT ROW)"
    )
    scored = {
        **{name: f"NULL::VARCHAR AS {name}" for name in SESSION},
        "sum_units": "(total // 1000)::BIGINT AS sum_units",
        "sum_rest": "(total % 1000)::SMALLINT AS sum_rest",
        "worst": f"CASE WHEN is_last THEN {_mean('stream_total', 'stream_ms')} ELSE worst.score END AS worst",
        "worst_ms": f"(CASE WHEN is_last THEN last_ms ELSE worst.ms END - hour::BIGINT * {_HOUR_MS})::INTEGER AS worst_ms",
    }
    joined = ""
    if "sessions" in rows:
        scored |= {name: f"s.{name}" for name in SESSION}
        joined = f"LEFT JOIN {rows['sessions']} s ON {_same_session('h', 's')}"
    columns = ", ".join(scored.get(name, f"h.{name}") for name in SCORE_COLUMNS)
    return f"""
    SELECT {columns} FROM (
        SELECT *, stream_ms > 0 AND max(worst) OVER stream IS NULL AND hour = max(hour) OVER stream AS is_last
        FROM (
            SELECT *, sum(total) OVER stream AS stream_total, sum(ms) OVER stream AS stream_ms FROM (
                SELECT {stream}, {hour_sql("ts")} AS hour, any_value(vendor) AS vendor, any_value(channel) AS channel,
                    any_value(user_id) AS user_id, count(*)::INTEGER AS intervals,
                    coalesce(sum(ms) FILTER (score IS NOT NULL), 0)::INTEGER AS ms,
                    coalesce(sum(ms) FILTER (score IS NULL), 0)::INTEGER AS ms_without_score,
                    coalesce(sum(weighted), 0)::BIGINT AS total, max(epoch_ms(ts)) AS last_ms,
                    min({{'score': in_window, 'ms': epoch_ms(ts)}}) FILTER (in_window IS NOT NULL) AS worst
                FROM (
                    SELECT *, CASE WHEN sum(weight) {window} >= {round(1000 * LEAST_OF_WINDOW)}
                        THEN {_mean(f"sum(weighted) {window}", f"sum(weight) {window}")} END AS in_window
                    FROM (
                        SELECT *, CASE WHEN score IS NOT NULL THEN ms END AS weight, score * ms AS weighted FROM (
                            SELECT vendor, channel, user_id, {stream}, ts, {milliseconds_sql("seconds")} AS ms,
                                round(score * 1{"0" * SCORE_DIGITS})::BIGINT AS score
                            FROM ({interval_scores_sql(tables=rows)})
                        )
                    )
                )
                GROUP BY {stream}, hour
            ) WINDOW stream AS (PARTITION BY {stream})
        ) WINDOW stream AS (PARTITION BY {stream})
    ) h {joined}
    """


def _mean(weighted: str, weight: str) -> str:
    """Return the SQL of the mean of integers as an integer. Both sums are exact in a double."""
    return f"round({weighted} / {weight})::INTEGER"


def _same_session(left: str, right: str) -> str:
    names = {"app_id": "app_id", "day": "day", "call_id": "call_id", "session_id": "sid"}
    return " AND ".join(f"{left}.{name} = {right}.{other}" for name, other in names.items())
