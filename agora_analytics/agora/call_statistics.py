"""The statistics of one call: the methods of `AsyncAgora` that return rows by group, by freeze rate and by minute."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Unpack

from agora_analytics.agora.enums import Dimension, FreezeMetric, Names, TimeMetric
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.kit.client import Client

if TYPE_CHECKING:
    from agora_analytics.agora.queries import QueryRunner
    from agora_analytics.agora.record_list import Rows
    from agora_analytics.agora.records import Call
    from agora_analytics.agora.settings import Settings
    from agora_analytics.agora.stat_records import FreezeBucket, GroupStatistic, Point
    from agora_analytics.core.windows import Window
    from agora_analytics.instants import Instant


@takes_call_options
class CallStatistics(Client):
    """The part of `AsyncAgora` about the statistics of a call."""

    settings: Settings

    @cached_property
    def _queries(self) -> QueryRunner:
        from agora_analytics.agora.queries import QueryRunner

        return QueryRunner(self._engine, app_id=self.settings.app_id, validate=self._options.validate)

    async def statistics(
        self,
        call: Call | str,
        metrics: Names = tuple(FreezeMetric),
        dimension: Dimension | str = Dimension.NET,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[GroupStatistic]:
        """Return a row for each metric and group of a call's users.

        A call that is longer than the plan's span has rows for each part of it, which `since` and `until` of a row
        name. Fractions of parts cannot be added up.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            metrics: a `FreezeMetric`, both, or raw names; fractions of 1.
            dimension: what to group by.
            since: the call's start, if `call` is an id.
            until: the call's end, if `call` is an id.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: a misspelt name, a metric or dimension of another endpoint, a call id without its time range.
            WindowOutOfReach: the call began too far back, or all of it is too recent.

        Example:
            for row in await client.statistics(call, "video_freeze_rate", "net"):
                print(row.dimension_value, row.user_count, row.value)

        See docs/agora-api.md, endpoint 4.
        """
        from agora_analytics.agora.call_arguments import call_id_of
        from agora_analytics.agora.queries import QueryFilters
        from agora_analytics.agora.query_operations import STATISTICS

        filters = QueryFilters(dimension=str(dimension), params={"call_id": call_id_of(call)})
        window = self._window_of(call, since, until, validate)
        return await self._queries.query(STATISTICS, metrics, window, filters, validate)

    async def freeze_distribution(
        self,
        call: Call | str,
        metrics: Names = tuple(FreezeMetric),
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[FreezeBucket]:
        """Return how many of a call's users have which freeze rate: a row for each metric and bucket, smallest first.

        Empty buckets are not sent. A call that is longer than the plan's span has rows for each part of it, which
        `since` and `until` of a row name. A user may be in several parts.

        Args:
            call: as in `statistics`.
            metrics: a `FreezeMetric`, both, or raw names.
            since, until, validate: as in `statistics`.

        Raises:
            AgoraAnalyticsError: as `statistics`.

        Example:
            for row in await client.freeze_distribution(call, "audio_freeze_rate"):
                print(row.bucket, row.user_count)

        See docs/agora-api.md, endpoint 5.
        """
        from agora_analytics.agora.call_arguments import call_id_of
        from agora_analytics.agora.queries import QueryFilters
        from agora_analytics.agora.query_operations import FREEZE_BUCKET

        filters = QueryFilters(params={"call_id": call_id_of(call)})
        window = self._window_of(call, since, until, validate)
        return await self._queries.query(FREEZE_BUCKET, metrics, window, filters, validate)

    async def statistics_over_time(
        self,
        call: Call | str,
        metrics: Names = TimeMetric.USER_COUNT,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[Point]:
        """Return a call minute by minute: a row for each metric and minute, sorted by time.

        The call is clipped to the plan's reach, and split where it is longer than the plan's span.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            metrics: a `TimeMetric`, several, or raw names; counts of users, and fractions of 1.
            since, until, validate: as in `statistics`.

        Raises:
            InvalidRequest: a misspelt name, a metric of another endpoint, a call id without its time range.
            WindowOutOfReach: no part of the call is in the plan's reach.

        Example:
            rows = await client.statistics_over_time(call, ["user_count", "video_freeze_rate"])
            print(max(row.value or 0 for row in rows if row.metric == "user_count"))

        See docs/agora-api.md, endpoint 6.
        """
        from agora_analytics.agora.call_arguments import call_id_of
        from agora_analytics.agora.queries import QueryFilters
        from agora_analytics.agora.query_operations import STATISTICS_TIME

        filters = QueryFilters(params={"call_id": call_id_of(call)})
        window = self._window_of(call, since, until, validate)
        return await self._queries.query(STATISTICS_TIME, metrics, window, filters, validate)

    def _window_of(
        self, call: Call | str, since: Instant | None, until: Instant | None, validate: bool | None
    ) -> Window:
        from agora_analytics.agora.call_arguments import call_window

        check = self._validates(validate)
        return call_window(call, since, until, now=self._now(), validate=check)
