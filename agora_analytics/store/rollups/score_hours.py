"""The SQL that aggregates the scores of intervals, for each received stream and hour.

Scores are rounded to integers before they are added, so a sum and the mean of a window do not depend on the order of the
rows.
"""

from collections.abc import Mapping

from agora_analytics.scoring.intervals import LEAST_OF_WINDOW, STREAM, WINDOW
from agora_analytics.store.rollups.aggregates import SERIES_KEYS, SESSION, milliseconds_sql
from agora_analytics.store.score_views import interval_scores_sql

SCORE_DIGITS = 6
"""The decimals to which the score of each interval is rounded, and the mean of each window."""
SCORE_COLUMNS = (
    "app_id", "day", "vendor", *SERIES_KEYS, *SESSION, "media", "hour", "intervals", "ms", "ms_without_score",
    "sum_units", "sum_rest", "worst", "worst_second", "worst_rest",
)  # fmt: skip
"""The columns of `score_hours_sql`.

`sum_units` is in millionths of a score for a second, and `sum_rest` in thousandths of them. `worst` is in millionths.
`worst_second` and `worst_rest` are the second of the hour and the milliseconds at which the worst window ends.
"""

_KEYS = tuple(key for key in STREAM if key != "media")
_OF_SESSION = {"channel": "s.cname", "user_id": "s.uid", **{name: f"s.{name}" for name in SESSION}}


def score_hours_sql(tables: Mapping[str, str]) -> str:
    """Return the query for the scores of each stream and hour.

    An interval counts in the hour of its end, and a window in the hour of the end of its last interval. The mean of a
    stream without a window that counts is its worst window, in the hour of its last interval.

    Args:
        tables: a query for the rows of `metrics` and of `sessions`, or one for those of `points`.
    """
    rows = {table: f"({query})" for table, query in tables.items()}
    same = " AND ".join(f"i.{key} IS NOT DISTINCT FROM k.{key}" for key in _KEYS)
    over = (
        "OVER (PARTITION BY stream, media ORDER BY ended_us "
        f"RANGE BETWEEN {round(WINDOW * 1e6) - 1} PRECEDING AND CURRENT ROW)"
    )
    # The window sorts numbers instead of long texts, which takes a fifth less time.
    return f"""
    WITH streams AS MATERIALIZED ({_streams(rows)}),
    scored AS (
        SELECT stream, media, epoch_us(ts) AS ended_us, {milliseconds_sql("seconds")} AS ms,
            round(score * 1{"0" * SCORE_DIGITS})::BIGINT AS score
        FROM ({interval_scores_sql(tables=rows)}) i JOIN streams k ON {same}
    ), windows AS (
        SELECT *, CASE WHEN sum(weight) {over} >= {round(1000 * LEAST_OF_WINDOW)}
            THEN {_mean(f"sum(weighted) {over}", f"sum(weight) {over}")} END AS in_window
        FROM (SELECT *, CASE WHEN score IS NOT NULL THEN ms END AS weight, score * ms AS weighted FROM scored)
    ), hours AS (
        SELECT stream, media, (ended_us // 3600000000)::INTEGER AS hour, count(*)::INTEGER AS intervals,
            coalesce(sum(weight), 0)::INTEGER AS ms, coalesce(sum(ms) FILTER (score IS NULL), 0)::INTEGER AS ms_without_score,
            coalesce(sum(weighted), 0)::BIGINT AS total, max(ended_us // 1000) AS last_ms,
            min({{'score': in_window, 'ms': ended_us // 1000}}) FILTER (in_window IS NOT NULL) AS worst
        FROM windows GROUP BY stream, media, hour
    ), whole AS (
        SELECT * REPLACE (
            CASE WHEN max(worst) OVER entire IS NULL AND hour = max(hour) OVER entire
                THEN {{'score': {_mean("sum(total) OVER entire", "sum(ms) OVER entire")}, 'ms': last_ms}}
                ELSE worst END AS worst
        )
        FROM hours WINDOW entire AS (PARTITION BY stream, media)
    )
    SELECT {_columns()} FROM (
        SELECT *, CASE WHEN worst.score IS NOT NULL THEN worst.ms - hour::BIGINT * 3600000 END AS worst_ms FROM whole
    ) JOIN streams USING (stream)
    """


def _streams(rows: Mapping[str, str]) -> str:
    """Return the query for a number of each stream, and its columns. Most of them have no score."""
    if "points" in rows:
        others = ", ".join(f"any_value({name}) AS {name}" for name in ("vendor", "channel", "user_id"))
        none = ", ".join(f"NULL::VARCHAR AS {name}" for name in SESSION)
        return f"""
        SELECT *, row_number() OVER () AS stream, {none}
        FROM (SELECT {", ".join(_KEYS)}, {others} FROM {rows["points"]} GROUP BY {", ".join(_KEYS)})
        """
    session = ", ".join(f"{sql} AS {name}" for name, sql in _OF_SESSION.items())
    return f"""
    SELECT k.app_id, k.day, k.call_id, k.sid AS session_id, nullif(k.peer_uid, '0') AS peer_id, 'agora' AS vendor, {session},
        row_number() OVER () AS stream
    FROM (SELECT DISTINCT app_id, day, call_id, sid, peer_uid FROM {rows["metrics"]}) k
    LEFT JOIN {rows["sessions"]} s USING (app_id, day, call_id, sid)
    """


def _columns() -> str:
    sql = {
        "sum_units": "(total // 1000)::BIGINT",
        "sum_rest": "(total % 1000)::INTEGER",
        "worst": "worst.score",
        "worst_second": "(worst_ms // 1000)::INTEGER",
        "worst_rest": "(worst_ms % 1000)::INTEGER",
    }
    return ", ".join(f"{sql.get(name, name)} AS {name}" for name in SCORE_COLUMNS)


def _mean(weighted: str, weight: str) -> str:
    """Return the SQL of the mean of integers as an integer. Both sums are exact in a double."""
    return f"round({weighted} / nullif({weight}, 0))::INTEGER"
