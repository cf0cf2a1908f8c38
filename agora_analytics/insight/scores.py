"""The scores of a store: `score` by interval, stream, user, call, channel or day."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

import pyarrow as pa

from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import LAST_SECOND, Instant, epoch_seconds, utc_day
from agora_analytics.schemas import INTERVAL_SCORES, STREAM_SCORES
from agora_analytics.store.duckdb_connection import connect
from agora_analytics.store.score_views import VENDORS, interval_scores_sql, stream_scores_sql
from agora_analytics.store.sql_guard import quoted
from agora_analytics.store.stream import reader

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore

ScoreLevel = Literal["interval", "stream", "user", "call", "channel", "day"]
"""What a row of `score` is about."""
ScoredMedia = Literal["audio", "video"]
"""What a score is of."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    "user": ("vendor", "app_id", "user_id"),
    "call": ("vendor", "app_id", "day", "channel", "call_id"),
    "channel": ("vendor", "app_id", "channel"),
    "day": ("vendor", "app_id", "day"),
}
_STREAM = ("vendor", "app_id", "call_id", "session_id", "peer_id", "media")
_MICROSECOND = 1_000_000


def score(
    store: "ParquetStore | BucketStore",
    by: ScoreLevel = "call",
    *,
    media: ScoredMedia | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    vendor: str | None = None,
    app_id: str | None = None,
    channel: str | None = None,
    call_id: str | None = None,
    user: str | None = None,
) -> pa.Table:
    """Return the scores of received audio and video, 1 (worst) to 4.5, as a table.

    A row has one medium of one interval, stream, user, call, channel or day. `score` is the mean over the intervals,
    weighted by their seconds; `worst_window` is the lowest mean of 30 seconds of one stream. Both are null where no
    interval has all inputs. `assumptions` names what the vendor does not send.

    Rows by interval or day are in the order of time. Other rows begin with the lowest `worst_window`.

    Args:
        store: a store of calls. ApsaraVideo sends totals of all users only, so its rows have no scores.
        by: what a row is about. A user is scored by what the user received.
        media: `audio` or `video`; None: both.
        since: only intervals that end at this time or later. Times are UTC.
        until: only intervals that end before this time.
        vendor: only this vendor, `agora` or `opentok`.
        app_id, channel, call_id: only this app, channel or call.
        user: only streams that this user received.

    Raises:
        InvalidRequest: an argument is wrong, or the vendor sends no inputs of a score.
        StoreError: a file is damaged or cannot be read.

    Example::

        for row in score(store, by="call", media="audio", since="1d").to_pylist()[:10]:
            print(row["call_id"], row["score"], row["worst_window"], row["worst_user_id"])
    """
    _check(by, media, vendor)
    start, end = _seconds(since, "since"), _seconds(until, "until")
    calls = _equal({"vendor": vendor, "app_id": app_id, "channel": channel, "call_id": call_id})
    kept = _equal({"media": media, "user_id": user})
    kept += [f"ts >= {_timestamp(start)}"] if start is not None else []
    kept += [f"ts < {_timestamp(end)}"] if end is not None else []

    fetch = reader(store)

    def of_day(day: str) -> pa.Table:
        intervals = _where(interval_scores_sql(_all_of(*calls, f"day = DATE '{day}'")), *kept)
        return fetch(intervals if by == "interval" else stream_scores_sql(intervals))

    schema = score_schema("interval" if by == "interval" else "stream")
    days = fetch(_days_sql(calls, start, end))["day"].to_pylist()
    rows = pa.concat_tables([schema.empty_table(), *(of_day(day).cast(schema) for day in days)])
    if by == "interval" or by == "stream":
        first = "ts" if by == "interval" else "worst_window"
        return rows.sort_by([(name, "ascending") for name in (first, *_STREAM)])
    return _grouped(rows, by)


def score_schema(by: ScoreLevel) -> pa.Schema:
    """Return the columns of `score`, with their descriptions.

    Example:
        >>> score_schema("day").names[:6]
        ['vendor', 'app_id', 'day', 'media', 'calls', 'users']
    """
    if by == "interval":
        return INTERVAL_SCORES
    if by == "stream":
        return STREAM_SCORES
    names = ("seconds", "seconds_without_score", "score", "worst_window", "worst_window_ts")
    return pa.schema(
        [
            *(STREAM_SCORES.field(name) for name in (*_KEYS[by], "media")),
            _column("calls", pa.int64(), "The number of calls."),
            _column("users", pa.int64(), "The number of users who received a stream."),
            _column("streams", pa.int64(), "The number of received streams."),
            *(STREAM_SCORES.field(name) for name in names),
            _column("worst_call_id", pa.string(), "The call of the worst window."),
            _column("worst_user_id", pa.string(), "The user who received the worst window."),
            _column("worst_peer_id", pa.string(), "The user who sent the worst window."),
            STREAM_SCORES.field("assumptions"),
        ]
    )


def _column(name: str, kind: pa.DataType, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": description})


def _check(by: str, media: str | None, vendor: str | None) -> None:
    for name, value, known in (("by", by, get_args(ScoreLevel)), ("media", media, get_args(ScoredMedia))):
        if value is not None and value not in known:
            advice = did_you_mean(value, known) or f"; use one of {', '.join(known)}"
            raise InvalidRequest(f"{name}={value!r} is not a level or medium of scores{advice}")
    if vendor == "apsaravideo":
        raise InvalidRequest("ApsaraVideo sends totals of all users only, so no score can be computed")
    if vendor is not None and vendor not in VENDORS:
        raise InvalidRequest(f"vendor={vendor!r} has no scores; use one of {', '.join(VENDORS)}")


def _seconds(moment: Instant | None, name: str) -> float | None:
    """Return a time in epoch seconds, within the times that a store can have."""
    if moment is None:
        return None
    return min(max(epoch_seconds(moment, now=time.time(), name=name), 0.0), float(LAST_SECOND))


def _grouped(streams: pa.Table, by: ScoreLevel) -> pa.Table:
    """Return the rows of a level above streams."""
    keys = ", ".join(_KEYS[by])
    # The first of the fields decides which stream is the worst; the others make the choice unique.
    fields = ("worst_window", "call_id", "session_id", "peer_id", "user_id", "worst_window_ts")
    worst = ", ".join(f"'{name}': {name}" for name in fields)
    order = "day, vendor, app_id, media" if by == "day" else f"worst.worst_window, {keys}, media"
    text = f"""
    SELECT {keys}, media, calls, users, streams, seconds, seconds_without_score, score, worst.worst_window,
        worst.worst_window_ts, worst.call_id AS worst_call_id, worst.user_id AS worst_user_id,
        worst.peer_id AS worst_peer_id, assumptions
    FROM (
        SELECT {keys}, media, count(DISTINCT (app_id, call_id)) AS calls, count(DISTINCT user_id) AS users,
            count(*) AS streams, sum(seconds) AS seconds, sum(seconds_without_score) AS seconds_without_score,
            sum(score * seconds) / nullif(sum(seconds), 0) AS score,
            min({{{worst}}}) FILTER (worst_window IS NOT NULL) AS worst,
            array_to_string(list_sort(list_distinct(flatten(list(string_split(assumptions, '; '))))), '; ')
                AS assumptions
        FROM streams
        GROUP BY {keys}, media
    )
    ORDER BY {order}
    """
    with connect() as connection:
        connection.register("streams", streams)
        return connection.sql(text).to_arrow_table().cast(score_schema(by))


def _days_sql(calls: list[str], start: float | None, end: float | None) -> str:
    """Return the query for the days of the calls that a time range touches.

    The scores of each day are computed separately, so the memory is that of one day. The day of a call is the day on
    which it began, so the calls that were active in a time range may have older days.
    """
    kept = [*calls] if end is None else [*calls, f"day <= DATE '{utc_day(end - 1 / _MICROSECOND)}'"]
    if start is not None:
        kept.append(f"last_ts >= {_timestamp(start)}")
    return f"""SELECT DISTINCT day::VARCHAR AS day FROM (
        SELECT 'agora' AS vendor, app_id, day, cname AS channel, call_id, destroyed_ts AS last_ts FROM calls
        UNION ALL SELECT vendor, app_id, day, channel, call_id, ts FROM points WHERE call_id IS NOT NULL
    ) WHERE {_all_of(*kept)} ORDER BY day"""


def _where(query: str, *conditions: str) -> str:
    return f"SELECT * FROM ({query}) WHERE {_all_of(*conditions)}"


def _all_of(*conditions: str) -> str:
    return " AND ".join(conditions) or "true"


def _equal(values: Mapping[str, str | None]) -> list[str]:
    return [f"{name} = {quoted(value)}" for name, value in values.items() if value is not None]


def _timestamp(seconds: float) -> str:
    return f"make_timestamptz({round(seconds * _MICROSECOND)})"
