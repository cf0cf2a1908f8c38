"""Real-time: how much an app is used and how well it goes at the moment, in windows of 20 seconds."""

from collections.abc import Sequence

from agora_analytics.agora import checks, parsers, window_policies
from agora_analytics.agora.enums import Dimension, Names, Product, RealtimeMetric, names
from agora_analytics.agora.follow import Follow
from agora_analytics.agora.live_requests import (
    endpoint_of,
    live_ask,
    live_moment,
    live_params,
    live_windows,
    top_endpoint_of,
)
from agora_analytics.agora.operations import (
    REALTIME_QUALITY,
    REALTIME_QUALITY_TOP,
    REALTIME_USAGE,
    REALTIME_USAGE_TOP,
)
from agora_analytics.agora.queries import Cost, Parameter, QueryRunner
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.stat_records import Point, TopGroup
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds


class Realtime:
    """The questions of Real-time; `client.realtime` is one.

    Data comes 20 to 40 seconds late and is kept for 40 to 60 minutes, by plan. Windows begin at :00, :20 and :40. A
    question takes one request for each metric, and for each 10 users. A day has 480 or 1,440 requests.
    """

    def __init__(self, asker: QueryRunner) -> None:
        self._asker = asker

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
    ) -> Rows[Point]:
        """Return how many users and channels there were: a row for each metric and 20 seconds, sorted by time.

        Args:
            metrics: `RealtimeMetric.USER_COUNT`, `CHANNEL_COUNT`, both, or raw names; counts.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`90s`, `10m`); the window that holds it
                is the first.
            until: likewise; the range is cut to what the plan has already.
            product: native SDKs, or browsers; there is no answer about both.
            by: what to group by; with the user count only.
            values: only these groups.
            cname: only this channel.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: channels by a dimension, values of no dimension, milliseconds, `since` not before `until`.
            WindowOutOfReach: no whole window of the range is in the plan's reach.
            QuotaExhausted: the day has fewer requests left than this takes; nothing was sent.

        Example:
            rows = await client.realtime.usage("userCount", "5m")
            print(rows[-1].at, rows[-1].value)

        Source: `reference/agora-analytics-api.md`, endpoint 11.
        """
        params = live_params(product, by, values, cname)
        return await self._over_time(REALTIME_USAGE, metrics, since, until, params, by, values, (), validate)

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
    ) -> Rows[Point]:
        """Return how well it went: a row for each metric and 20 seconds, sorted by time.

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`90s`, `10m`); the window that holds it
                is the first.
            until: likewise; the range is cut to what the plan has already.
            product: native SDKs, or browsers; there is no answer about both.
            by: what to group by.
            values: only these groups.
            cname: only this channel.
            uids: these users of the channel `cname`, each by himself; each 10 take a request.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: uids without a channel, values of no dimension, milliseconds, `since` not before `until`.
            WindowOutOfReach: no whole window of the range is in the plan's reach.
            QuotaExhausted: the day has fewer requests left than this takes; nothing was sent.

        Example:
            rows = await client.realtime.quality("videoFreezeRate", "5m", cname="room", uids=[7, 8])
            print({(row.uid, row.ts): row.value for row in rows})

        Source: `reference/agora-analytics-api.md`, endpoint 12.
        """
        params = live_params(product, by, values, cname)
        users = tuple(dict.fromkeys(map(str, uids)))
        return await self._over_time(
            REALTIME_QUALITY, metrics, since, until, params, by, values, users, validate, cname=cname
        )

    async def top_usage(
        self,
        dimension: Dimension | str,
        at: Instant | None = None,
        *,
        product: Product | str = Product.NATIVE,
        validate: bool | None = None,
    ) -> Rows[TopGroup]:
        """Return the 20 groups with the most users in one window of 20 seconds, the largest first.

        Args:
            dimension: what to group by.
            at: a moment of the window; None: the newest window that the plan has.
            product: native SDKs, or browsers; there is no answer about both.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a dimension that this does not take, milliseconds.
            WindowOutOfReach: the moment is not in the plan's reach.

        Example:
            for group in await client.realtime.top_usage("country"):
                print(group.dimension_value, group.user_count)

        Source: `reference/agora-analytics-api.md`, endpoint 13.
        """
        return await self._top(
            REALTIME_USAGE_TOP, (RealtimeMetric.USER_COUNT.value,), dimension, at, product, (), validate
        )

    async def top_quality(
        self,
        metrics: Names,
        dimension: Dimension | str,
        at: Instant | None = None,
        *,
        product: Product | str = Product.NATIVE,
        with_users: bool = True,
        validate: bool | None = None,
    ) -> Rows[TopGroup]:
        """Return how well it went for 20 groups in one window of 20 seconds, in the server's order.

        Args:
            metrics: a `QualityMetric`, several, or raw names; fractions of 1.
            dimension: what to group by.
            at: a moment of the window; None: the newest window that the plan has.
            product: native SDKs, or browsers; there is no answer about both.
            with_users: ask how many users each group has, too; it costs no request.
            validate: False sends what was given as it is; None leaves it to the client.

        Raises:
            InvalidRequest: a metric or a dimension that this does not take, milliseconds.
            WindowOutOfReach: the moment is not in the plan's reach.
            QuotaExhausted: the day has fewer requests left than this takes; nothing was sent.

        Example:
            for group in await client.realtime.top_quality("videoFreezeRate", "net"):
                print(group.dimension_value, group.value, group.user_count)

        Source: `reference/agora-analytics-api.md`, endpoint 14.
        """
        more = (("extraMetrics", "userCount"),) if with_users else ()
        return await self._top(REALTIME_QUALITY_TOP, names(metrics), dimension, at, product, more, validate)

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
    ) -> Follow:
        """Follow what happens: each window of 20 seconds once, in order, without a gap, until you stop.

        A window comes as soon as the plan has it and the day's quota allows a request: the requests that are left
        are spread over the rest of the day, so that one fetches as many windows as it must. Errors of the network,
        the server and the limits are waited out, and what was missed is fetched then. What went out of the plan's
        reach meanwhile is told as an event (`WindowsLost`), counted in `Follow.lost`, and not made up.

        Args:
            metrics: a `RealtimeMetric`, several, or raw names.
            since: where to begin, to go on where another loop ended (`window.end`); None: with the newest window.
            product: native SDKs, or browsers.
            by: what to group by: a window has the rows of all its groups, for the same requests; not with channels.
            values: only these groups.
            cname: only this channel.
            share: how much of a day's requests this may take, so that other questions have some, too.

        Raises:
            InvalidRequest: no metric, a share outside 0 to 1, a plan without it, channels by a dimension, values of none.
            AuthenticationError, AccessDenied, BadRequest, NotFound, DecodeError: while iterating; waiting does not help.

        Example:
            async for window in client.realtime.follow(["userCount", "videoFreezeRate"]):
                print(window.at, window.values)

        Source: `reference/agora-analytics-api.md`, endpoints 11 and 12.
        """
        asked = names(metrics)
        if not asked or not all(asked):
            raise InvalidRequest("no metric is named, so there is nothing to follow")
        if not 0 < share <= 1:
            raise InvalidRequest(
                f"share={share:g} is not a part of the day's requests; give more than 0, at most 1"
            )
        for metric in asked:
            self._asker.limits(endpoint := endpoint_of(metric))
            checks.check_dimension(endpoint, (metric,), by)
            checks.check_values(endpoint, by, names(values))
        begin = None if since is None else epoch_seconds(since, now=self._asker.now(), name="since")
        params = live_params(product, by, values, cname)
        return Follow(
            self._asker,
            {metric: endpoint_of(metric) for metric in asked},
            params=params,
            dimension=by and str(by),
            since=begin,
            share=share,
        )

    async def estimate(
        self,
        metrics: Names,
        since: Instant = "10m",
        until: Instant = "now",
        *,
        uids: int = 0,
        top: bool = False,
    ) -> list[Cost]:
        """Return what a question would cost at this moment, and what is left of the day. Sends nothing.

        Args:
            metrics: what to ask for, counts and rates together.
            since: as in the question.
            until: as in the question.
            uids: how many users are asked for.
            top: the question is of `top_usage` or `top_quality`, whose one window costs the same whenever it was.

        Raises:
            InvalidRequest: as the question; users together with `top`.
            WindowOutOfReach: as the question.

        Example:
            for cost in await client.realtime.estimate(["userCount", "networkDelay"], "30m"):
                print(cost.endpoint, cost.requests, "of", cost.left)
        """
        if top and uids:
            raise InvalidRequest("the top is of groups, not of users; leave uids= out")
        asks = []
        for metric in names(metrics):
            endpoint = top_endpoint_of(metric) if top else endpoint_of(metric)
            checks.check_metrics(endpoint, (metric,))
            parts = checks.chunks([str(n) for n in range(uids)] if endpoint is REALTIME_QUALITY else ())
            windows = (
                [live_moment(self._asker, endpoint, None, checked=True)]
                if top
                else live_windows(self._asker, endpoint, since, until, checked=True)
            )
            asks += [
                live_ask(endpoint, metric, window, (), None, part) for window in windows for part in parts
            ]
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
        by: str | None,
        values: Sequence[str],
        users: Sequence[str],
        validate: bool | None,
        *,
        cname: str | None = None,
    ) -> Rows[Point]:
        checked = self._asker.validate if validate is None else validate
        asked = names(metrics)
        if checked:
            checks.check_metrics(endpoint, asked)
            checks.check_dimension(endpoint, asked, by)
            checks.check_values(endpoint, by, names(values))
            checks.check_uids(endpoint, users, cname)
        parts = checks.chunks(users) if checked else [users]
        asks = [
            live_ask(endpoint, metric, window, params, by and str(by), part)
            for metric in asked
            for window in live_windows(self._asker, endpoint, since, until, checked=checked)
            for part in parts
        ]
        return await self._asker.answer(
            asks,
            kind=Point,
            read=parsers.points_of_users if users else parsers.points,
            key=lambda point: (point.metric, point.ts, point.dimension_value, point.uid),
            order=lambda point: point.ts,
            validate=checked,
        )

    async def _top(
        self,
        endpoint: Endpoint,
        metrics: tuple[str, ...],
        dimension: str,
        at: Instant | None,
        product: str,
        more: tuple[Parameter, ...],
        validate: bool | None,
    ) -> Rows[TopGroup]:
        checked = self._asker.validate if validate is None else validate
        if checked:
            checks.check_metrics(endpoint, metrics)
            checks.check_dimension(endpoint, metrics, dimension)
        moment = live_moment(self._asker, endpoint, at, checked=checked)
        params: tuple[Parameter, ...] = (("productType", str(product)), ("dimension", str(dimension)), *more)
        cut = window_policies.newest_moment if at is None else window_policies.keep_moment
        asks = [live_ask(endpoint, metric, moment, params, str(dimension), (), cut=cut) for metric in metrics]
        return await self._asker.answer(asks, kind=TopGroup, read=parsers.top_groups, validate=checked)
