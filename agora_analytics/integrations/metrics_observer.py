"""The base class of observers that export metrics of clients and of call quality."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from agora_analytics.agora.follow import LiveWindow
from agora_analytics.engine.engine import Quota
from agora_analytics.engine.events import Event, QuotaClosed
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.integrations.client_measurements import ClientMeasurements, Measurement
from agora_analytics.integrations.live_values import STALE_AFTER, LiveValues
from agora_analytics.integrations.metric_names import METRIC, WINDOW_METRICS

if TYPE_CHECKING:
    from agora_analytics.kit.client import Client

QUOTA_INTERVAL = 15.0
"""Seconds between two readings of the ledger."""


class MetricsObserver:
    """Measures the requests of clients, and has the newest real-time windows and quotas.

    One observer can observe several clients. Observing, recording and exporting send no request.

    Args:
        stale_after: seconds after the end of a window until its values expire.
        now: returns the time in UTC epoch seconds.
    """

    def __init__(self, *, stale_after: float = STALE_AFTER, now: Callable[[], float] = time.time) -> None:
        self._client_measurements = ClientMeasurements()
        self._live = LiveValues(stale_after=stale_after, now=now)

    @property
    def stale_after(self) -> float:
        """Seconds after the end of a window until its values expire; it can be set."""
        return self._live.stale_after

    @stale_after.setter
    def stale_after(self, seconds: float) -> None:
        self._live.stale_after = seconds

    def __call__(self, event: Event) -> None:
        """Measure an event of a client."""
        if isinstance(event, QuotaClosed):
            self._live.close_quota(event.endpoint)
        for measurement in self._client_measurements.of(event):
            self._add(measurement)

    def record(self, window: LiveWindow, *, app_id: str = "", vendor: str = "agora") -> None:
        """Export the values of a real-time window until the next window is recorded, or until they expire.

        Args:
            window: a window of `client.realtime.follow`.
            app_id: the attribute `rtc.app_id` of the values; "": they have none.
            vendor: the attribute `rtc.vendor`.

        Example:
            async for window in client.realtime.follow(["userCount", "videoFreezeRate"]):
                metrics.record(window)
        """
        for metric in window.metrics:  # a counter that is absent until the first loss could not be alerted on
            self._add(Measurement(WINDOW_METRICS["lost"], 0, {METRIC: metric}))
        self._live.record(window, vendor=vendor, app_id=app_id)

    def record_quota(self, quotas: Iterable[Quota]) -> None:
        """Export the state of the day's quotas, which `client.quota()` returns without sending a request.

        Example:
            metrics.record_quota(await client.quota())
        """
        self._live.record_quota(quotas)

    async def watch_quota(self, client: "Client", *, interval: float = QUOTA_INTERVAL) -> None:
        """Export the quotas of a client every `interval` seconds, until the task is cancelled.

        While the ledger cannot be read, no quota is exported.

        Example:
            watching = asyncio.create_task(metrics.watch_quota(client))
        """
        while True:
            try:
                self.record_quota(await client.quota())
            except AgoraAnalyticsError:
                self._live.forget_quotas()
            await asyncio.sleep(interval)

    def _add(self, measurement: Measurement) -> None:
        """Add a measurement to its histogram or counter."""
        raise NotImplementedError
