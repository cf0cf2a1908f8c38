"""How a whole call went: by group of users, by how much they froze, and minute by minute."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from agora_analytics.agora import checks, parsers, window_policies
from agora_analytics.agora.call_inspector import CallInspector
from agora_analytics.agora.enums import Dimension, FreezeMetric, Names, TimeMetric, names
from agora_analytics.agora.operations import FREEZE_BUCKET, STATISTICS, STATISTICS_TIME
from agora_analytics.agora.queries import PlannedRequest
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.records import Call
from agora_analytics.agora.stat_records import FreezeBucket, GroupStatistic, Point
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.windows import Window, split
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant

T = TypeVar("T")


class CallStatistics(CallInspector):
    """Call Inspector's listings and the statistics of whole calls.

    A question takes one request for each metric, and for each part of a call that is longer than the plan's span.
    """

    async def statistics(
        self,
        call: Call | str,
        metrics: Names = (FreezeMetric.AUDIO_FREEZE_RATE, FreezeMetric.VIDEO_FREEZE_RATE),
        dimension: Dimension | str = Dimension.NET,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        validate: bool | None = None,
    ) -> Rows[GroupStatistic]:
        """Return how the groups of a call's users fared: a row for each metric and group.

        A call that is longer than the plan's span has rows for each part of it; their `since` and `until` tell which.
        Shares of parts cannot be added up.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            metrics: a `FreezeMetric`, both, or raw names; fractions of 1.
            dimension: what to group by.
            since: the call's start, where `call` is an id.
            until: the call's end, where `call` is an id.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a metric or a dimension that this does not take, a call id without its time range.
            WindowOutOfReach: the call began too far back, or all of it is too recent.

        Example:
            for row in await client.statistics(call, "video_freeze_rate", "net"):
                print(row.dimension_value, row.user_count, row.value)

        Source: `reference/agora-analytics-api.md`, endpoint 4.
        """
        return await self._of_call(
            STATISTICS,
            call,
            metrics,
            (since, until),
            validate,
            kind=GroupStatistic,
            read=parsers.group_statistics,
            dimension=str(dimension),
        )

    async def freeze_distribution(
        self,
        call: Call | str,
        metrics: Names = (FreezeMetric.AUDIO_FREEZE_RATE, FreezeMetric.VIDEO_FREEZE_RATE),
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        validate: bool | None = None,
    ) -> Rows[FreezeBucket]:
        """Return how many of a call's users froze how much, the smooth ones first: a row for each metric and bucket.

        Buckets that hold nobody are not sent. A call that is longer than the plan's span has rows for each part of
        it; their `since` and `until` tell which. A user may be in several parts.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            metrics: a `FreezeMetric`, both, or raw names.
            since: the call's start, where `call` is an id.
            until: the call's end, where `call` is an id.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a metric that this does not take, a call id without its time range.
            WindowOutOfReach: the call began too far back, or all of it is too recent.

        Example:
            for row in await client.freeze_distribution(call, "audio_freeze_rate"):
                print(row.bucket, row.user_count)

        Source: `reference/agora-analytics-api.md`, endpoint 5.
        """
        order = list(names(metrics))
        return await self._of_call(
            FREEZE_BUCKET,
            call,
            metrics,
            (since, until),
            validate,
            kind=FreezeBucket,
            read=parsers.freeze_buckets,
            order=lambda row: (order.index(row.metric), row.since, row.bounds or (1.0, 1.0)),
        )

    async def statistics_over_time(
        self,
        call: Call | str,
        metrics: Names = TimeMetric.USER_COUNT,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        validate: bool | None = None,
    ) -> Rows[Point]:
        """Return a call minute by minute: a row for each metric and minute, sorted by time.

        The call is cut to what the plan reaches, and split where it is longer than the plan's span.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            metrics: a `TimeMetric`, several, or raw names; counts of users, and fractions of 1.
            since: the call's start, where `call` is an id.
            until: the call's end, where `call` is an id.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a metric that this does not take, a call id without its time range.
            WindowOutOfReach: nothing of the call is in the plan's reach.

        Example:
            rows = await client.statistics_over_time(call, ["user_count", "video_freeze_rate"])
            print(max(row.value or 0 for row in rows if row.metric == "user_count"))

        Source: `reference/agora-analytics-api.md`, endpoint 6.
        """
        return await self._of_call(
            STATISTICS_TIME,
            call,
            metrics,
            (since, until),
            validate,
            kind=Point,
            read=parsers.minutes,
            key=lambda point: (point.metric, point.ts),
            order=lambda point: point.ts,
        )

    async def _of_call(
        self,
        endpoint: Endpoint,
        call: Call | str,
        metrics: Names,
        ends: tuple[Instant | None, Instant | None],
        validate: bool | None,
        *,
        kind: type[T],
        read: parsers.Read,
        dimension: str | None = None,
        key: Callable[[T], Any] | None = None,
        order: Callable[[T], Any] | None = None,
    ) -> Rows[T]:
        checked = self._asker.validate if validate is None else validate
        asked = names(metrics)
        cut = window_policies.cut_insight if endpoint is STATISTICS_TIME else window_policies.keep_start
        if checked:
            checks.check_metrics(endpoint, asked)
            checks.check_dimension(endpoint, asked, dimension)
        params = (
            ("call_id", call if isinstance(call, str) else call.call_id),
            *((("dimension", dimension),) if dimension is not None else ()),
        )
        asks = [
            PlannedRequest(
                endpoint=endpoint,
                asked=parsers.QueryContext(metric=metric, dimension=dimension, window=window),
                params=(*params, ("metric", metric)),
                cut=cut,
            )
            for metric in asked
            for window in self._parts(endpoint, call, ends, cut, checked=checked)
        ]
        return await self._asker.answer(asks, kind=kind, read=read, key=key, order=order, validate=checked)

    def _parts(
        self,
        endpoint: Endpoint,
        call: Call | str,
        ends: tuple[Instant | None, Instant | None],
        cut: window_policies.Cut,
        *,
        checked: bool,
    ) -> Sequence[window_policies.Span]:
        since, until = ends
        if not checked and isinstance(call, str):
            if since is None or until is None:
                raise InvalidRequest("a call id needs since= and until=, the time range of the call")
            return [self._asker.as_given(since, until)]
        window = self._call_window(call, since, until)
        if not checked:
            return [window_policies.Ends(window.start, window.end)]
        limits = self._asker.limits(endpoint)
        left: Window = cut(window, limits, self._asker.now(), endpoint.name)
        parts = split(left, limits)
        if endpoint is STATISTICS_TIME:
            return window_policies.insight_windows(left, limits, self._asker.now(), endpoint=endpoint.name)
        return parts
