"""The SQL (DuckDB) of scores: one row for each interval of a stream, and the aggregation of intervals.

An interval is one sample of the packet loss (audio) or of the freeze time (video) of a received stream, with the seconds
that it covers. Other inputs of the interval are the latest samples at its time, and the largest of several at one time.

The aggregation is part of the definition of a score: the mean of the scores of the intervals, weighted by their seconds,
and the worst window. A mean of the loss is never converted to a score, because it hides short impairments.
"""

from agora_analytics.scoring.audio_score import (
    ASSUMPTIONS,
    UNKNOWN_RECEIVER,
    UNKNOWN_SENDER,
    mos_sql,
    rating_sql,
)
from agora_analytics.scoring.samples import longest_sql, seconds_sql
from agora_analytics.scoring.video_score import ASSUMPTIONS_OF_VIDEO, video_score_sql

WINDOW = 30.0
"""The length of a window in seconds. OpenTok has one sample in that time."""
LEAST_OF_WINDOW = 15.0
"""A window with fewer seconds of scored intervals does not count, unless the whole stream has no other."""

STREAM = ("app_id", "day", "call_id", "session_id", "peer_id", "media")
"""The columns that identify a stream: what one session received from one user (`peer_id`)."""

INTERVAL_COLUMNS = (
    "vendor", "app_id", "channel", "call_id", "session_id", "user_id", "peer_id", "media", "ts", "seconds", "loss",
    "delay", "delay_of", "freeze_share", "frame_rate", "width", "height", "rating", "score", "assumptions", "day",
)  # fmt: skip
"""The columns of `interval_scores`, in their order."""

_CALL = "app_id, day, call_id"
# Texts of at most 12 bytes, which DuckDB keeps in the row.
_BOTH, _SENDER, _RECEIVER = "both", "sender", "receiver"


def audio_sql(inputs: str) -> str:
    """Return the query of the audio intervals.

    Args:
        inputs: a query with a row for each sample: `vendor`, `app_id`, `day`, `channel`, `call_id`, `session_id`,
            `user_id`, `peer_id`, `ts`; `is_interval`, true for a sample of the received loss; and the values `loss` (share),
            `own_delay` (ms between this user and the server, one way), `sender_delay` (the same, as the delay of the
            streams that this user sends) and `sender_loss` (share of what this user sends that is lost before the server).
            A value is null in the rows of other metrics.
    """
    latest = (
        "last_value(CASE WHEN {value} IS NOT NULL THEN {{'at': epoch(ts), 'value': {value}}} END IGNORE NULLS) "
        "OVER (PARTITION BY " + _CALL + ", {party} ORDER BY "
        "ts, is_interval, own_delay, sender_delay, sender_loss ROWS UNBOUNDED PRECEDING)"
    )
    receiver = latest.format(value="own_delay", party="session_id")
    sender = {
        value: latest.format(value=value, party="sender_id") for value in ("sender_delay", "sender_loss")
    }
    return f"""
    SELECT vendor, app_id, channel, call_id, session_id, user_id, peer_id, 'audio' AS media, ts, seconds, loss, delay,
        delay_of, NULL::DOUBLE AS freeze_share, NULL::DOUBLE AS frame_rate, NULL::DOUBLE AS width, NULL::DOUBLE AS height,
        rating, {mos_sql("rating")} AS score,
        {_audio_assumptions(f"delay_of = '{_RECEIVER}'", f"delay_of = '{_SENDER}'")} AS assumptions, day
    FROM (
        SELECT *, {rating_sql("loss", "delay")} AS rating
        FROM (
            SELECT * EXCLUDE (loss), loss + coalesce(lost_before, 0) * (1 - loss) AS loss,
                CASE WHEN coalesce(sender, receiver) IS NOT NULL THEN coalesce(sender, 0) + coalesce(receiver, 0) END
                    AS delay,
                CASE WHEN sender IS NULL THEN CASE WHEN receiver IS NOT NULL THEN '{_RECEIVER}' END
                    WHEN receiver IS NULL THEN '{_SENDER}' ELSE '{_BOTH}' END AS delay_of
            FROM (
                SELECT * EXCLUDE (sender, receiver, lost_before),
                    {_recent("sender")} AS sender, {_recent("receiver")} AS receiver,
                    {_recent("lost_before")} AS lost_before
                FROM (
                    SELECT *, {seconds_sql(f"{_CALL}, session_id, peer_id, is_interval")} AS seconds,
                        {receiver} AS receiver, {sender["sender_delay"]} AS sender, {sender["sender_loss"]} AS lost_before
                    FROM (SELECT *, CASE WHEN is_interval THEN peer_id ELSE user_id END AS sender_id FROM ({inputs}))
                )
                WHERE is_interval
            )
        )
    )
    """


def video_sql(inputs: str) -> str:
    """Return the query of the video intervals.

    Args:
        inputs: a query as that of `audio_sql`, with the values `frozen` (ms), `frame_rate` (fps), `width` and `height`
            (pixels) instead; `is_interval` is true for a sample of the freeze time.
    """
    over = (
        f"OVER (PARTITION BY {_CALL}, session_id, peer_id "
        "ORDER BY ts, is_interval, frame_rate, width, height ROWS UNBOUNDED PRECEDING)"
    )
    rate = "CASE WHEN frame_rate IS NOT NULL THEN {'at': epoch(ts), 'value': frame_rate} END"
    score = video_score_sql("freeze_share", "frame_rate", "width", "height")
    return f"""
    SELECT vendor, app_id, channel, call_id, session_id, user_id, peer_id, 'video' AS media, ts, seconds,
        NULL::DOUBLE AS loss, NULL::DOUBLE AS delay, NULL AS delay_of, freeze_share, frame_rate, width, height, NULL::DOUBLE AS rating,
        CASE WHEN frame_rate > 0 OR freeze_share > 0 THEN {score} END AS score, '{ASSUMPTIONS_OF_VIDEO}' AS assumptions, day
    FROM (
        SELECT * EXCLUDE (frame_rate), CASE WHEN seconds > 0 THEN frozen / 1000 / seconds END AS freeze_share,
            {_recent("frame_rate")} AS frame_rate
        FROM (
            SELECT * EXCLUDE (frame_rate, width, height),
                {seconds_sql(f"{_CALL}, session_id, peer_id, is_interval")} AS seconds,
                last_value({rate} IGNORE NULLS) {over} AS frame_rate,
                last_value(width IGNORE NULLS) {over} AS width, last_value(height IGNORE NULLS) {over} AS height
            FROM ({inputs})
        )
        WHERE is_interval
    )
    """


def _audio_assumptions(sender_unknown: str, receiver_unknown: str) -> str:
    """Return the SQL of the text of the assumptions, given two conditions."""
    return (
        f"concat_ws('; ', '{ASSUMPTIONS}', CASE WHEN {sender_unknown} THEN '{UNKNOWN_SENDER}' END, "
        f"CASE WHEN {receiver_unknown} THEN '{UNKNOWN_RECEIVER}' END)"
    )


def _recent(latest: str) -> str:
    """Return the SQL of the latest value, unless its sample is older than the longest interval of the vendor."""
    return f"CASE WHEN epoch(ts) - {latest}.at <= {longest_sql()} THEN {latest}.value END"


def streams_sql(intervals: str) -> str:
    """Return the query that aggregates intervals by stream: the mean, and the worst window.

    The window of an interval is the 30 seconds up to its end; its score is the mean of the intervals that end in it,
    weighted by their seconds. An interval without a score has no weight, and its seconds are counted apart.

    Args:
        intervals: a query with the columns `INTERVAL_COLUMNS`.
    """
    keys = ", ".join(STREAM)
    over = (
        f"OVER (PARTITION BY {keys} ORDER BY ts "
        f"RANGE BETWEEN INTERVAL {round(WINDOW * 1e6) - 1} MICROSECONDS PRECEDING AND CURRENT ROW)"
    )
    audio = _audio_assumptions("sender_unknown", "receiver_unknown")
    return f"""
    SELECT vendor, app_id, channel, call_id, session_id, user_id, peer_id, media, started_ts, ended_ts, seconds,
        seconds_without_score, score, coalesce(worst.score, score) AS worst_window,
        coalesce(worst.ts, CASE WHEN score IS NOT NULL THEN ended_ts END) AS worst_window_ts,
        CASE media WHEN 'audio' THEN {audio} ELSE '{ASSUMPTIONS_OF_VIDEO}' END AS assumptions, day
    FROM (
        SELECT {keys}, any_value(vendor) AS vendor, any_value(channel) AS channel, any_value(user_id) AS user_id,
            min(ts) AS started_ts, max(ts) AS ended_ts, coalesce(sum(weight), 0) AS seconds,
            coalesce(sum(seconds) FILTER (score IS NULL), 0) AS seconds_without_score,
            sum(score * weight) / nullif(sum(weight), 0) AS score,
            min({{'score': in_window, 'ts': ts}}) FILTER (in_window IS NOT NULL) AS worst,
            bool_or(delay_of = '{_RECEIVER}') AS sender_unknown, bool_or(delay_of = '{_SENDER}') AS receiver_unknown
        FROM (
            SELECT *, CASE WHEN sum(weight) {over} >= {LEAST_OF_WINDOW}
                THEN sum(score * weight) {over} / sum(weight) {over} END AS in_window
            FROM (
                SELECT vendor, channel, user_id, {keys}, ts, seconds, score, delay_of,
                    CASE WHEN score IS NOT NULL THEN seconds END AS weight
                FROM ({intervals})
            )
        )
        GROUP BY {keys}
    )
    """
