"""The records of statistics, Data Insights and Real-time. Times are UTC epoch seconds, as they were sent.

Rates are fractions of 1, durations are minutes. `extra` has the fields that the reference does not name.
Source: `reference/agora-analytics-api.md`, "Endpoints" 4 to 14.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from attrs import field, frozen

from agora_analytics.agora.records import Uid

Number = int | float


@frozen(kw_only=True)
class Point:
    """One metric at one time.

    Attributes:
        ts: the beginning of the minute, hour, day or 20 seconds that the value is about.
        metric: the metric, as the API spells it.
        value: None where the server sent null.
        dimension: what was grouped by; None: everybody together.
        dimension_value: which group.
        uid: the user, where users were asked for.
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
    """One metric over a whole range of time, of everybody or of one group.

    Attributes:
        metric: the metric, as the API spells it.
        value: None where the server sent null.
        dimension: what was grouped by; None: everybody together.
        dimension_value: which group.
        ref_usage: what the rate was taken from: attempts to join, or minutes; None for counts.
        since: the first second that was asked for.
        until: the last second that was asked for.
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
        dimension: what was grouped by.
        dimension_value: which group.
        metric: the metric, as the API spells it.
        value: None where the server sent null.
        user_count: the users of the group, where they were asked for.
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
    """How one group of a call's users fared.

    Attributes:
        metric: the metric, as the API spells it.
        dimension: what was grouped by.
        dimension_value: which group.
        user_count: how many users it has.
        value: a fraction of 1; None where the server sent null.
        since: the first second that was asked for; a call longer than the plan's span has rows for each part.
        until: the last second that was asked for.
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
    """How many of a call's users froze so much. Only buckets that hold somebody are sent.

    Attributes:
        metric: the metric, as the API spells it.
        bucket: the bounds in percent, as sent: `[0%,3%)`.
        user_count: how many users it has.
        since: the first second that was asked for; a call longer than the plan's span has rows for each part.
        until: the last second that was asked for.
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
        """The bucket as fractions of 1, the upper one excluded; None where it is not written as documented."""
        try:
            low, high = (float(part.strip(" []()%")) / 100 for part in self.bucket.split(","))
        except ValueError:
            return None
        return low, high


Measure = TypeVar("Measure", Point, Total, TopGroup, GroupStatistic, FreezeBucket)
