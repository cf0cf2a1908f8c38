"""Data Insights: how much an app was used, and how well it went, by the hour, by the day, or in total."""

from collections.abc import Sequence

from agora_analytics.agora import checks, parsers, window_policies
from agora_analytics.agora.enums import (
    Dimension,
    Granularity,
    Names,
    Product,
    QualityMetric,
    names,
)
from agora_analytics.agora.operations import (
    INSIGHT_QUALITY,
    INSIGHT_QUALITY_TOTALS,
    INSIGHT_USAGE,
    INSIGHT_USAGE_TOTALS,
)
from agora_analytics.agora.queries import Cost, Parameter, PlannedRequest, QueryRunner
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.stat_records import Point, Total
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant


class Insights:
    """The questions of Data Insights; `client.insights` is one.

    A day has 40 to 60 requests for each of the four endpoints. A question takes one for each metric, and for each
    part of a range that is longer than the plan's longest query; `estimate` tells how many, and asks nothing.
    Numbers are computed again until two days later, so young ones change. They are not for billing.
    """

    def __init__(self, asker: QueryRunner) -> None:
        self._asker = asker

    async def usage(
        self,
        metrics: Names,
        since: Instant,
        until: Instant = "now",
        *,
        granularity: Granularity | str = Granularity.DAY,
        validate: bool | None = None,
    ) -> Rows[Point]:
        """Return usage over time: a row for each metric and each day or hour of `since <= ts < until`.

        The range is cut to what the plan reaches, and split where it is longer than its longest query.

        Args:
            metrics: a `UsageMetric`, several, or raw names; counts, and durations in minutes.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise; the last 6 to 12 hours, by plan, are not there yet.
            granularity: `Granularity.DAY` or `Granularity.HOUR`. Where days begin is up to the server: see `ts`.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a metric of another family, milliseconds, `since` not before `until`.
            WindowOutOfReach: nothing of the range is in the plan's reach.
            QuotaExhausted: the day has fewer requests left than this takes; nothing was sent.

        Example:
            rows = await client.insights.usage(["userCount", "totalDuration"], "7d")
            print({row.at: row.value for row in rows if row.metric == "userCount"})

        Source: `reference/agora-analytics-api.md`, endpoint 7.
        """
        params = (("aggregateGranularity", str(granularity)),)
        return await self._over_time(INSIGHT_USAGE, metrics, since, until, params, validate)

    async def quality(
        self,
        metrics: Names,
        since: Instant,
        until: Instant = "now",
        *,
        product: Product | str = Product.NATIVE,
        granularity: Granularity | str = Granularity.DAY,
        validate: bool | None = None,
    ) -> Rows[Point]:
        """Return quality over time: a row for each metric and each day or hour of `since <= ts < until`.

        The range is cut to what the plan reaches, and split where it is longer than its longest query.

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise; the last 6 hours are not there yet.
            product: native SDKs, or browsers; there is no answer about both.
            granularity: `Granularity.DAY`, `HOUR`, or `MINUTE`, whose value the vendor does not document.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a metric of another family, milliseconds, `since` not before `until`.
            WindowOutOfReach: nothing of the range is in the plan's reach.
            QuotaExhausted: the day has fewer requests left than this takes; nothing was sent.

        Example:
            rows = await client.insights.quality("videoFreezeRate", "2d", granularity="1h")
            worst = max(rows, key=lambda row: row.value or 0)

        Source: `reference/agora-analytics-api.md`, endpoint 8.
        """
        params = (("aggregateGranularity", str(granularity)), ("productType", str(product)))
        return await self._over_time(INSIGHT_QUALITY, metrics, since, until, params, validate)

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
    ) -> Rows[Total]:
        """Return usage over a whole range, of everybody or of the 20 largest groups (50 devices).

        Args:
            metrics: a `UsageMetric`, several, or raw names; counts, and durations in minutes.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`); all of it must be in reach.
            until: likewise; it is cut to what the plan has already, and each row's `until` says where.
            by: what to group by; the two peaks take no dimension.
            values: only these groups.
            country: only the regions of this country; goes with `by="region"`.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a peak by a dimension, values of none, a country without regions, and as `usage`.
            WindowOutOfReach: the range begins too far back, or all of it is too recent.
            QuotaExhausted: the day has fewer requests left than this takes; nothing was sent.

        Example:
            rows = await client.insights.usage_totals("userCount", "7d", by="country")
            print(rows[0].dimension_value, rows[0].value)

        Source: `reference/agora-analytics-api.md`, endpoint 9.
        """
        return await self._in_total(
            INSIGHT_USAGE_TOTALS, metrics, since, until, by, values, country, (), validate
        )

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
    ) -> Rows[Total]:
        """Return quality over a whole range, of everybody or of the 20 largest groups (50 devices).

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1, with what they were taken from in
                `ref_usage`: attempts to join, or minutes.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`); all of it must be in reach.
            until: likewise; it is cut to what the plan has already, and each row's `until` says where.
            product: native SDKs, or browsers; there is no answer about both.
            by: what to group by; also `Dimension.CHANNEL_SIZE`.
            values: only these groups.
            country: only the regions of this country; goes with `by="region"`.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: values of no dimension, a country without regions, and as `quality`.
            WindowOutOfReach: the range begins too far back, or all of it is too recent.
            QuotaExhausted: the day has fewer requests left than this takes; nothing was sent.

        Example:
            rows = await client.insights.quality_totals("audioFreezeRate", "7d", by="net")
            print({row.dimension_value: row.value for row in rows})

        Source: `reference/agora-analytics-api.md`, endpoint 10.
        """
        more = (("productType", str(product)),)
        return await self._in_total(
            INSIGHT_QUALITY_TOTALS, metrics, since, until, by, values, country, more, validate
        )

    async def estimate(
        self, metrics: Names, since: Instant, until: Instant = "now", *, totals: bool = False
    ) -> list[Cost]:
        """Return what a question would cost at this moment, and what is left of the day. Sends nothing.

        Args:
            metrics: usage and quality metrics, also together.
            since: as in the question.
            until: as in the question.
            totals: the question is about totals, not about a time series.

        Raises:
            InvalidRequest: as the question.
            WindowOutOfReach: as the question.

        Example:
            for cost in await client.insights.estimate(["userCount", "networkDelay"], "14d"):
                print(cost.endpoint, cost.requests, "of", cost.left)
        """
        asked = names(metrics)
        quality = tuple(metric for metric in asked if metric in frozenset(QualityMetric))
        usage = tuple(metric for metric in asked if metric not in quality)
        asks: list[PlannedRequest] = []
        for mine, over_time, in_total in (
            (usage, INSIGHT_USAGE, INSIGHT_USAGE_TOTALS),
            (quality, INSIGHT_QUALITY, INSIGHT_QUALITY_TOTALS),
        ):
            endpoint = in_total if totals else over_time
            if mine:
                asks += self._asks(endpoint, mine, since, until, (), validate=True)
        if not asks:
            raise InvalidRequest("no metric is named, so there is nothing to ask for")
        return await self._asker.cost(asks)

    async def _over_time(
        self,
        endpoint: Endpoint,
        metrics: Names,
        since: Instant,
        until: Instant,
        params: tuple[Parameter, ...],
        validate: bool | None,
    ) -> Rows[Point]:
        checked = self._asker.validate if validate is None else validate
        asks = self._asks(endpoint, names(metrics), since, until, params, validate=checked)
        return await self._asker.answer(
            asks,
            kind=Point,
            read=parsers.points,
            key=lambda point: (point.metric, point.ts),
            order=lambda point: point.ts,
            validate=checked,
        )

    async def _in_total(
        self,
        endpoint: Endpoint,
        metrics: Names,
        since: Instant,
        until: Instant,
        by: str | None,
        values: Sequence[str],
        country: str | None,
        more: tuple[Parameter, ...],
        validate: bool | None,
    ) -> Rows[Total]:
        checked = self._asker.validate if validate is None else validate
        asked = names(metrics)
        groups = names(values)
        if checked:
            checks.check_dimension(endpoint, asked, by)
            checks.check_values(endpoint, by, groups)
            checks.check_country(endpoint, by, country)
        params: list[Parameter] = [*more]
        if by is not None:
            params.append(("dimension", str(by)))
        if groups:
            params.append(("dimensionValues", list(groups)))
        if country is not None:
            params.append(("filters", [{"name": "country", "value": country}]))
        asks = self._asks(
            endpoint, asked, since, until, tuple(params), dimension=by and str(by), validate=checked
        )
        return await self._asker.answer(asks, kind=Total, read=parsers.totals, validate=checked)

    def _asks(
        self,
        endpoint: Endpoint,
        metrics: tuple[str, ...],
        since: Instant,
        until: Instant,
        params: tuple[Parameter, ...],
        *,
        dimension: str | None = None,
        validate: bool,
    ) -> list[PlannedRequest]:
        limits = self._asker.limits(endpoint)
        windows: Sequence[window_policies.Span]
        cut = window_policies.cut_insight
        if not validate:
            windows = [self._asker.as_given(since, until)]
        else:
            checks.check_metrics(endpoint, metrics)
            window, now = self._asker.window(since, until), self._asker.now()
            if endpoint.method == "POST":
                cut = window_policies.keep_start
                windows = [cut(window, limits, now, endpoint.name)]
            else:
                windows = window_policies.insight_windows(window, limits, now, endpoint=endpoint.name)
        return [
            PlannedRequest(
                endpoint=endpoint,
                asked=parsers.QueryContext(metric=metric, dimension=dimension, window=window),
                params=(("metric", metric), *params),
                cut=cut,
            )
            for metric in metrics
            for window in windows
        ]
