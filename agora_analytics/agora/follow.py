"""Follows Real-time: returns every window of 20 seconds once and in order, within the day's quota."""

import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from typing import Self

import anyio
from attrs import field, frozen

from agora_analytics import errors
from agora_analytics.agora.parsers import Number
from agora_analytics.agora.queries import NO_FILTERS, PlannedRequest, QueryFilters, QueryRunner
from agora_analytics.agora.query_operations import QueryOperation
from agora_analytics.agora.stat_records import Point
from agora_analytics.agora.window_policies import GRID, on_grid_after, on_grid_before
from agora_analytics.core.limits import Limits
from agora_analytics.core.record import Record
from agora_analytics.core.windows import SLACK, Window, reachable
from agora_analytics.engine.call_options import CallOptions, call_limits, checked_options
from agora_analytics.engine.events import WindowsLost

PERMANENT_ERRORS = (
    errors.AuthenticationError,
    errors.AccessDenied,
    errors.BadRequest,
    errors.NotFound,
    errors.DecodeError,
    errors.ConfigurationError,
)
"""Errors that a retry cannot help."""
LONGEST_NAP = 60.0  # seconds; other clients may use the same quota meanwhile, so the pace is computed again
RETRY_AFTER = (20.0, 40.0, 80.0, 160.0)
MARGIN = 300  # seconds between a request and the end of the reach, to survive an outage


@frozen(kw_only=True)
class LiveWindow(Record):
    """The values of 20 seconds.

    Attributes:
        ts: the beginning, UTC epoch seconds, on the grid of :00, :20 and :40.
        rows: a `Point` for each metric, or for each metric and group; empty if the server has no data.
        missing: the metrics that could not be requested before the window went out of reach.
        metrics: all requested metrics.
    """

    ts: int
    rows: tuple[Point, ...] = field(repr=False)
    missing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = field(default=(), repr=False)

    @property
    def end(self) -> int:
        """The end, UTC epoch seconds, excluded; pass `since=window.end` to continue after this window."""
        return self.ts + GRID

    @property
    def at(self) -> datetime:
        """The beginning as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)

    @property
    def values(self) -> Mapping[str, Number | None]:
        """The value of each requested metric over all users.

        None if the server has no value, as `joinSuccessRate` while nobody joins; if the metric is `missing`; and if the
        query has a dimension.
        """
        found = {row.metric: row.value for row in self.rows if row.dimension is None}
        return dict.fromkeys(self.metrics) | found

    @property
    def groups(self) -> Mapping[str | None, Mapping[str, Number | None]]:
        """The value of each requested metric by group, if the query has a dimension. None if the server has no value."""
        by_group: dict[str | None, dict[str, Number | None]] = {}
        for row in self.rows:
            if row.dimension is not None:
                group = by_group.setdefault(row.dimension_value, dict.fromkeys(self.metrics))
                group[row.metric] = row.value
        return by_group


Plan = Callable[[], tuple[Mapping[str, QueryOperation[Point]], QueryFilters, float | None]]
"""Returns the operation of each metric, the filters, and where to begin (None: at the newest window)."""


class Follow:
    """An endless listing of `LiveWindow`s: see `Realtime.follow`.

    The arguments are checked when the first iteration begins, or by `check`. A second iteration continues after the last returned window.

    Attributes:
        lost: number of windows that went out of reach for at least one metric.
    """

    def __init__(self, queries: QueryRunner, plan: Plan, *, share: float) -> None:
        self._queries = queries
        self._plan = plan
        self._operations: Mapping[str, QueryOperation[Point]] = {}
        self._filters = NO_FILTERS
        self._share = share
        self._next: int | None = None
        self._fetched: dict[str, int] = {}  # by metric: the end of the fetched windows
        self._rows: defaultdict[int, list[Point]] = defaultdict(list)
        self._missing: defaultdict[int, list[str]] = defaultdict(list)
        self._not_before: dict[str, float] = {}  # by metric, on the server's clock
        self._failures: dict[str, int] = {}
        self._begun = False
        self._options: CallOptions = {}
        self._question = ""
        self._loops = 1
        self.lost = 0

    def __repr__(self) -> str:
        start = "the first window"
        if self._next is not None:
            start = f"{datetime.fromtimestamp(self._next, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"<Follow of {self._question or 'metrics'}; next: {start}; lost: {self.lost}>"

    def _named(self, question: str) -> Self:
        """Note the call that it comes from, for its repr."""
        self._question = question
        return self

    def shared_by(self, loops: int) -> Self:
        """Share the day's requests with other loops of the same client, so that they last for all of them.

        Args:
            loops: the number of loops, this one included.

        Example::

            follows = [client.realtime.follow("userCount", cname=cname).shared_by(2) for cname in ("a", "b")]
        """
        self._loops = loops
        return self

    def _limited(self, options: CallOptions) -> Self:
        """Apply the options of a call to each request."""
        self._options = {**self._options, **options}
        return self

    def check(self) -> None:
        """Check the arguments now and not at the first iteration, for instance before a server starts. Sends no request.

        Raises:
            InvalidRequest: as `Realtime.follow`.
        """
        if not self._operations:
            checked_options(self._options)
            self._operations, self._filters, since = self._plan()
            self._next = None if since is None else on_grid_before(since)

    async def __aiter__(self) -> AsyncGenerator[LiveWindow, None]:
        self.check()
        if self._next is None:
            self._next = min(on_grid_before(self._reach(metric).end) for metric in self._operations) - GRID
        for metric in self._operations:
            self._fetched.setdefault(metric, self._next)
        while True:
            while (window := self._take()) is not None:
                yield window
            await self._wait()
            await self._fetch()

    def _take(self) -> LiveWindow | None:
        """Return the next window for which every metric has arrived. Windows without data are skipped."""
        while self._next is not None and self._next < min(self._fetched.values()):
            ts = self._next
            self._next += GRID
            rows, missing = self._rows.pop(ts, []), self._missing.pop(ts, [])
            self.lost += bool(missing)
            if len(missing) < len(self._operations):
                metrics = tuple(self._operations)
                return LiveWindow(ts=ts, rows=tuple(rows), missing=tuple(missing), metrics=metrics)
        return None

    async def _fetch(self) -> None:
        """Fetch available windows. A metric that lags catches up with the others, and no further."""
        front, due = max(self._fetched.values()), await self._due()
        newest = min(on_grid_before(self._reach(metric).end) for metric in self._operations)
        for metric in self._operations:
            self._lose(metric, min(on_grid_after(self._reach(metric).start), newest))
        for metric in sorted(self._operations, key=self._fetched.__getitem__, reverse=True):
            if self._queries.now() >= due[metric]:
                ahead = max(self._fetched.values())
                await self._fetch_metric(metric, newest if self._fetched[metric] >= front else ahead)

    async def _fetch_metric(self, metric: str, until: int) -> None:
        start, operation = self._fetched[metric], self._operations[metric]
        end = min(until, start + self._longest(operation))
        if end <= start:
            return
        try:
            request = PlannedRequest(
                operation=operation,
                metric=metric,
                window=Window(start, end - 1),
                limits=self._queries.limits(operation),
                filters=self._filters,
            )
            with call_limits(self._options):
                response = await self._queries.send(request)
        except PERMANENT_ERRORS:
            raise
        except errors.AgoraAnalyticsError as error:
            self._postpone(metric, error)
            return
        self._failures[metric], self._begun = 0, True
        window = response.payload.window or request.window
        self._lose(metric, window.start)  # the request may have been clipped while it waited
        end = window.end + 1
        for row in response.result:
            if self._fetched[metric] <= row.ts < end:
                self._rows[on_grid_before(row.ts)].append(row)
        self._fetched[metric] = end

    def _lose(self, metric: str, until: int) -> None:
        """Count the windows before `until` that can no longer be requested."""
        start = self._fetched[metric]
        if until <= start:
            return
        for ts in range(start, until, GRID):
            self._missing[ts].append(metric)
        self._fetched[metric] = until
        name = self._operations[metric].name
        count = (until - start) // GRID
        self._queries.engine.observer(
            WindowsLost(endpoint=name, metric=metric, start=start, end=until, count=count)
        )

    def _postpone(self, metric: str, error: errors.AgoraAnalyticsError) -> None:
        failures = self._failures.get(metric, 0)
        self._failures[metric] = failures + 1
        until = self._queries.now() + RETRY_AFTER[min(failures, len(RETRY_AFTER) - 1)]
        if isinstance(error, errors.QuotaExhausted):
            until = max(error.retry_at, self._queries.now()) + 1.0
        self._not_before[metric] = until

    async def _wait(self) -> None:
        while (seconds := min((await self._due()).values()) - self._queries.now()) > 0:  # noqa: ASYNC110 - there is no event
            await anyio.sleep(min(seconds, LONGEST_NAP))

    async def _due(self) -> dict[str, float]:
        """Return the time of the next request for each metric, on the server's clock."""
        front = max(self._fetched.values())
        delay = max(self._limits(metric).delay for metric in self._operations)
        windows = await self._windows_a_request() if self._begun else 1
        ahead = front + GRID * windows + delay + SLACK + 0.5
        return {
            metric: max(ahead if end >= front else 0.0, self._not_before.get(metric, 0.0))
            for metric, end in self._fetched.items()
        }

    async def _windows_a_request(self) -> int:
        """Return the fewest windows a request with which the remaining quota lasts for the rest of the day."""
        names = [operation.name for operation in self._operations.values()]
        now = self._queries.now()
        most = min(
            (min(limits.reach, limits.span or limits.reach) - limits.delay - MARGIN) // GRID
            for limits in map(self._limits, self._operations)
        )
        wanted = 1
        for quota in await self._queries.engine.quota():
            if quota.endpoint in names:
                mine = quota.left - (1 - self._share) * quota.per_day
                rounds = mine / names.count(quota.endpoint) / self._loops
                seconds = (quota.opens_at - now) / rounds if rounds > 0 else math.inf
                wanted = max(wanted, math.ceil(min(seconds / GRID, most)))
        return max(1, min(wanted, most))

    def _longest(self, operation: QueryOperation[Point]) -> int:
        limits = self._queries.limits(operation)
        return on_grid_before((limits.span or limits.reach) - 1)

    def _limits(self, metric: str) -> Limits:
        return self._queries.limits(self._operations[metric])

    def _reach(self, metric: str) -> Window:
        return reachable(self._limits(metric), self._queries.now())
