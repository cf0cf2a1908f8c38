"""Real-time: the usage and quality of an app in windows of 20 seconds, up to now."""

from collections.abc import Sequence
from typing import Any, Unpack

from attrs import evolve

from agora_analytics.agora.enums import LIVE_COUNTS, Dimension, Names, Product, RealtimeMetric, names
from agora_analytics.agora.follow import Follow
from agora_analytics.agora.queries import Cost, PlannedRequest, QueryFilters, QueryRunner
from agora_analytics.agora.query_operations import (
    REALTIME_QUALITY,
    REALTIME_QUALITY_TOP,
    REALTIME_USAGE,
    REALTIME_USAGE_TOP,
    QueryOperation,
)
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.stat_records import Point, TopGroup, points_of_users
from agora_analytics.agora.user_ids import user_ids
from agora_analytics.agora.window_policies import clip_to_newest, newest_time
from agora_analytics.core.spelling import check_spelling
from agora_analytics.core.windows import Window
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds

QUALITY_OF_USERS = evolve(REALTIME_QUALITY, parse=points_of_users)
"""A query with user ids has another response."""


@takes_call_options
class Realtime:
    """The queries of Real-time: `client.realtime`.

    Data arrives 20 to 40 seconds late and is kept for 40 to 60 minutes, by plan. Windows begin at :00, :20 and :40.
    A query takes one request for each metric, and for each 10 users. A day has 480 or 1,440 requests.
    """

    def __init__(self, queries: QueryRunner) -> None:
        self._queries = queries

    async def usage(
        self,
        metrics: Names = RealtimeMetric.USER_COUNT,
        since: Instant = "10m",
        until: Instant = "now",
        *,
        product: Product | str = Product.NATIVE,
        by: Dimension | str | None = None,
        values: Sequence[str] = (),
        cname: str | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[Point]:
        """Return the numbers of users and channels: a row for each metric and 20 seconds, sorted by time.

        Args:
            metrics: `RealtimeMetric.USER_COUNT`, `CHANNEL_COUNT`, both, or raw names; counts.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`90s`, `10m`); the window that contains
                it is the first.
            until: likewise; the range is clipped to the available data.
            product: native SDKs or browsers; a query cannot have both.
            by: what to group by; only the user count takes a dimension.
            values: only these groups.
            cname: only this channel.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: channels by a dimension, values without one, milliseconds, `since` not before `until`.
            WindowOutOfReach: no whole window of the range is in the plan's reach.
            QuotaExhausted: fewer requests are left today than the query takes; no request was sent.

        Example:
            rows = await client.realtime.usage("userCount", "5m")
            print(rows[-1].at, rows[-1].value)

        See docs/agora-api.md, endpoint 11.
        """
        filters = _filters(product, by, values, cname)
        return await self._over_time(REALTIME_USAGE, metrics, since, until, filters, validate)

    async def quality(
        self,
        metrics: Names,
        since: Instant = "10m",
        until: Instant = "now",
        *,
        product: Product | str = Product.NATIVE,
        by: Dimension | str | None = None,
        values: Sequence[str] = (),
        cname: str | None = None,
        uids: Sequence[str | int] = (),
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[Point]:
        """Return quality: a row for each metric and 20 seconds, sorted by time.

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1.
            since, until, product, values, cname, validate: as in `usage`.
            by: what to group by.
            uids: these users of the channel `cname`, each separately; 10 users take one request. A negative id is one
                that a client printed as a signed integer: 2**32 is added.

        Raises:
            InvalidRequest: uids without a channel, and as `usage`.
            WindowOutOfReach, QuotaExhausted: as `usage`.

        Example:
            rows = await client.realtime.quality("videoFreezeRate", "5m", cname="room", uids=[7, 8])
            print({(row.uid, row.ts): row.value for row in rows})

        See docs/agora-api.md, endpoint 12.
        """
        users = user_ids(uids) if self._queries.validates(validate) else tuple(map(str, uids))
        filters = evolve(_filters(product, by, values, cname), users=users)
        operation = QUALITY_OF_USERS if users else REALTIME_QUALITY
        return await self._over_time(operation, metrics, since, until, filters, validate)

    async def top_usage(
        self,
        dimension: Dimension | str,
        at: Instant | None = None,
        *,
        product: Product | str = Product.NATIVE,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[TopGroup]:
        """Return the 20 groups with the most users in one window of 20 seconds, the largest first.

        Args:
            dimension: what to group by.
            at: a time in the window; None: the newest available window.
            product: native SDKs or browsers; a query cannot have both.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: a dimension of another endpoint, milliseconds.
            WindowOutOfReach: the time is not in the plan's reach.

        Example:
            for group in await client.realtime.top_usage("country"):
                print(group.dimension_value, group.user_count)

        See docs/agora-api.md, endpoint 13.
        """
        filters = _filters(product, dimension)
        return await self._top(REALTIME_USAGE_TOP, RealtimeMetric.USER_COUNT, at, filters, validate)

    async def top_quality(
        self,
        metrics: Names,
        dimension: Dimension | str,
        at: Instant | None = None,
        *,
        product: Product | str = Product.NATIVE,
        with_users: bool = True,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Rows[TopGroup]:
        """Return the quality of 20 groups in one window of 20 seconds, in the server's order.

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1.
            dimension: what to group by.
            at, product, validate: as in `top_usage`.
            with_users: also return the number of users of each group; it costs no request.

        Raises:
            InvalidRequest: a misspelt name, a metric or dimension of another endpoint, milliseconds.
            WindowOutOfReach: the time is not in the plan's reach.
            QuotaExhausted: fewer requests are left today than the query takes; no request was sent.

        Example:
            for group in await client.realtime.top_quality("videoFreezeRate", "net"):
                print(group.dimension_value, group.value, group.user_count)

        See docs/agora-api.md, endpoint 14.
        """
        filters = _filters(product, dimension)
        if with_users:
            filters = evolve(filters, params={**filters.params, "extraMetrics": "userCount"})
        return await self._top(REALTIME_QUALITY_TOP, metrics, at, filters, validate)

    def follow(
        self,
        metrics: Names,
        *,
        since: Instant | None = None,
        product: Product | str = Product.NATIVE,
        by: Dimension | str | None = None,
        values: Sequence[str] = (),
        cname: str | None = None,
        share: float = 0.9,
        **options: Unpack[CallOptions],
    ) -> Follow:
        """Return each window of 20 seconds once, in order and without a gap, until you stop.

        A window is returned as soon as it is available and the day's quota allows a request. The remaining requests
        are spread over the rest of the day, so that one request fetches as many windows as necessary. Errors of the
        network, the server and the limits are waited out, and missed windows are fetched then. Windows that went out
        of the plan's reach meanwhile are reported as an event (`WindowsLost`) and counted in `Follow.lost`.

        Args:
            metrics: a `RealtimeMetric`, several, or raw names.
            since: where to begin, for instance where another loop ended (`window.end`); None: at the newest window.
            product: native SDKs or browsers.
            by: what to group by: a window has the rows of all its groups, for the same requests; not with channels.
            values: only these groups.
            cname: only this channel.
            share: the fraction of a day's requests that this may use, so that some are left for other queries.
            **options: `deadline` and `max_wait` of each request; their errors are waited out too (see `CallOptions`).

        Raises:
            InvalidRequest: no metric, a share outside 0 to 1, a plan without Real-time, channels by a dimension,
                values without one.
            AuthenticationError, AccessDenied, BadRequest, NotFound, DecodeError: while iterating; a retry cannot help.

        Example:
            async for window in client.realtime.follow(["userCount", "videoFreezeRate"]):
                print(window.at, window.values)

        See docs/agora-api.md, endpoints 11 and 12.
        """

        def plan() -> tuple[dict[str, QueryOperation[Point]], QueryFilters, float | None]:
            requested = names(metrics)
            if not requested or not all(requested):
                raise InvalidRequest("no metric is given; pass at least one to follow")
            if not 0 < share <= 1:
                raise InvalidRequest(
                    f"share={share:g} is not a fraction of the day's requests; pass more than 0, at most 1"
                )
            check_spelling("metric", requested, RealtimeMetric)
            filters = _filters(product, by, values, cname)
            for metric in requested:
                operation = _operation_of(metric)
                self._queries.limits(operation)
                filters.check(operation, (metric,))
            begin = None if since is None else epoch_seconds(since, now=self._queries.now(), name="since")
            return {metric: _operation_of(metric) for metric in requested}, filters, begin

        return Follow(self._queries, plan, share=share)

    async def estimate(
        self,
        metrics: Names,
        since: Instant = "10m",
        until: Instant = "now",
        *,
        uids: int = 0,
        top: bool = False,
        **options: Unpack[CallOptions],
    ) -> list[Cost]:
        """Return what a query would cost now, and how many requests are left today. Sends no request.

        Args:
            metrics: counts and rates, also together.
            since: as in the query.
            until: as in the query.
            uids: the number of users of the query.
            top: the query is `top_usage` or `top_quality`, which costs the same for any window.

        Raises:
            InvalidRequest: as the query; users together with `top`.
            WindowOutOfReach: as the query.

        Example:
            for cost in await client.realtime.estimate(["userCount", "networkDelay"], "30m"):
                print(cost.endpoint, cost.requests, "of", cost.left)
        """
        if top and uids:
            raise InvalidRequest("top=True cannot be combined with uids=; omit one of them")
        requests: list[PlannedRequest[Any]] = []
        for metric in names(metrics):
            if top:
                operation = _top_operation_of(metric)
                window = self._time(operation, None, validate=True)
                requests += self._queries.plan(operation, metric, window, validate=True)
            else:
                count = uids if _operation_of(metric) is REALTIME_QUALITY else 0
                users = QueryFilters(cname="any", users=tuple(map(str, range(count))))
                window = self._queries.window(since, until, validate=True)
                requests += self._queries.plan(_operation_of(metric), metric, window, users, validate=True)
        if not requests:
            raise InvalidRequest("no metric is given; pass at least one")
        return await self._queries.cost(requests)

    async def _over_time(
        self,
        operation: QueryOperation[Point],
        metrics: Names,
        since: Instant,
        until: Instant,
        filters: QueryFilters,
        validate: bool | None,
    ) -> Rows[Point]:
        window = self._queries.window(since, until, validate=validate)
        if not self._queries.validates(validate):
            # `until` is sent as it is, and the operation writes the second after the window.
            window = Window.as_given(window.start, window.end - 1)
        return await self._queries.query(operation, metrics, window, filters, validate)

    async def _top(
        self,
        operation: QueryOperation[TopGroup],
        metrics: Names,
        at: Instant | None,
        filters: QueryFilters,
        validate: bool | None,
    ) -> Rows[TopGroup]:
        if at is None:
            operation = evolve(operation, clip=clip_to_newest)
        window = self._time(operation, at, validate=self._queries.validates(validate))
        return await self._queries.query(operation, metrics, window, filters, validate)

    def _time(self, operation: QueryOperation[TopGroup], at: Instant | None, *, validate: bool) -> Window:
        """Return a single time; None: the beginning of the newest window."""
        now = self._queries.now()
        if at is None:
            ts = newest_time(self._queries.limits(operation), now)
        elif not validate and isinstance(at, int | float):
            ts = int(at)
        else:
            ts = int(epoch_seconds(at, now=now, name="at"))
        return Window(ts, ts)


def _operation_of(metric: str) -> QueryOperation[Point]:
    """Return the operation that has a metric over time; unknown metrics are taken for quality metrics."""
    return REALTIME_USAGE if metric in LIVE_COUNTS else REALTIME_QUALITY


def _top_operation_of(metric: str) -> QueryOperation[TopGroup]:
    """Return the operation that has a metric of the largest groups; unknown metrics are taken for quality metrics."""
    return REALTIME_USAGE_TOP if metric in LIVE_COUNTS else REALTIME_QUALITY_TOP


def _filters(
    product: str, by: str | None, values: Sequence[str] = (), cname: str | None = None
) -> QueryFilters:
    return QueryFilters(dimension=by, values=names(values), cname=cname, params={"productType": str(product)})
