"""The tables, column by column, and how each is encoded in Parquet.

A schema here is what one file holds. Every table, as it is read, has two columns more, which the folder names carry:
`app_id` (string) in front and `day` (date, UTC: the day on which the call was created) at the end; see `table_schema`.
In the files a timestamp counts milliseconds, since Parquet knows no seconds; the tables are read back in seconds.
"""

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa
from attrs import frozen

UTC_SECONDS = pa.timestamp("s", "UTC")
UTC_MILLISECONDS = pa.timestamp("ms", "UTC")


def _column(name: str, kind: pa.DataType, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": description})


CALLS = pa.schema(
    [
        _column("call_id", pa.string(), "The vendor's id of the call. Key."),
        _column("cname", pa.string(), "Channel name."),
        _column("created_ts", UTC_SECONDS, "When the first user joined."),
        _column(
            "destroyed_ts",
            UTC_SECONDS,
            "When the last user left; the latest moment known while it is going on.",
        ),
        _column(
            "finished",
            pa.bool_(),
            "False while the call is going on: its rows are a snapshot and come again.",
        ),
        _column(
            "call_pcu", pa.int64(), "Peak of users at the same time; null where the vendor does not tell."
        ),
        _column(
            "call_acu",
            pa.int64(),
            "Users over the whole call, accumulated; null where the vendor does not tell.",
        ),
        _column(
            "call_audio_freeze_rate",
            pa.float64(),
            "Share of the audio time that froze, 0 to 1; null if unknown.",
        ),
        _column(
            "call_video_freeze_rate",
            pa.float64(),
            "Share of the video time that froze, 0 to 1; null if unknown.",
        ),
        _column(
            "extra", pa.string(), "JSON object of the fields that this version does not know; null if none."
        ),
    ]
)
"""One row for each call."""

SESSIONS = pa.schema(
    [
        _column("call_id", pa.string(), "The call that the session is part of. Key, with sid."),
        _column(
            "sid", pa.string(), "The vendor's id of the session: one user, from joining to leaving. Key."
        ),
        _column("cname", pa.string(), "Channel name."),
        _column("uid", pa.string(), "User id; always text, since the vendor sends numbers as well as text."),
        _column("account", pa.string(), "The user's name in the application; null if there is none."),
        _column("network", pa.string(), "Kind of network: WiFi, 4G, ..."),
        _column("platform", pa.string(), "Operating system or browser."),
        _column("speaker", pa.bool_(), "True if the user sent audio or video."),
        _column("roles", pa.list_(pa.string()), "Roles that the user had; null if the vendor does not tell."),
        _column("sdk_version", pa.string(), "Version of the vendor's SDK."),
        _column("device_type", pa.string(), "Device, as the SDK names it."),
        _column("join_ts", UTC_SECONDS, "When the user joined."),
        _column(
            "leave_ts", UTC_SECONDS, "When the user left; the latest moment known while the session goes on."
        ),
        _column("finished", pa.bool_(), "False while the session is going on."),
        _column(
            "user_audio_freeze_rate",
            pa.float64(),
            "Share of the audio time that froze, 0 to 1; null if unknown.",
        ),
        _column(
            "user_video_freeze_rate",
            pa.float64(),
            "Share of the video time that froze, 0 to 1; null if unknown.",
        ),
        _column(
            "extra", pa.string(), "JSON object of the fields that this version does not know; null if none."
        ),
    ]
)
"""One row for each session: one user in one call, from joining to leaving."""

METRICS = pa.schema(
    [
        _column("call_id", pa.string(), "The call. Key, with sid, mid, peer_uid and ts."),
        _column("sid", pa.string(), "The session that measured. Key."),
        _column("mid", pa.int32(), "The vendor's number of the metric, such as 20003. Key."),
        _column(
            "peer_uid",
            pa.string(),
            'The user whose stream was measured; "0" is the session\'s own user. Key.',
        ),
        _column("ts", UTC_SECONDS, "When it was measured. Key."),
        _column(
            "value", pa.float64(), "The value, in the unit of the metric; null where the vendor sent null."
        ),
    ]
)
"""One row for each sample of a metric."""

POINTS = pa.schema(
    [
        _column("vendor", pa.string(), "`opentok`, `apsaravideo`, or `agora` (Data Insights). Key."),
        _column("channel", pa.string(), "The room: an OpenTok session, a channel; null: all of the app."),
        _column("call_id", pa.string(), "The call in it: an OpenTok meeting; null: all of them."),
        _column("session_id", pa.string(), "What was measured: an OpenTok publisher or subscriber; or null."),
        _column("user_id", pa.string(), "The user who measured: an OpenTok connection; null: all users."),
        _column("peer_id", pa.string(), "The user whose stream was measured, if that is another one."),
        _column("metric", pa.string(), "The common name, or the vendor's own where there is none. Key."),
        _column("unit", pa.string(), "The unit of the value; empty where the vendor does not name it."),
        _column("ts", UTC_MILLISECONDS, "When it was measured, or when its interval began. Key."),
        _column("value", pa.float64(), "The value; null where the vendor sent none."),
        _column("source_metric", pa.string(), "The vendor's name of the metric. Key."),
    ]
)
"""One row for each value of a vendor that has no calls, sessions and metrics as Agora has them."""

CALL_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {"calls": CALLS, "sessions": SESSIONS, "metrics": METRICS}
)
"""What is stored call by call, parents first. Writers go through it backwards: a parent's row says that its children are there."""

TABLES: Mapping[str, pa.Schema] = MappingProxyType({**CALL_TABLES, "points": POINTS})
"""The schemas by name."""


@frozen(kw_only=True)
class Encoding:
    """How the columns of a table are kept in a file: those with a dictionary, those with another encoding.

    `statistics` are the columns of which each row group tells the smallest and the largest value, so that a reader
    can pass by; None for all.
    """

    dictionary: tuple[str, ...]
    other: Mapping[str, str]
    statistics: tuple[str, ...] | None = None


ENCODINGS: Mapping[str, Encoding] = MappingProxyType(
    {
        "calls": Encoding(dictionary=("cname",), other={}),
        "sessions": Encoding(
            dictionary=(
                "call_id", "cname", "network", "platform", "roles.list.element", "sdk_version", "device_type"
            ),
            other={},
        ),
        # Measured: a fifth smaller than the writer's defaults. A dictionary that grows too large (values that hardly
        # repeat) is given up by the Parquet writer itself, row group by row group. Statistics of all columns would
        # take a quarter of the time, and a row group holds the sessions and metrics of a call all the same.
        "metrics": Encoding(
            dictionary=("call_id", "sid", "mid", "peer_uid", "value"),
            other={"ts": "DELTA_BINARY_PACKED"},
            statistics=("call_id", "ts"),
        ),
        "points": Encoding(
            dictionary=(
                "vendor", "channel", "call_id", "session_id", "user_id", "peer_id", "metric", "unit", "source_metric"
            ),
            other={"ts": "DELTA_BINARY_PACKED"},
        ),
    }
)  # fmt: skip

KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "calls": ("call_id",),
        "sessions": ("call_id", "sid"),
        "metrics": ("call_id", "sid", "mid", "peer_uid", "ts"),
        "points": ("vendor", "metric", "ts", "source_metric"),
    }
)
"""The columns that name a row. None of them is ever null."""

PARTITIONS = pa.schema(
    [
        _column("app_id", pa.string(), "The app (project) that the call belongs to."),
        _column(
            "day",
            pa.date32(),
            "UTC day on which the call was created, in all of its tables; of `points` without a call, of the value.",
        ),
    ]
)
"""The columns that the folder names carry: `app_id=<id>/day=YYYY-MM-DD`."""


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
