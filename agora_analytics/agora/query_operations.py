"""The operations that return the values of one metric for each request, and the table of all operations.

Call Inspector spells its parameters in snake_case, Data Insights and Real-time in camelCase; `appid` is lower case
everywhere.

Source: Agora, "Analytics REST API reference"; see docs/agora-api.md.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from agora_analytics.agora import enums, plans, stat_records, window_policies
from agora_analytics.agora.operations import LISTS, METRICS, SESSIONS
from agora_analytics.agora.parsers import Parse, read_query
from agora_analytics.agora.stat_records import FreezeBucket, GroupStatistic, Point, TopGroup, Total
from agora_analytics.core.verdicts import Read
from agora_analytics.kit.operation import Operation

T = TypeVar("T")

_DIMENSIONS = frozenset(enums.Dimension) - {enums.Dimension.CHANNEL_SIZE}


@frozen(kw_only=True)
class QueryOperation(Operation[Sequence[T]], Generic[T]):
    """An endpoint that returns the values of one metric for each request.

    Attributes:
        record: the class of the records.
        parse: returns the records of a response's `data`.
        metrics: the documented metrics.
        dimensions: the documented dimensions.
        ungrouped: metrics that take no dimension.
        granularities: the lengths of time that a row may cover; empty: the caller has no choice.
        order: sorts the records of all responses of a query; None: the order of the responses.
        read: see `Operation`; a query passes its own, which knows the metric.
    """

    record: type[T]
    parse: Parse[T]
    metrics: frozenset[str]
    dimensions: frozenset[str] = frozenset()
    ungrouped: frozenset[str] = frozenset()
    granularities: Sequence[str] = ()
    order: Callable[[Any], Any] | None = None
    read: Read[Sequence[T]] = field(init=False, repr=False)

    @read.default
    def _read(self) -> Read[Sequence[T]]:
        return partial(read_query, parse=self.parse, metric="")


_POINTS: Any = {
    "record": Point,
    "key": lambda point: (point.metric, point.ts, point.dimension_value, point.uid),
    "order": lambda point: point.ts,
}
_OF_A_CALL: Any = {
    "write_window": window_policies.snake_case_ends,
    "of_one_call": True,
    "clip": window_policies.clip_end_only,
    "metrics": frozenset(enums.FreezeMetric),
}
_OVER_TIME: Any = {
    "write_window": window_policies.camel_case_ends,
    "split": window_policies.split_at_hours,
    "parse": stat_records.points,
} | _POINTS
_IN_TOTAL: Any = {
    "method": "POST",
    "write_window": window_policies.camel_case_ends,
    "clip": window_policies.clip_end_only,
    "split": window_policies.do_not_split,
    "record": Total,
    "parse": stat_records.totals,
}
_LIVE: Any = {
    "write_window": window_policies.grid_ends,
    "clip": window_policies.clip_to_grid,
    "split": window_policies.split_on_grid,
    "parse": stat_records.points,
    "dimensions": _DIMENSIONS,
} | _POINTS
_TOP: Any = {
    "write_window": window_policies.single_time,
    "record": TopGroup,
    "parse": stat_records.top_groups,
    "dimensions": _DIMENSIONS,
}

STATISTICS: QueryOperation[GroupStatistic] = QueryOperation(
    name=plans.CALL_STATISTICS,
    path="/beta/analytics/call/statistics",
    record=GroupStatistic,
    parse=stat_records.group_statistics,
    dimensions=_DIMENSIONS,
    **_OF_A_CALL,
)
FREEZE_BUCKET: QueryOperation[FreezeBucket] = QueryOperation(
    name=plans.CALL_FREEZE_BUCKET,
    path="/beta/analytics/call/freeze/bucket",
    record=FreezeBucket,
    parse=stat_records.freeze_buckets,
    **_OF_A_CALL,
)
STATISTICS_TIME: QueryOperation[Point] = QueryOperation(
    name=plans.CALL_STATISTICS_TIME,
    path="/beta/analytics/call/statistics/time",
    write_window=window_policies.snake_case_ends,
    of_one_call=True,
    split=window_policies.split_at_hours,
    parse=stat_records.minutes,
    metrics=frozenset(enums.TimeMetric),
    **_POINTS,
)
INSIGHT_USAGE: QueryOperation[Point] = QueryOperation(
    name=plans.INSIGHT_USAGE,
    path="/beta/insight/usage/by_time",
    metrics=frozenset(enums.UsageMetric),
    granularities=(enums.Granularity.DAY, enums.Granularity.HOUR),
    **_OVER_TIME,
)
INSIGHT_QUALITY: QueryOperation[Point] = QueryOperation(
    name=plans.INSIGHT_QUALITY,
    path="/beta/insight/quality/by_time",
    metrics=frozenset(enums.QualityMetric),
    granularities=tuple(enums.Granularity),
    **_OVER_TIME,
)
INSIGHT_USAGE_TOTALS: QueryOperation[Total] = QueryOperation(
    name=plans.INSIGHT_USAGE_TOTALS,
    path="/beta/insight/usage/aggregation",
    metrics=frozenset(enums.UsageMetric),
    dimensions=_DIMENSIONS,
    ungrouped=enums.PEAKS,
    **_IN_TOTAL,
)
INSIGHT_QUALITY_TOTALS: QueryOperation[Total] = QueryOperation(
    name=plans.INSIGHT_QUALITY_TOTALS,
    path="/beta/insight/quality/aggregation",
    metrics=frozenset(enums.QualityMetric),
    dimensions=frozenset(enums.Dimension),
    **_IN_TOTAL,
)
REALTIME_USAGE: QueryOperation[Point] = QueryOperation(
    name=plans.REALTIME_USAGE,
    path="/beta/realtime/usage/by_time_20sec",
    metrics=enums.LIVE_COUNTS,
    ungrouped=frozenset({enums.RealtimeMetric.CHANNEL_COUNT}),
    **_LIVE,
)
REALTIME_QUALITY: QueryOperation[Point] = QueryOperation(
    name=plans.REALTIME_QUALITY,
    path="/beta/realtime/quality/by_time_20sec",
    metrics=frozenset(enums.QualityMetric),
    **_LIVE,
)
REALTIME_USAGE_TOP: QueryOperation[TopGroup] = QueryOperation(
    name=plans.REALTIME_USAGE_TOP,
    path="/beta/realtime/usage/dimension/top20",
    metrics=frozenset({enums.RealtimeMetric.USER_COUNT}),
    **_TOP,
)
REALTIME_QUALITY_TOP: QueryOperation[TopGroup] = QueryOperation(
    name=plans.REALTIME_QUALITY_TOP,
    path="/beta/realtime/quality/dimension/top20",
    metrics=frozenset(enums.QualityMetric),
    **_TOP,
)

OPERATIONS: Mapping[str, Operation[Any]] = {
    operation.name: operation
    for operation in (
        *(LISTS, SESSIONS, METRICS, STATISTICS, FREEZE_BUCKET, STATISTICS_TIME),
        *(INSIGHT_USAGE, INSIGHT_QUALITY, INSIGHT_USAGE_TOTALS, INSIGHT_QUALITY_TOTALS),
        *(REALTIME_USAGE, REALTIME_QUALITY, REALTIME_USAGE_TOP, REALTIME_QUALITY_TOP),
    )
}
"""All operations by name, in the order of the reference."""
