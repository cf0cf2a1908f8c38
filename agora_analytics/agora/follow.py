"""Following Real-time: every window of 20 seconds once, in order, with the requests that a day allows."""

import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime

import anyio
from attrs import field, frozen

from agora_analytics import errors
from agora_analytics.agora.live_requests import live_ask
from agora_analytics.agora.parsers import points
from agora_analytics.agora.queries import Parameter, QueryRunner
from agora_analytics.agora.stat_records import Number, Point
from agora_analytics.agora.window_policies import GRID, on_grid_after, on_grid_before
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import SLACK, Window, reachable
from agora_analytics.engine.events import WindowsLost

FATAL_ERRORS = (
    errors.AuthenticationError,
    errors.AccessDenied,
    errors.BadRequest,
    errors.NotFound,
    errors.DecodeError,
    errors.ConfigurationError,
)
"""Errors that waiting does not mend."""
LONGEST_NAP = 60.0  # others may spend of the same quota meanwhile, so the pace is looked at again
RETRY_AFTER = (20.0, 40.0, 80.0, 160.0)
MARGIN = 300  # seconds that are kept from the end of the reach, for an outage to pass


@frozen(kw_only=True)
class LiveWindow:
    """What happened in 20 seconds.

    Attributes:
        ts: the beginning, UTC epoch seconds, on the grid of :00, :20 and :40.
        rows: a `Point` for each metric, or for each metric and group; none where the server had nothing to tell of.
        missing: the metrics that could not be asked for before the window went out of reach.
    """

    ts: int
    rows: tuple[Point, ...] = field(repr=False)
    missing: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The end, UTC epoch seconds, excluded; `since=window.end` goes on behind this window."""
        return self.ts + GRID

    @property
    def at(self) -> datetime:
        """The beginning as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.ts, UTC)

    @property
    def values(self) -> Mapping[str, Number | None]:
        """The value of each metric that was told of everybody together."""
        return {row.metric: row.value for row in self.rows if row.dimension is None}

    @property
    def groups(self) -> Mapping[str | None, Mapping[str, Number | None]]:
        """The value of each metric by group, where groups were asked for."""
        found: dict[str | None, dict[str, Number | None]] = {}
        for row in self.rows:
            if row.dimension is not None:
                found.setdefault(row.dimension_value, {})[row.metric] = row.value
        return found


class Follow:
    """An endless listing of `LiveWindow`s: see `Realtime.follow`.

    It remembers where it is: iterating again goes on behind the last window that was given.

    Attributes:
        lost: how many windows went out of reach for at least one metric.
    """

    def __init__(
        self,
        asker: QueryRunner,
        endpoints: Mapping[str, Endpoint],
        *,
        params: tuple[Parameter, ...],
        dimension: str | None,
        since: float | None,
        share: float,
    ) -> None:
        self._asker = asker
        self._endpoints = endpoints
        self._params = params
        self._dimension = dimension
        self._share = share
        self._next = None if since is None else on_grid_before(since)
        self._fetched: dict[str, int] = {}  # by metric: the end of what was answered
        self._rows: defaultdict[int, list[Point]] = defaultdict(list)
        self._missing: defaultdict[int, list[str]] = defaultdict(list)
        self._not_before: dict[str, float] = {}  # by metric, on the server's clock
        self._failures: dict[str, int] = {}
        self._begun = False
        self.lost = 0

    async def __aiter__(self) -> AsyncGenerator[LiveWindow, None]:
        if self._next is None:
            self._next = min(on_grid_before(self._reach(metric).end) for metric in self._endpoints) - GRID
        for metric in self._endpoints:
            self._fetched.setdefault(metric, self._next)
        while True:
            while (window := self._take()) is not None:
                yield window
            await self._wait()
            await self._fetch()

    def _take(self) -> LiveWindow | None:
        """Return the next window that all metrics are in for; windows that nobody told of are passed over."""
        while self._next is not None and self._next < min(self._fetched.values()):
            ts = self._next
            self._next += GRID
            rows, missing = self._rows.pop(ts, []), self._missing.pop(ts, [])
            self.lost += bool(missing)
            if len(missing) < len(self._endpoints):
                return LiveWindow(ts=ts, rows=tuple(rows), missing=tuple(missing))
        return None

    async def _fetch(self) -> None:
        """Ask for what is there and not yet here. Who is behind catches up with the others, and no further."""
        front, due = max(self._fetched.values()), await self._due()
        newest = min(on_grid_before(self._reach(metric).end) for metric in self._endpoints)
        for metric in self._endpoints:
            self._lose(metric, min(on_grid_after(self._reach(metric).start), newest))
        for metric in sorted(self._endpoints, key=self._fetched.__getitem__, reverse=True):
            if self._asker.now() >= due[metric]:
                ahead = max(self._fetched.values())
                await self._fetch_metric(metric, newest if self._fetched[metric] >= front else ahead)

    async def _fetch_metric(self, metric: str, until: int) -> None:
        start, endpoint = self._fetched[metric], self._endpoints[metric]
        end = min(until, start + self._longest(endpoint))
        if end <= start:
            return
        try:
            ask = live_ask(endpoint, metric, Window(start, end), self._params, self._dimension)
            answered = await self._asker.send(ask, points)
        except FATAL_ERRORS:
            raise
        except errors.AgoraAnalyticsError as error:
            self._postpone(metric, error)
            return
        self._failures[metric], self._begun = 0, True
        self._lose(metric, answered.window.start)  # it may have been cut while it waited for its turn
        end = answered.window.end
        for row in answered.records:
            if self._fetched[metric] <= row.ts < end:
                self._rows[on_grid_before(row.ts)].append(row)
        self._fetched[metric] = end

    def _lose(self, metric: str, until: int) -> None:
        """Note that what lies before `until` cannot be asked for any more."""
        start = self._fetched[metric]
        if until <= start:
            return
        for ts in range(start, until, GRID):
            self._missing[ts].append(metric)
        self._fetched[metric] = until
        name = self._endpoints[metric].name
        count = (until - start) // GRID
        self._asker.engine.observer(
            WindowsLost(endpoint=name, metric=metric, start=start, end=until, count=count)
        )

    def _postpone(self, metric: str, error: errors.AgoraAnalyticsError) -> None:
        failures = self._failures.get(metric, 0)
        self._failures[metric] = failures + 1
        until = self._asker.now() + RETRY_AFTER[min(failures, len(RETRY_AFTER) - 1)]
        if isinstance(error, errors.QuotaExhausted):
            until = max(error.retry_at, self._asker.now()) + 1.0
        self._not_before[metric] = until

    async def _wait(self) -> None:
        while (seconds := min((await self._due()).values()) - self._asker.now()) > 0:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(min(seconds, LONGEST_NAP))

    async def _due(self) -> dict[str, float]:
        """Return when to ask next for each metric, on the server's clock."""
        front = max(self._fetched.values())
        delay = max(self._limits(metric).delay for metric in self._endpoints)
        behind = 0.0
        windows = await self._windows_a_request() if self._begun else 1
        ahead = front + GRID * windows + delay + SLACK + 0.5
        return {
            metric: max(ahead if end >= front else behind, self._not_before.get(metric, 0.0))
            for metric, end in self._fetched.items()
        }

    async def _windows_a_request(self) -> int:
        """Return the fewest windows a request with which what is left lasts for the rest of the day."""
        names = [endpoint.name for endpoint in self._endpoints.values()]
        now = self._asker.now()
        most = min(
            (min(limits.reach, limits.span or limits.reach) - limits.delay - MARGIN) // GRID
            for limits in map(self._limits, self._endpoints)
        )
        wanted = 1
        for quota in await self._asker.quotas():
            if quota.endpoint in names:
                mine = quota.left - (1 - self._share) * quota.per_day
                rounds = mine / names.count(quota.endpoint)
                seconds = (quota.opens_at - now) / rounds if rounds > 0 else math.inf
                wanted = max(wanted, math.ceil(min(seconds / GRID, most)))
        return max(1, min(wanted, most))

    def _longest(self, endpoint: Endpoint) -> int:
        limits = self._asker.limits(endpoint)
        return on_grid_before((limits.span or limits.reach) - 1)

    def _limits(self, metric: str) -> Limits:
        return self._asker.limits(self._endpoints[metric])

    def _reach(self, metric: str) -> Window:
        return reachable(self._limits(metric), self._asker.now())
