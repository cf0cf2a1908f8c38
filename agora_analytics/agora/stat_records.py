"""The records of statistics, Data Insights and Real-time, and how rows become records.

Times are UTC epoch seconds, as they were sent. Rates are fractions of 1, durations are minutes. `extra` has the fields
that the reference does not name.

Source: Agora, "Analytics REST API reference"; endpoints 4 to 14 of docs/agora-api.md.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from agora_analytics.agora.parsers import Number, QueryContext, Row, rows_of, whole_count
from agora_analytics.agora.records import Uid
from agora_analytics.errors import DecodeError


@frozen(kw_only=True)
class Point:
    """One metric at one time.

    Attributes:
        ts: the beginning of the minute, hour, day or 20 seconds of the value.
        metric: the metric, as the API spells it.
        value: None if the server sent null.
        dimension: what the query grouped by; None: all users together.
        dimension_value: the group.
        uid: the user, if users were requested.
        extra: fields that the reference does not name.
    """

    ts: int
    metric: str
    value: Number | None
    dimension: str | None = None
    dimension_value: str | None = None
    uid: Uid | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def at(self) -> datetime:
        """`ts` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)


@frozen(kw_only=True)
class Total:
    """One metric over a whole time range, of all users or of one group.

    Attributes:
        metric: the metric, as the API spells it.
        value: None if the server sent null.
        dimension: what the query grouped by; None: all users together.
        dimension_value: the group.
        ref_usage: what the rate is a fraction of: attempts to join, or minutes; None for counts.
        since: the first requested second.
        until: the last requested second.
        extra: fields that the reference does not name.
    """

    metric: str
    value: Number | None
    dimension: str | None = None
    dimension_value: str | None = None
    ref_usage: Number | None = None
    since: int
    until: int
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class TopGroup:
    """One of the 20 largest groups in one 20-second window.

    Attributes:
        dimension: what the query grouped by.
        dimension_value: the group.
        metric: the metric, as the API spells it.
        value: None if the server sent null.
        user_count: the number of users of the group, if it was requested.
        window_start_ts: the beginning of the window.
        window_end_ts: its end.
        extra: fields that the reference does not name.
    """

    dimension: str
    dimension_value: str | None
    metric: str
    value: Number | None
    user_count: int | None = None
    window_start_ts: int
    window_end_ts: int
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class GroupStatistic:
    """One metric of one group of a call's users.

    Attributes:
        metric: the metric, as the API spells it.
        dimension: what the query grouped by.
        dimension_value: the group.
        user_count: how many users it has.
        value: a fraction of 1; None if the server sent null.
        since: the first requested second; a call longer than the plan's span has rows for each part.
        until: the last requested second.
        extra: fields that the reference does not name.
    """

    metric: str
    dimension: str
    dimension_value: str | None
    user_count: int | None = None
    value: Number | None
    since: int
    until: int
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class FreezeBucket:
    """The number of a call's users with a freeze rate in a range. Empty buckets are not sent.

    Attributes:
        metric: the metric, as the API spells it.
        bucket: the range in percent, as sent: `[0%,3%)`.
        user_count: how many users it has.
        since: the first requested second; a call longer than the plan's span has rows for each part.
        until: the last requested second.
        extra: fields that the reference does not name.
    """

    metric: str
    bucket: str
    user_count: int
    since: int
    until: int
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The bucket as fractions of 1, the upper one excluded; None if it is not written as documented."""
        try:
            low, high = (float(part.strip(" []()%")) / 100 for part in self.bucket.split(","))
        except ValueError:
            return None
        return low, high


def _group(context: QueryContext, row: Row, *, required: bool) -> dict[str, Any]:
    if context.dimension is None:
        return {}
    return {
        "dimension": context.dimension,
        "dimension_value": row.text(context.dimension, required=required),
    }


def _point(context: QueryContext, row: Row, name: str, uid: Uid | None = None) -> Point:
    return Point(
        ts=row.seconds("ts"),
        metric=context.metric,
        value=row.number(name),
        uid=uid,
        **_group(context, row, required=False),
        extra=row.rest,
    )


def points(context: QueryContext, data: Any) -> list[Point]:
    """Read `[{ts, <metric>, [<dimension>]}]`."""
    return [_point(context, row, context.metric) for row in rows_of(data, "$.data")]


def minutes(context: QueryContext, data: Any) -> list[Point]:
    """Read `[{ts, value}]`."""
    return [_point(context, row, "value") for row in rows_of(data, "$.data")]


def points_of_users(context: QueryContext, data: Any) -> list[Point]:
    """Read `[{uid, values[{ts, <metric>}]}]`."""
    return [
        _point(context, row, context.metric, uid)
        for user in rows_of(data, "$.data")
        for uid in [user.uid()]
        for row in rows_of(user.rest.get("values"), f"{user.path}.values")
    ]


def totals(context: QueryContext, data: Any) -> list[Total]:
    """Read `[{<dimension>, <metric>, [refUsage]}]`."""
    return [
        Total(
            metric=context.metric,
            value=row.number(context.metric),
            ref_usage=row.number("refUsage", required=False),
            since=context.window.start,
            until=context.window.end,
            **_group(context, row, required=True),
            extra=row.rest,
        )
        for row in rows_of(data, "$.data")
    ]


def top_groups(context: QueryContext, data: Any) -> list[TopGroup]:
    """Read `{list[{<dimension>, <metric>, windowStartTs, windowEndTs}]}`."""
    if not isinstance(data, Mapping):
        raise DecodeError(f"expected an object, found {type(data).__name__}", path="$.data")
    groups = []
    for row in rows_of(data.get("list"), "$.data.list"):
        value = row.number(context.metric)
        users = value if context.metric == "userCount" else row.number("userCount", required=False)
        groups.append(
            TopGroup(
                dimension=context.dimension or "",
                dimension_value=row.text(context.dimension or ""),
                metric=context.metric,
                value=value,
                user_count=None if users is None else whole_count(users, f"{row.path}.userCount"),
                window_start_ts=row.seconds("windowStartTs"),
                window_end_ts=row.seconds("windowEndTs"),
                extra=row.rest,
            )
        )
    return groups


def group_statistics(context: QueryContext, data: Any) -> list[GroupStatistic]:
    """Read `[{dimension_value, user_count, value}]`."""
    return [
        GroupStatistic(
            metric=context.metric,
            dimension=context.dimension or "",
            dimension_value=row.text("dimension_value"),
            user_count=row.count("user_count", required=False),
            value=row.number("value"),
            since=context.window.start,
            until=context.window.end,
            extra=row.rest,
        )
        for row in rows_of(data, "$.data")
    ]


def freeze_buckets(context: QueryContext, data: Any) -> list[FreezeBucket]:
    """Read `[{bucket, user_count}]`; the smallest freeze rates first."""
    buckets = [
        FreezeBucket(
            metric=context.metric,
            bucket=row.text("bucket") or "",
            user_count=row.count("user_count") or 0,
            since=context.window.start,
            until=context.window.end,
            extra=row.rest,
        )
        for row in rows_of(data, "$.data")
    ]
    return sorted(buckets, key=lambda bucket: bucket.bounds or (1.0, 1.0))
