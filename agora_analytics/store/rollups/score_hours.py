"""The SQL that aggregates the scores of intervals, for each received stream and hour.

Scores are rounded to integers before they are added, so a sum and the mean of a window do not depend on the order of the
rows.
"""

from collections.abc import Mapping

from agora_analytics.scoring.intervals import LEAST_OF_WINDOW, WINDOW
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

_KEYS = ("app_id", "day", "call_id", "session_id")
_NAMES = ("vendor", "channel", "user_id", *SESSION)
_ONE_DAY = "0 AS app_id, 0 AS day"  # the numbers of calls are different in all apps and days


def score_hours_sql(tables: Mapping[str, str]) -> str:
    """Return the query for the scores of each stream and hour.

    An interval counts in the hour of its end, and a window in the hour of the end of its last interval. The mean of a
    stream without a window that counts is its worst window, in the hour of its last interval.

    Args:
        tables: a query for the rows of `metrics` and of `sessions`, or one for those of `points`.
    """
    rows = {table: f"({query})" for table, query in tables.items()}
    named, numbered = _of_points(rows) if "points" in rows else _of_metrics(rows)
    stream = "session_id, peer_id, media"
    over = (
        f"OVER (PARTITION BY {stream} ORDER BY ended_us "
        f"RANGE BETWEEN {round(WINDOW * 1e6) - 1} PRECEDING AND CURRENT ROW)"
    )
    # The windows sort numbers of calls and sessions instead of long texts, which takes half of the time.
    return f"""
    WITH known AS MATERIALIZED (
        SELECT *, dense_rank() OVER (ORDER BY app_id, day, call_id) AS call, row_number() OVER () AS session FROM ({named})
    ), scored AS (
        SELECT {stream}, epoch_us(ts) AS ended_us, {milliseconds_sql("seconds")} AS ms,
            round(score * 1{"0" * SCORE_DIGITS})::BIGINT AS score
        FROM ({interval_scores_sql(tables=numbered)})
    ), windows AS (
        SELECT *, CASE WHEN sum(weight) {over} >= {round(1000 * LEAST_OF_WINDOW)}
            THEN {_mean(f"sum(weighted) {over}", f"sum(weight) {over}")} END AS in_window
        FROM (SELECT *, CASE WHEN score IS NOT NULL THEN ms END AS weight, score * ms AS weighted FROM scored)
    ), hours AS (
        SELECT {stream}, (ended_us // 3600000000)::INTEGER AS hour, count(*)::INTEGER AS intervals,
            coalesce(sum(weight), 0)::INTEGER AS ms, coalesce(sum(ms) FILTER (score IS NULL), 0)::INTEGER AS ms_without_score,
            coalesce(sum(weighted), 0)::BIGINT AS total, max(ended_us // 1000) AS last_ms,
            min({{'score': in_window, 'ms': ended_us // 1000}}) FILTER (in_window IS NOT NULL) AS worst
        FROM windows GROUP BY {stream}, hour
    ), whole AS (
        SELECT * REPLACE (
            CASE WHEN max(worst) OVER entire IS NULL AND hour = max(hour) OVER entire
                THEN {{'score': {_mean("sum(total) OVER entire", "sum(ms) OVER entire")}, 'ms': last_ms}}
                ELSE worst END AS worst
        )
        FROM hours WINDOW entire AS (PARTITION BY {stream})
    )
    SELECT {_columns()} FROM (
        SELECT * EXCLUDE (session_id), session_id AS session,
            CASE WHEN worst.score IS NOT NULL THEN worst.ms - hour::BIGINT * 3600000 END AS worst_ms
        FROM whole
    ) JOIN known USING (session)
    """


def _of_metrics(rows: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the query for the sessions of Agora, and the SQL of the tables with their numbers instead of ids."""
    sql = {"vendor": "'agora'", "channel": "s.cname", "user_id": "s.uid"}
    names = ", ".join(f"{sql.get(name, f's.{name}')} AS {name}" for name in _NAMES)
    sids = {"session_id": "sid"}
    same = " AND ".join(f"m.{sids.get(key, key)} = known.{key}" for key in _KEYS)
    return (
        f"""
        SELECT app_id, day, call_id, sid AS session_id, {names}
        FROM (SELECT DISTINCT app_id, day, call_id, sid FROM {rows["metrics"]})
        LEFT JOIN {rows["sessions"]} s USING (app_id, day, call_id, sid)
        """,
        {
            "metrics": f"(SELECT {_ONE_DAY}, call AS call_id, session AS sid, mid, peer_uid, ts, value "
            f"FROM {rows['metrics']} m JOIN known ON {same})",
            "sessions": f"(SELECT {_ONE_DAY}, call AS call_id, session AS sid, channel AS cname, user_id AS uid FROM known)",
        },
    )


def _of_points(rows: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the query for the sessions of OpenTok, and the SQL of the table with their numbers instead of ids."""
    sql = {name: f"any_value({name})" for name in ("vendor", "channel", "user_id")}
    names = ", ".join(f"{sql.get(name, 'NULL::VARCHAR')} AS {name}" for name in _NAMES)
    keys = ", ".join(_KEYS)
    same = " AND ".join(f"p.{key} IS NOT DISTINCT FROM known.{key}" for key in _KEYS)
    return (
        f"SELECT {keys}, {names} FROM {rows['points']} GROUP BY {keys}",
        {
            "points": f"(SELECT {_ONE_DAY}, p.vendor, p.channel, call AS call_id, session AS session_id, p.user_id, "
            f"p.peer_id, metric, ts, value FROM {rows['points']} p JOIN known ON {same})",
        },
    )


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
