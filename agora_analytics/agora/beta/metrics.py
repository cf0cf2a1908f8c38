"""Metrics of the app by day and by minute: the methods of `AsyncAgoraBeta` that return points."""

from typing import Any, Unpack

from attrs import evolve

from agora_analytics.agora.beta import operations
from agora_analytics.agora.beta.enums import (
    BetaExperienceMetric,
    BetaNetMetric,
    BetaScaleMetric,
    BetaUsageMetric,
)
from agora_analytics.agora.beta.records import BetaPoint
from agora_analytics.agora.enums import Names, names
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.settings import Settings
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.instants import Instant
from agora_analytics.kit.client import Client
from agora_analytics.kit.operation import Operation


@takes_call_options
class BetaMetrics(Client):
    """The part of `AsyncAgoraBeta` about metrics of the app."""

    settings: Settings

    async def usage(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        metrics: Names = tuple(BetaUsageMetric),
        **options: Unpack[CallOptions],
    ) -> Rows[BetaPoint]:
        """Return the number of users, sessions and channels: a row for each metric and UTC day.

        All metrics take one request; the API allows 10 requests a day, one a minute. A day is available from 08:00 UTC
        of the next day.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most 7 days.
            until: likewise; the available part of the range must be at least a day.
            metrics: a `BetaUsageMetric`, several, or raw names.

        Raises:
            InvalidRequest: less than a day, a metric of another endpoint, and as `calls`.
            WindowOutOfReach: no part of the range is in the last 7 days.

        Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), "Get number of channels & users".
        """
        seconds = self._range(since, until)
        # As in the page's example: a day ends where the next one begins.
        window = Window(seconds.start, seconds.end + 1)
        rows = await self._points(operations.USAGE, window, metrics)
        return evolve(rows, records=tuple(row for row in rows if row.ts < window.end))

    async def live_scale(
        self,
        since: Instant = "30m",
        until: Instant = "now",
        *,
        metrics: Names = tuple(BetaScaleMetric),
        **options: Unpack[CallOptions],
    ) -> Rows[BetaPoint]:
        """Return the number of users and channels: a row for each metric and minute.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most an hour.
            until: likewise; the range is cut to what is available, 2 minutes late.
            metrics: a `BetaScaleMetric`, both, or raw names.

        Raises:
            InvalidRequest: a metric of another endpoint, and as `calls`.
            WindowOutOfReach: no part of the range is in the past hour.

        Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), "Live scale API".
        """
        return await self._points(operations.LIVE_SCALE, self._range(since, until), metrics)

    async def live_experience(
        self,
        since: Instant = "30m",
        until: Instant = "now",
        *,
        metrics: Names = tuple(BetaExperienceMetric),
        **options: Unpack[CallOptions],
    ) -> Rows[BetaPoint]:
        """Return the quality of joining and playing, in PERCENT: a row for each metric and minute.

        The numbers are as they were sent, 0 to 100; today's API sends fractions.

        `metrics`: a `BetaExperienceMetric`, several, or raw names. Other Args and Raises: as `live_scale`.

        Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), "Live experience API".
        """
        return await self._points(operations.LIVE_EXPERIENCE, self._range(since, until), metrics)

    async def live_net(
        self,
        since: Instant = "30m",
        until: Instant = "now",
        *,
        metrics: Names = tuple(BetaNetMetric),
        **options: Unpack[CallOptions],
    ) -> Rows[BetaPoint]:
        """Return the share of transmissions with at most 5 % loss, in PERCENT: a row for each metric and minute.

        `metrics`: a `BetaNetMetric`, several, or raw names. Other Args and Raises: as `live_scale`.

        Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), "Live network API".
        """
        return await self._points(operations.LIVE_NET, self._range(since, until), metrics)

    async def _points(
        self, operation: operations.BetaMetricsOperation, window: Window, metrics: Names
    ) -> Rows[BetaPoint]:
        requested = names(metrics)
        limits = self._limits(operation)
        if limits is not None:
            operation.check(requested)
        (part,) = operation.plan(window, limits, self._now(), self._engine.observer)
        if limits is not None and operation is operations.USAGE:
            operations.check_whole_day(part, limits, self._now())
        query = (("appid", self.settings.app_id), ("metric", ",".join(requested)))
        response = await self._engine.run(operation.request(query, window=part, limits=limits))
        return Rows(
            records=tuple(response.result), meta=(response.meta,), kind=BetaPoint, skipped=response.skipped
        )

    def _limits(self, operation: Operation[Any]) -> Limits | None:
        """Return the limits that time ranges are cut to; None if nothing is validated."""
        return self._engine.limits(operation) if self._options.validate else None

    def _range(self, since: Instant, until: Instant) -> Window:
        return self._window(since, until, validate=True)
