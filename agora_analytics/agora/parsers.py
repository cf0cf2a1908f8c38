"""How the rows of statistics, Data Insights and Real-time become records: tolerant of what is new or missing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from agora_analytics.agora.enums import OTHER_SPELLINGS
from agora_analytics.agora.records import Uid
from agora_analytics.agora.stat_records import (
    FreezeBucket,
    GroupStatistic,
    Number,
    Point,
    TopGroup,
    Total,
)
from agora_analytics.agora.window_policies import Span
from agora_analytics.core.numbers import whole_number
from agora_analytics.errors import DecodeError

_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, which are all that a `datetime` knows."""


class Row:
    """One row of an answer. What nobody took out of it is its `rest`."""

    def __init__(self, row: Any, path: str) -> None:
        if not isinstance(row, dict):
            raise DecodeError(f"a row is missing, found {type(row).__name__}", path=path)
        self.rest: dict[str, Any] = dict(row)
        self.path = path

    def _take(self, name: str, *, required: bool) -> Any:
        for spelling in (name, *OTHER_SPELLINGS.get(name, ())):
            if spelling in self.rest:
                return self.rest.pop(spelling)
        if required:
            raise DecodeError("a required field is missing", path=f"{self.path}.{name}")
        return None

    def seconds(self, name: str) -> int:
        """Take a time."""
        value = self._take(name, required=True)
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise DecodeError(f"a time cannot be {value!r}", path=f"{self.path}.{name}")
        try:
            seconds = int(value)
        except (ValueError, OverflowError):
            seconds = None
        if seconds is None or not _FIRST <= seconds <= _LAST:
            raise DecodeError(f"a time cannot be {value!r}", path=f"{self.path}.{name}")
        return seconds

    def number(self, name: str, *, required: bool = True) -> Number | None:
        """Take a value; null stays None."""
        value = self._take(name, required=required)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise DecodeError(f"a number cannot be {value!r}", path=f"{self.path}.{name}")
        if isinstance(value, int) and whole_number(value) is None:
            raise DecodeError("a number cannot be so large", path=f"{self.path}.{name}")
        return value

    def count(self, name: str, *, required: bool = True) -> int | None:
        """Take a whole number."""
        value = self.number(name, required=required)
        if value is None and required:
            raise DecodeError("a count cannot be null", path=f"{self.path}.{name}")
        return None if value is None else _counted(value, f"{self.path}.{name}")

    def text(self, name: str, *, required: bool = True) -> str | None:
        """Take a name or an id, whether it was sent as text or as a number; null stays None."""
        value = self._take(name, required=required)
        if isinstance(value, (list, dict)):
            raise DecodeError(f"a name cannot be {value!r}", path=f"{self.path}.{name}")
        return None if value is None else str(value)

    def uid(self) -> Uid:
        """Take a user id."""
        uid = self.text("uid")
        if uid is None:
            raise DecodeError("a user id cannot be null", path=f"{self.path}.uid")
        return Uid(uid)


@frozen(kw_only=True)
class QueryContext:
    """What an answer answers: its rows carry no name of the metric that they all have in common."""

    metric: str
    dimension: str | None = None
    window: Span


Read = Callable[[QueryContext, Any], Sequence[Any]]


def _counted(value: Number, path: str) -> int:
    count = whole_number(int(value))
    if count is None:
        raise DecodeError("a count cannot be so large", path=path)
    return count


def _rows(rows: Any, path: str) -> list[Row]:
    if not isinstance(rows, list):
        raise DecodeError(f"a list of rows is missing, found {type(rows).__name__}", path=path)
    return [Row(row, f"{path}[{i}]") for i, row in enumerate(rows)]


def _group(asked: QueryContext, row: Row, *, required: bool) -> dict[str, Any]:
    if asked.dimension is None:
        return {}
    return {
        "dimension": asked.dimension,
        "dimension_value": row.text(asked.dimension, required=required),
    }


def _point(asked: QueryContext, row: Row, name: str, uid: Uid | None = None) -> Point:
    return Point(
        ts=row.seconds("ts"),
        metric=asked.metric,
        value=row.number(name),
        uid=uid,
        **_group(asked, row, required=False),
        extra=row.rest,
    )


def points(asked: QueryContext, data: Any) -> list[Point]:
    """Read `[{ts, <metric>, [<dimension>]}]`."""
    return [_point(asked, row, asked.metric) for row in _rows(data, "$.data")]


def minutes(asked: QueryContext, data: Any) -> list[Point]:
    """Read `[{ts, value}]`."""
    return [_point(asked, row, "value") for row in _rows(data, "$.data")]


def points_of_users(asked: QueryContext, data: Any) -> list[Point]:
    """Read `[{uid, values[{ts, <metric>}]}]`."""
    return [
        _point(asked, row, asked.metric, uid)
        for user in _rows(data, "$.data")
        for uid in [user.uid()]
        for row in _rows(user.rest.get("values"), f"{user.path}.values")
    ]


def totals(asked: QueryContext, data: Any) -> list[Total]:
    """Read `[{<dimension>, <metric>, [refUsage]}]`."""
    return [
        Total(
            metric=asked.metric,
            value=row.number(asked.metric),
            ref_usage=row.number("refUsage", required=False),
            since=asked.window.start,
            until=asked.window.end,
            **_group(asked, row, required=True),
            extra=row.rest,
        )
        for row in _rows(data, "$.data")
    ]


def top_groups(asked: QueryContext, data: Any) -> list[TopGroup]:
    """Read `{list[{<dimension>, <metric>, windowStartTs, windowEndTs}]}`."""
    if not isinstance(data, Mapping):
        raise DecodeError(f"an object is missing, found {type(data).__name__}", path="$.data")
    found = []
    for row in _rows(data.get("list"), "$.data.list"):
        value = row.number(asked.metric)
        counted = value if asked.metric == "userCount" else row.number("userCount", required=False)
        found.append(
            TopGroup(
                dimension=asked.dimension or "",
                dimension_value=row.text(asked.dimension or ""),
                metric=asked.metric,
                value=value,
                user_count=None if counted is None else _counted(counted, f"{row.path}.userCount"),
                window_start_ts=row.seconds("windowStartTs"),
                window_end_ts=row.seconds("windowEndTs"),
                extra=row.rest,
            )
        )
    return found


def group_statistics(asked: QueryContext, data: Any) -> list[GroupStatistic]:
    """Read `[{dimension_value, user_count, value}]`."""
    return [
        GroupStatistic(
            metric=asked.metric,
            dimension=asked.dimension or "",
            dimension_value=row.text("dimension_value"),
            user_count=row.count("user_count", required=False),
            value=row.number("value"),
            since=asked.window.start,
            until=asked.window.end,
            extra=row.rest,
        )
        for row in _rows(data, "$.data")
    ]


def freeze_buckets(asked: QueryContext, data: Any) -> list[FreezeBucket]:
    """Read `[{bucket, user_count}]`."""
    return [
        FreezeBucket(
            metric=asked.metric,
            bucket=row.text("bucket") or "",
            user_count=row.count("user_count") or 0,
            since=asked.window.start,
            until=asked.window.end,
            extra=row.rest,
        )
        for row in _rows(data, "$.data")
    ]
