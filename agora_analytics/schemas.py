"""The Arrow schemas of the tables that the clients return and a store contains.

A schema lists the columns of one Parquet file. A table has two more columns, which a store keeps in its folder names:
`app_id` (string) first and `day` (date, UTC: the day on which the call was created) last; see `table_schema`.
Parquet has no timestamps in seconds, so files contain milliseconds. Tables are read back in seconds.
"""

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

UTC_SECONDS = pa.timestamp("s", "UTC")
"""The type of times in seconds."""
UTC_MILLISECONDS = pa.timestamp("ms", "UTC")
"""The type of times in milliseconds."""


def _column(name: str, kind: pa.DataType, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": description})


CALLS = pa.schema(
    [
        _column("call_id", pa.string(), "The vendor's id of the call. Key."),
        _column("cname", pa.string(), "Channel name."),
        _column("created_ts", UTC_SECONDS, "When the first user joined."),
        _column("destroyed_ts", UTC_SECONDS, "When the last user left; for an ongoing call, the latest known timestamp."),
        _column("finished", pa.bool_(), "False for an ongoing call: its rows are a snapshot and are fetched again."),
        _column("call_pcu", pa.int64(), "Peak number of concurrent users; null if the vendor does not report it."),
        _column("call_acu", pa.int64(), "Accumulated number of users; null if the vendor does not report it."),
        _column("call_audio_freeze_rate", pa.float64(), "Share of the audio time that froze, 0 to 1; null if unknown."),
        _column("call_video_freeze_rate", pa.float64(), "Share of the video time that froze, 0 to 1; null if unknown."),
        _column("extra", pa.string(), "JSON object with the fields that this version does not know; null if none."),
    ]
)  # fmt: skip
"""One row for each call."""

SESSIONS = pa.schema(
    [
        _column("call_id", pa.string(), "The call that the session is part of. Key, with sid."),
        _column("sid", pa.string(), "The vendor's id of the session: one user, from joining to leaving. Key."),
        _column("cname", pa.string(), "Channel name."),
        _column("uid", pa.string(), "User id; always text, because the vendor sends both numbers and text."),
        _column("account", pa.string(), "The user's name in the application; null if none."),
        _column("network", pa.string(), "Kind of network: WiFi, 4G, ..."),
        _column("platform", pa.string(), "Operating system or browser."),
        _column("speaker", pa.bool_(), "True if the user sent audio or video."),
        _column("roles", pa.list_(pa.string()), "Roles of the user; null if the vendor does not report them."),
        _column("sdk_version", pa.string(), "Version of the vendor's SDK."),
        _column("device_type", pa.string(), "Device name reported by the SDK."),
        _column("join_ts", UTC_SECONDS, "When the user joined."),
        _column("leave_ts", UTC_SECONDS, "When the user left; for an ongoing session, the latest known timestamp."),
        _column("finished", pa.bool_(), "False for an ongoing session."),
        _column("user_audio_freeze_rate", pa.float64(), "Share of the audio time that froze, 0 to 1; null if unknown."),
        _column("user_video_freeze_rate", pa.float64(), "Share of the video time that froze, 0 to 1; null if unknown."),
        _column("extra", pa.string(), "JSON object with the fields that this version does not know; null if none."),
    ]
)  # fmt: skip
"""One row for each session: one user in one call, from joining to leaving."""

METRICS = pa.schema(
    [
        _column("call_id", pa.string(), "The call. Key, with sid, mid, peer_uid and ts."),
        _column("sid", pa.string(), "The session that measured the sample. Key."),
        _column("mid", pa.int32(), "The vendor's number of the metric, such as 20003. Key."),
        _column("peer_uid", pa.string(), 'The user whose stream was measured; "0" is the session\'s own user. Key.'),
        _column("ts", UTC_SECONDS, "When the sample was measured. Key."),
        _column("value", pa.float64(), "The value, in the unit of the metric; null if the vendor sent null."),
    ]
)  # fmt: skip
"""One row for each sample of a metric."""

_TEXTS = pa.dictionary(pa.int32(), pa.string())

METRIC_NAMES = pa.schema(
    [
        _column("metric", pa.string(), "Name of the metric; `mid_20099` for a number that no document names."),
        _column("unit", pa.string(), "Unit of the value: %, Kbps, ms, fps, dB, px; empty if there is none."),
    ]
)  # fmt: skip
"""The columns after `mid` of the view `metrics`, which the files do not have."""

SAMPLES = pa.schema(
    [
        METRICS.field("call_id").with_type(_TEXTS),
        METRICS.field("sid").with_type(_TEXTS),
        METRICS.field("mid"),
        *(column.with_type(_TEXTS) for column in METRIC_NAMES),
        METRICS.field("peer_uid").with_type(_TEXTS),
        METRICS.field("ts"),
        METRICS.field("value"),
    ]
)  # fmt: skip
"""`METRICS` with names and units, as a client returns it. A store has only `mid` in its files.

A series is all rows with the same sid, mid and peer_uid: draw, average and compare each of them separately.
"""

POINTS = pa.schema(
    [
        _column("vendor", pa.string(), "`opentok`, `apsaravideo`, or `agora` (Data Insights). Key."),
        _column("channel", pa.string(), "The channel, or OpenTok session; null for a value of the whole app."),
        _column("call_id", pa.string(), "The call, or OpenTok meeting; null for a value of all calls."),
        _column("session_id", pa.string(), "The measured stream: an OpenTok publisher or subscriber; or null."),
        _column("user_id", pa.string(), "The user who measured: an OpenTok connection; null for a value of all users."),
        _column("peer_id", pa.string(), "The user whose stream was measured, if it is another user."),
        _column("metric", pa.string(), "The common name; the vendor's name if the metric has no common name. Key."),
        _column("unit", pa.string(), "The unit of the value; empty if the vendor does not document it."),
        _column("ts", UTC_MILLISECONDS, "When the value was measured, or when its interval began. Key."),
        _column("value", pa.float64(), "The value; null if the vendor sent none."),
        _column("source_metric", pa.string(), "The vendor's name of the metric. Key."),
    ]
)  # fmt: skip
"""One row for each value of a vendor whose data does not fit `calls`, `sessions` and `metrics`."""

QUALITY = pa.schema(
    [
        _column("vendor", pa.string(), "`agora`, `opentok` or `apsaravideo`."),
        _column("app_id", pa.string(), "The app or project."),
        _column("channel", pa.string(), "Agora's channel, an OpenTok session, ApsaraVideo's channel; null for a value of the whole app."),
        _column("call_id", pa.string(), "Agora's call, an OpenTok meeting; null for a value of all calls."),
        _column("session_id", pa.string(), "The measured stream: Agora's session, an OpenTok publisher or subscriber; or null."),
        _column("user_id", pa.string(), "The user who measured: Agora's uid, an OpenTok connection; null for a value of all users."),
        _column("peer_id", pa.string(), "The user whose stream was measured, if it is another user."),
        _column("metric", pa.string(), "The common name; the vendor's name if the metric has no common name; `mid_20099` for a number without a name."),
        _column("unit", pa.string(), "The unit of `value`; empty if the vendor does not document it."),
        _column("ts", pa.timestamp("us", "UTC"), "When the value was measured, or when its interval began."),
        _column("value", pa.float64(), "The value; null if the vendor sent none."),
        _column("source_metric", pa.string(), "The vendor's name of the metric: a `mid` or a field."),
        _column("day", pa.date32(), "UTC day of the call; the day of the value if it has no call."),
    ]
)  # fmt: skip
"""One row for each value of any vendor: the view `quality` of a store, which its folder does not have."""

INTERVAL_SCORES = pa.schema(
    [
        *(QUALITY.field(name) for name in ("vendor", "app_id", "channel", "call_id")),
        _column("session_id", pa.string(), "The session of the receiver: Agora's session, an OpenTok subscriber."),
        _column("user_id", pa.string(), "The user who received the stream."),
        _column("peer_id", pa.string(), "The user who sent the stream."),
        _column("media", pa.string(), "`audio` or `video`."),
        _column("ts", pa.timestamp("us", "UTC"), "The end of the interval: when its sample was measured."),
        _column("seconds", pa.float64(), "The seconds that the interval covers: its weight in a mean."),
        _column("loss", pa.float64(), "Audio: share of the packets that were lost, 0 to 1; null if unknown."),
        _column("delay", pa.float64(), "Audio: one-way delay of the network in ms, as far as it is known; null if it is not."),
        _column("delay_of", pa.string(), "Audio: whose part of the delay is known: `both`, `sender`, `receiver`; or null."),
        _column("freeze_share", pa.float64(), "Video: share of the interval that was frozen; null if unknown."),
        _column("frame_rate", pa.float64(), "Video: received frames per second; null if unknown."),
        _column("width", pa.float64(), "Video: width of the received picture in pixels, as last reported; or null."),
        _column("height", pa.float64(), "Video: height of the received picture in pixels, as last reported; or null."),
        _column("rating", pa.float64(), "Audio: the transmission rating R of G.107, not clamped; null if unknown."),
        _column("score", pa.float64(), "The score of the interval, 1 to 4.5; null if an input is unknown."),
        _column("assumptions", pa.string(), "What the score assumes because the vendor does not send it."),
        QUALITY.field("day"),
    ]
)  # fmt: skip
"""One row for each scored interval of a received stream: the view `interval_scores`."""

STREAM_SCORES = pa.schema(
    [
        *(INTERVAL_SCORES.field(name) for name in ("vendor", "app_id", "channel", "call_id", "session_id", "user_id")),
        *(INTERVAL_SCORES.field(name) for name in ("peer_id", "media")),
        _column("started_ts", pa.timestamp("us", "UTC"), "The end of the first interval."),
        _column("ended_ts", pa.timestamp("us", "UTC"), "The end of the last interval."),
        _column("seconds", pa.float64(), "The seconds of the intervals with a score."),
        _column("seconds_without_score", pa.float64(), "The seconds of the intervals without one."),
        _column("score", pa.float64(), "Mean of the scores of the intervals, weighted by their seconds; null if none has one."),
        _column("worst_window", pa.float64(), "The lowest mean score of 30 seconds; null if no interval has a score."),
        _column("worst_window_ts", pa.timestamp("us", "UTC"), "The end of the worst window."),
        INTERVAL_SCORES.field("assumptions"),
        INTERVAL_SCORES.field("day"),
    ]
)  # fmt: skip
"""One row for each received stream: the view `stream_scores`."""

_SECONDS = pa.decimal128(18, 3)
_KIND = [QUALITY.field(name) for name in ("metric", "unit")]

QUALITY_HOURS = pa.schema(
    [
        *(QUALITY.field(name) for name in ("vendor", "app_id", "channel", "call_id", "session_id", "user_id", "peer_id")),
        *(SESSIONS.field(name) for name in ("network", "platform", "sdk_version", "device_type")),
        *_KIND,
        _column("hour", pa.timestamp("us", "UTC"), "Beginning of the hour in which the values were measured."),
        QUALITY.field("source_metric"),
        QUALITY.field("day"),
        _column("samples", pa.int64(), "Number of values, with those that are null."),
        _column("measured", pa.int64(), "Number of values that are numbers below 10^12."),
        _column("value_sum", pa.decimal128(38, 8), "Exact sum of the measured values, each rounded to 6 decimals in the vendor's unit."),
        _column("value_min", pa.float64(), "Smallest measured value; null if none was measured."),
        _column("value_max", pa.float64(), "Largest measured value; null if none was measured."),
        _column("seconds", _SECONDS, "Seconds that the samples cover."),
        _column("seconds_beyond", _SECONDS, "Those beyond the limit of the profile `agora`; null if it has none for the metric."),
        *(
            _column(f"beyond_{number}", _SECONDS, f"Those beyond limit {number} of the metric; null if it has fewer limits.")
            for number in range(1, 9)
        ),
    ]
)  # fmt: skip
"""One row for each series of values and hour: the view `quality_hours`. Rows of a store's roll-ups."""

QUALITY_HISTOGRAM = pa.schema(
    [
        *(QUALITY.field(name) for name in ("vendor", "app_id")),
        *_KIND,
        _column("hour", pa.timestamp("us", "UTC"), "Beginning of the hour in which the values were measured."),
        _column("value", pa.float64(), "A value within 2 % of all values of the bucket."),
        _column("samples", pa.int64(), "Number of measured values in the bucket."),
        QUALITY.field("source_metric"),
        QUALITY.field("day"),
    ]
)  # fmt: skip
"""One row for each metric, hour and bucket of values: the view `quality_histogram`. Rows of a store's roll-ups."""

SCORE_HOURS = pa.schema(
    [
        *(STREAM_SCORES.field(name) for name in ("vendor", "app_id", "channel", "call_id", "session_id", "user_id", "peer_id")),
        *(SESSIONS.field(name) for name in ("network", "platform", "sdk_version", "device_type")),
        STREAM_SCORES.field("media"),
        _column("hour", pa.timestamp("us", "UTC"), "Beginning of the hour in which the intervals ended."),
        QUALITY.field("day"),
        _column("intervals", pa.int64(), "Number of intervals, with those without a score."),
        _column("seconds", _SECONDS, "Seconds of the intervals with a score."),
        _column("seconds_without_score", _SECONDS, "Seconds of the intervals without one."),
        _column("score_sum", pa.decimal128(38, 9), "Exact sum of score times seconds. Each score is rounded to 6 decimals."),
        _column("worst_window", pa.float64(), "The lowest mean score of 30 seconds that ended in this hour, rounded to 6 decimals; or null."),
        _column("worst_window_ts", pa.timestamp("us", "UTC"), "The end of this window."),
    ]
)  # fmt: skip
"""One row for each received stream and hour: the view `score_hours`. Rows of a store's roll-ups."""

VIEWS: Mapping[str, pa.Schema] = MappingProxyType(
    {
        "quality": QUALITY,
        "quality_hours": QUALITY_HOURS,
        "quality_histogram": QUALITY_HISTOGRAM,
        "interval_scores": INTERVAL_SCORES,
        "stream_scores": STREAM_SCORES,
        "score_hours": SCORE_HOURS,
    }
)
"""The views of a store that its folder does not have: name -> schema. They are computed when they are queried."""

CALL_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {"calls": CALLS, "sessions": SESSIONS, "metrics": METRICS}
)
"""The tables that are written call by call, parents first.

Writers use the reverse order: a parent's row states that its children are stored.
"""

TABLES: Mapping[str, pa.Schema] = MappingProxyType({**CALL_TABLES, "points": POINTS})
"""All tables: name -> schema."""


KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "calls": ("call_id",),
        "sessions": ("call_id", "sid"),
        "metrics": ("call_id", "sid", "mid", "peer_uid", "ts"),
        "points": ("vendor", "metric", "ts", "source_metric"),
    }
)
"""The columns that identify a row. They are never null."""

PARTITIONS = pa.schema(
    [
        _column("app_id", pa.string(), "The app (project) that the call belongs to."),
        _column("day", pa.date32(), "UTC day on which the call was created, in all tables. For `points` without a call, the day of the value."),
    ]
)  # fmt: skip
"""The columns that are stored in folder names: `app_id=<id>/day=YYYY-MM-DD`."""


def table_schema(name: str) -> pa.Schema:
    """Return the schema of a table as it is read: `app_id`, the columns of its files, `day`.

    Args:
        name: `calls`, `sessions`, `metrics` or `points`.

    Raises:
        KeyError: if there is no such table.

    Example:
        >>> table_schema("calls").names[:3]
        ['app_id', 'call_id', 'cname']
    """
    return pa.schema([PARTITIONS.field("app_id"), *TABLES[name], PARTITIONS.field("day")])
