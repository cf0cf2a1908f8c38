"""Exports the real-time quality and the quotas of an Agora client until it is stopped."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from agora_analytics.agora.enums import LIVE_COUNTS
from agora_analytics.agora.query_operations import REALTIME_QUALITY, REALTIME_USAGE
from agora_analytics.agora.window_policies import GRID
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import DAY
from agora_analytics.integrations.live_values import STALE_AFTER

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.follow import Follow
    from agora_analytics.integrations.metrics_observer import MetricsObserver


@frozen(kw_only=True)
class DailyCost:
    """What following metrics costs of the day's quota of one endpoint.

    Attributes:
        endpoint: the endpoint.
        per_day: requests that the plan allows in a day.
        requests: the most requests that are sent in a day.
        interval: seconds between two requests of a metric, if no other program uses the quota.
    """

    endpoint: str
    per_day: int
    requests: int
    interval: float

    def __str__(self) -> str:
        every = f"a new window every {self.interval:.0f} s"
        return f"{self.endpoint}: at most {self.requests:,} of {self.per_day:,} requests a day, {every}"


def daily_costs(per_day: Mapping[str, int], metrics: Iterable[str], share: float) -> list[DailyCost]:
    """Return what following costs a day, for each endpoint.

    Args:
        per_day: the requests that the plan allows in a day, by endpoint.
        metrics: the metrics.
        share: the fraction of a day's requests that may be used.

    Raises:
        InvalidRequest: the plan has no Real-time.

    Example:
        >>> print(*daily_costs({"realtime/usage": 1440}, ["userCount", "channelCount"], 0.9))
        realtime/usage: at most 1,296 of 1,440 requests a day, a new window every 133 s
    """
    endpoints = Counter(
        (REALTIME_USAGE if metric in LIVE_COUNTS else REALTIME_QUALITY).name for metric in metrics
    )
    costs = []
    for endpoint, number in endpoints.items():
        if endpoint not in per_day:
            raise InvalidRequest("the plan does not include Real-time", endpoint=endpoint)
        usable = int(share * per_day[endpoint])
        needed = number * DAY // GRID  # a request for each window
        costs.append(
            DailyCost(
                endpoint=endpoint,
                per_day=per_day[endpoint],
                requests=min(usable, needed),
                interval=max(GRID, DAY * number / max(usable, 1)),
            )
        )
    return costs


def default_stale_after(costs: Iterable[DailyCost]) -> float:
    """Return the seconds after which values expire: twice the longest interval, and at least `STALE_AFTER`."""
    return max(STALE_AFTER, *(2 * cost.interval for cost in costs))


async def export_windows(client: "AsyncAgora", observer: "MetricsObserver", windows: "Follow") -> None:
    """Record every window of `client.realtime.follow`, and the quotas, until the task is cancelled.

    Args:
        client: the client.
        observer: records the windows and the quotas.
        windows: a result of `follow`.

    Raises:
        InvalidRequest, AuthenticationError, AccessDenied, BadRequest, NotFound, DecodeError: as `follow`.

    Example:
        await export_windows(client, metrics, client.realtime.follow(["userCount"], by="country"))
    """
    watching = asyncio.create_task(observer.watch_quota(client))
    try:
        async for window in windows:
            observer.record(window, app_id=client.settings.app_id)
    finally:
        watching.cancel()
