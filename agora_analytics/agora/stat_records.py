"""The records of statistics, Data Insights and Real-time, and how rows become records.

Times are UTC epoch seconds, as they were sent. Rates are fractions of 1, durations are minutes. `extra` has the fields
that the reference does not name or that cannot be read.

Source: Agora, "Analytics REST API reference"; endpoints 4 to 14 of docs/agora-api.md.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from agora_analytics.agora.enums import UNITS
from agora_analytics.agora.parsers import Number, QueryContext
from agora_analytics.agora.records import Uid
from agora_analytics.core.field_types import Int64, Seconds
from agora_analytics.core.lenient_reader import kind_of, list_of
from agora_analytics.core.record import Record
from agora_analytics.errors import DecodeError


class _Measured(Record):
    __slots__ = ()

    _IN_JSON = ("unit",)
    metric: str

    @property
    def unit(self) -> str:
        """The unit of `value`: `ratio`, `min`, or "" for a count and for a metric that no document names."""
        return UNITS.get(self.metric, "")


@frozen(kw_only=True)
class Point(_Measured):
    """One metric at one time.

    Attributes:
        ts: the beginning of the minute, hour, day or 20 seconds of the value.
        metric: the metric, as the API spells it.
        value: None if the server sent null.
        dimension: what the query grouped by; None: all users together.
        dimension_value: the group.
        uid: the user, if users were requested.
        extra: fields that the reference does not name or that cannot be read.
    """

    ts: Seconds
    metric: str
    value: Number | None
    dimension: str | None = None
    dimension_value: str | None = None
    uid: Uid | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def at(self) -> datetime:
        """`ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)


@frozen(kw_only=True)
class Total(_Measured):
    """One metric over a whole time range, of all users or of one group.

    Attributes:
        metric: the metric, as the API spells it.
        value: None if the server sent null.
        dimension: what the query grouped by; None: all users together.
        dimension_value: the group.
        ref_usage: what the rate is a fraction of: attempts to join, or minutes; None for counts.
        since: the first requested second.
        until: the last requested second.
        extra: fields that the reference does not name or that cannot be read.
    """

    metric: str
    value: Number | None
    dimension: str | None = None
    dimension_value: str | None = None
    ref_usage: Number | None = None
    since: int
    until: int
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class TopGroup(_Measured):
    """One of the 20 largest groups in one 20-second window.

    Attributes:
        dimension: what the query grouped by.
        dimension_value: the group.
        metric: the metric, as the API spells it.
        value: None if the server sent null.
        user_count: the number of users of the group, if it was requested.
        window_start_ts: the beginning of the window.
        window_end_ts: its end.
        extra: fields that the reference does not name or that cannot be read.
    """

    dimension: str
    dimension_value: str | None
    metric: str
    value: Number | None
    user_count: Int64 | None = None
    window_start_ts: Seconds
    window_end_ts: Seconds
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class GroupStatistic(_Measured):
    """One metric of one group of a call's users.

    Attributes:
        metric: the metric, as the API spells it.
        dimension: what the query grouped by.
        dimension_value: the group.
        user_count: how many users it has.
        value: a fraction of 1; None if the server sent null.
        since: the first requested second; a call longer than the plan's span has rows for each part.
        until: the last requested second.
        extra: fields that the reference does not name or that cannot be read.
    """

    metric: str
    dimension: str
    dimension_value: str | None
    user_count: Int64 | None = None
    value: Number | None
    since: int
    until: int
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class FreezeBucket(Record):
    """The number of a call's users with a freeze rate in a range. Empty buckets are not sent.

    Attributes:
        metric: the metric, as the API spells it.
        bucket: the range in percent, as sent: `[0%,3%)`.
        user_count: how many users it has.
        since: the first requested second; a call longer than the plan's span has rows for each part.
        until: the last requested second.
        extra: fields that the reference does not name or that cannot be read.
    """

    metric: str
    bucket: str
    user_count: Int64
    since: int
    until: int
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The bucket as fractions of 1, the upper one excluded; None if it is not written as documented."""
        try:
            low, high = (float(part.strip(" []()%")) / 100 for part in self.bucket.split(","))
        except ValueError:
            return None
        return low, high


def points(context: QueryContext, data: Any) -> list[Point]:
    """Read `[{ts, <metric>, [<dimension>]}]`."""
    return context.records(Point, data, uid=None)


def minutes(context: QueryContext, data: Any) -> list[Point]:
    """Read `[{ts, value}]`."""
    return context.records(Point, data, names={"value": "value"}, uid=None)


@frozen(kw_only=True)
class _PointsOfUser:
    uid: Uid
    values: Any = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


def points_of_users(context: QueryContext, data: Any) -> list[Point]:
    """Read `[{uid, values[{ts, <metric>}]}]`."""
    read: list[Point] = []
    for i, row in enumerate(list_of(data, "$.data")):
        if (user := context.reader.record(_PointsOfUser, row, f"$.data[{i}]")) is not None:
            path = f"$.data[{i}].values"
            read += context.records(Point, context.reader.inner_list(user.values, path), path, uid=user.uid)
    return read


def totals(context: QueryContext, data: Any) -> list[Total]:
    """Read `[{<dimension>, <metric>, [refUsage]}]`."""
    return context.records(Total, data, names={"ref_usage": "refUsage"}, present=("value", "dimension_value"))


def top_groups(context: QueryContext, data: Any) -> list[TopGroup]:
    """Read `{list[{<dimension>, <metric>, windowStartTs, windowEndTs}]}`."""
    if not isinstance(data, Mapping | None):
        raise DecodeError(f"expected an object, found {kind_of(data)}", path="$.data")
    return context.records(
        TopGroup,
        (data or {}).get("list"),
        "$.data.list",
        names={
            "user_count": "userCount",
            "window_start_ts": "windowStartTs",
            "window_end_ts": "windowEndTs",
        },
        present=("value", "dimension_value"),
    )


def group_statistics(context: QueryContext, data: Any) -> list[GroupStatistic]:
    """Read `[{dimension_value, user_count, value}]`."""
    names = {"dimension_value": "dimension_value", "value": "value"}
    return context.records(GroupStatistic, data, names=names, present=("value", "dimension_value"))


def freeze_buckets(context: QueryContext, data: Any) -> list[FreezeBucket]:
    """Read `[{bucket, user_count}]`; the smallest freeze rates first."""
    buckets = context.records(FreezeBucket, data)
    return sorted(buckets, key=lambda bucket: bucket.bounds or (1.0, 1.0))
