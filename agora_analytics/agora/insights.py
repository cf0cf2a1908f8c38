"""Data Insights: the usage and quality of an app by hour, by day, or in total."""

from collections.abc import Sequence
from typing import Any, Unpack

from agora_analytics.agora.enums import Dimension, Granularity, Names, Product, QualityMetric, names
from agora_analytics.agora.queries import Cost, PlannedRequest, QueryFilters, QueryRunner
from agora_analytics.agora.query_operations import (
    INSIGHT_QUALITY,
    INSIGHT_QUALITY_TOTALS,
    INSIGHT_USAGE,
    INSIGHT_USAGE_TOTALS,
)
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.stat_records import Point, Total
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant


@takes_call_options
class Insights:
    """The queries of Data Insights: `client.insights`.

    Each of the four endpoints has 40 to 60 requests a day. A query takes one for each metric, and for each part of a
    range that is longer than the plan's longest query; `estimate` returns how many, without a request. The server
    computes values again for two days, so recent ones change. They are not for billing.
    """

    def __init__(self, queries: QueryRunner) -> None:
        self._queries = queries

    async def usage(
        self,
        metrics: Names,
        since: Instant,
        until: Instant = "now",
        *,
        granularity: Granularity | str = Granularity.DAY,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[Point]:
        """Return usage over time: a row for each metric and each day or hour of `since <= ts < until`.

        The range is clipped to the plan's reach, and split where it is longer than the plan's longest query.

        Args:
            metrics: a `UsageMetric`, several, or raw names; counts, and durations in minutes.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise; the last 6 to 12 hours, by plan, are not available yet.
            granularity: `Granularity.DAY` or `Granularity.HOUR`; the plans have no usage by the minute. The server decides
                where days begin: see `ts`.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: a misspelt name, a metric of another endpoint, milliseconds, `since` not before `until`.
            WindowOutOfReach: no part of the range is in the plan's reach.
            QuotaExhausted: fewer requests are left today than the query takes; no request was sent.

        Example:
            rows = await client.insights.usage(["userCount", "totalDuration"], "7d")
            print({row.at: row.value for row in rows if row.metric == "userCount"})

        See docs/agora-api.md, endpoint 7.
        """
        filters = QueryFilters(params={"aggregateGranularity": str(granularity)})
        window = self._queries.window(since, until, validate=validate)
        return await self._queries.query(INSIGHT_USAGE, metrics, window, filters, validate)

    async def quality(
        self,
        metrics: Names,
        since: Instant,
        until: Instant = "now",
        *,
        product: Product | str = Product.NATIVE,
        granularity: Granularity | str = Granularity.DAY,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[Point]:
        """Return quality over time: a row for each metric and each day or hour of `since <= ts < until`.

        The range is clipped to the plan's reach, and split where it is longer than the plan's longest query.

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise; the last 6 hours are not available yet.
            product: native SDKs or browsers; a query cannot have both.
            granularity: `Granularity.DAY`, `HOUR`, or `MINUTE`, whose value the vendor does not document.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            AgoraAnalyticsError: as `usage`.

        Example:
            rows = await client.insights.quality("videoFreezeRate", "2d", granularity="1h")
            worst = max(rows, key=lambda row: row.value or 0)

        See docs/agora-api.md, endpoint 8.
        """
        filters = QueryFilters(params={"aggregateGranularity": str(granularity), "productType": str(product)})
        window = self._queries.window(since, until, validate=validate)
        return await self._queries.query(INSIGHT_QUALITY, metrics, window, filters, validate)

    async def usage_totals(
        self,
        metrics: Names,
        since: Instant,
        until: Instant = "now",
        *,
        by: Dimension | str | None = None,
        values: Sequence[str] = (),
        country: str | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[Total]:
        """Return usage over a whole range, of all users or of the 20 largest groups (50 devices).

        Args:
            metrics: a `UsageMetric`, several, or raw names; counts, and durations in minutes.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`). It must be in reach.
            until: likewise; it is clipped to the available data, up to `until` of each row.
            by: what to group by; the two peaks take no dimension.
            values: only these groups.
            country: only the regions of this country; needs `by="region"`.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: a peak with a dimension, values without one, a country without regions, and as `usage`.
            WindowOutOfReach: the range begins too far back, or all of it is too recent.
            QuotaExhausted: fewer requests are left today than the query takes; no request was sent.

        Example:
            rows = await client.insights.usage_totals("userCount", "7d", by="country")
            print(rows[0].dimension_value, rows[0].value)

        See docs/agora-api.md, endpoint 9.
        """
        filters = QueryFilters(dimension=by, values=names(values), country=country)
        window = self._queries.window(since, until, validate=validate)
        return await self._queries.query(INSIGHT_USAGE_TOTALS, metrics, window, filters, validate)

    async def quality_totals(
        self,
        metrics: Names,
        since: Instant,
        until: Instant = "now",
        *,
        product: Product | str = Product.NATIVE,
        by: Dimension | str | None = None,
        values: Sequence[str] = (),
        country: str | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[Total]:
        """Return quality over a whole range, of all users or of the 20 largest groups (50 devices).

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1. `ref_usage` is what they are fractions
                of: attempts to join, or minutes.
            since, until, values, country, validate: as in `usage_totals`.
            product: native SDKs or browsers; a query cannot have both.
            by: what to group by; also `Dimension.CHANNEL_SIZE`.

        Raises:
            AgoraAnalyticsError: as `usage_totals`.

        Example:
            rows = await client.insights.quality_totals("audioFreezeRate", "7d", by="net")
            print({row.dimension_value: row.value for row in rows})

        See docs/agora-api.md, endpoint 10.
        """
        filters = QueryFilters(
            dimension=by, values=names(values), country=country, params={"productType": str(product)}
        )
        window = self._queries.window(since, until, validate=validate)
        return await self._queries.query(INSIGHT_QUALITY_TOTALS, metrics, window, filters, validate)

    async def estimate(
        self,
        metrics: Names,
        since: Instant,
        until: Instant = "now",
        *,
        totals: bool = False,
        **options: Unpack[CallOptions],
    ) -> list[Cost]:
        """Return what a query would cost now, and how many requests are left today. Sends no request.

        Args:
            metrics: usage and quality metrics, also together.
            since: as in the query.
            until: as in the query.
            totals: the query is about totals, not about a time series.

        Raises:
            InvalidRequest: as the query.
            WindowOutOfReach: as the query.

        Example:
            for cost in await client.insights.estimate(["userCount", "networkDelay"], "14d"):
                print(cost.endpoint, cost.requests, "of", cost.left)
        """
        requested = names(metrics)
        quality = [metric for metric in requested if metric in frozenset(QualityMetric)]
        usage = [metric for metric in requested if metric not in quality]
        window = self._queries.window(since, until, validate=True)
        requests: list[PlannedRequest[Any]] = []
        if usage:
            operation = INSIGHT_USAGE_TOTALS if totals else INSIGHT_USAGE
            requests += self._queries.plan(operation, usage, window, validate=True)
        if quality:
            operation = INSIGHT_QUALITY_TOTALS if totals else INSIGHT_QUALITY
            requests += self._queries.plan(operation, quality, window, validate=True)
        if not requests:
            raise InvalidRequest("no metric is given; pass at least one")
        return await self._queries.cost(requests)
