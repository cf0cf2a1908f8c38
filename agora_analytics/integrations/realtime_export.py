"""Exports the real-time quality and the quotas of an Agora client until it is stopped.

A day has fewer requests than windows, so one request fetches several windows. A gauge has one value at a time. Therefore
each window is exported a fixed time after its end, and not when it arrives: a scraper sees all of them, in real time.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from attrs import frozen

from agora_analytics.agora.enums import LIVE_COUNTS
from agora_analytics.agora.query_operations import REALTIME_QUALITY, REALTIME_USAGE
from agora_analytics.agora.window_policies import GRID
from agora_analytics.engine.engine import Quota
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import DAY

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.follow import Follow, LiveWindow
    from agora_analytics.integrations.metrics_observer import MetricsObserver

# Seconds: data arrives up to 40 s late, a request covers whole windows of 20 s, and the rest is for slow requests.
_MARGIN = 80.0


@frozen(kw_only=True)
class DailyCost:
    """What following metrics costs of the day's quota of one endpoint.

    Attributes:
        endpoint: the endpoint.
        per_day: requests that the plan allows in a day.
        requests: the most requests that are sent in a day.
        interval: seconds from one request of a metric to the next, if no other program uses the quota.
        duration: seconds that the requests of all metrics take because of the rate limit.
    """

    endpoint: str
    per_day: int
    requests: int
    interval: float
    duration: float

    def __str__(self) -> str:
        return f"{self.endpoint}: at most {self.requests:,} of {self.per_day:,} requests a day"


def daily_costs(quotas: Iterable[Quota], metrics: Iterable[str], share: float) -> list[DailyCost]:
    """Return what following costs a day, for each endpoint.

    Args:
        quotas: what the plan allows, from `client.quota()`.
        metrics: the metrics.
        share: the fraction of a day's requests that may be used.

    Raises:
        InvalidRequest: the plan has no Real-time.

    Example:
        costs = daily_costs(await client.quota(), ["userCount", "channelCount"], 0.9)
        print(*costs)  # realtime/usage/by_time_20sec: at most 1,296 of 1,440 requests a day
    """
    endpoints = Counter(
        (REALTIME_USAGE if metric in LIVE_COUNTS else REALTIME_QUALITY).name for metric in metrics
    )
    by_endpoint = {quota.endpoint: quota for quota in quotas}
    costs = []
    for endpoint, number in endpoints.items():
        if endpoint not in by_endpoint:
            raise InvalidRequest("the plan does not include Real-time", endpoint=endpoint)
        quota = by_endpoint[endpoint]
        usable = int(share * quota.per_day)
        needed = number * DAY // GRID  # a request for each window
        costs.append(
            DailyCost(
                endpoint=endpoint,
                per_day=quota.per_day,
                requests=min(usable, needed),
                interval=max(GRID, DAY * number / max(usable, 1)),
                duration=(number - 1) * quota.period / quota.requests,
            )
        )
    return costs


def lag_of(costs: Iterable[DailyCost]) -> float:
    """Return the seconds after the end of a window in which it has arrived, unless requests fail."""
    return max(cost.interval + cost.duration for cost in costs) + _MARGIN


async def export_windows(
    client: "AsyncAgora",
    observer: "MetricsObserver",
    windows: "Follow",
    *,
    lag: float = 0.0,
    now: Callable[[], float] = time.time,
) -> None:
    """Record every window of `client.realtime.follow`, and the quotas, until the task is cancelled.

    Args:
        client: the client.
        observer: records the windows and the quotas.
        windows: a result of `follow`.
        lag: record a window so many seconds after its end, or when it arrives if that is later.
        now: returns the time in UTC epoch seconds.

    Raises:
        InvalidRequest, AuthenticationError, AccessDenied, BadRequest, NotFound, DecodeError: as `follow`.

    Example:
        await export_windows(client, metrics, client.realtime.follow(["userCount"], by="country"))
    """
    arrived: asyncio.Queue[LiveWindow] = asyncio.Queue()

    async def record() -> None:
        while True:
            window = await arrived.get()
            await asyncio.sleep(max(0.0, window.end + lag - now()))
            observer.record(window, app_id=client.settings.app_id)

    # The next windows are fetched while earlier ones wait.
    tasks = [asyncio.create_task(work) for work in (record(), observer.watch_quota(client))]
    try:
        async for window in windows:
            arrived.put_nowait(window)
    finally:
        for task in tasks:
            task.cancel()
