"""The newest real-time windows and quotas, as values that expire: a gauge must not show what is no longer known."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from agora_analytics.agora.common_metrics import METRIC_MAPPINGS
from agora_analytics.agora.enums import RealtimeMetric
from agora_analytics.agora.follow import LiveWindow
from agora_analytics.engine.engine import Quota
from agora_analytics.integrations import metric_names as names
from agora_analytics.integrations.metric_names import (
    CLIENT_METRICS,
    LIVE_METRICS,
    QUALITY_METRICS,
    WINDOW_METRICS,
    ExportedMetric,
)

STALE_AFTER = 300.0
"""Seconds after the end of a window until its values expire: the time for which Prometheus itself uses a sample."""
MOST_GROUPS = 100
"""The most groups of a dimension that are exported."""


_USERS = RealtimeMetric.USER_COUNT.value


@frozen
class GaugeValue:
    """The current value of a gauge with its attributes."""

    metric: ExportedMetric
    value: float
    attributes: Mapping[str, str]


@frozen
class _Window:
    window: LiveWindow
    attributes: Mapping[str, str]


class LiveValues:
    """The values of the gauges of clients and of call quality. It can be used from several threads.

    Args:
        stale_after: seconds after the end of a window until its values expire.
        now: returns the time in UTC epoch seconds.
    """

    def __init__(self, *, stale_after: float = STALE_AFTER, now: Callable[[], float] = time.time) -> None:
        self.stale_after = stale_after
        self._now = now
        self._lock = threading.Lock()
        self._windows: dict[tuple[Any, ...], _Window] = {}
        self._quotas: dict[str, Quota] = {}

    def record(self, window: LiveWindow, *, vendor: str, app_id: str) -> None:
        """Replace the values of the previous window of the same app, metrics and dimension."""
        attributes = {name: text for name, text in ((names.VENDOR, vendor), (names.APP_ID, app_id)) if text}
        query = (vendor, app_id, window.metrics)
        dimensions = {row.dimension for row in window.rows}
        with self._lock:
            if not dimensions:  # no data: that of the previous window is obsolete whatever it was grouped by
                dimensions = {key[-1] for key in self._windows if key[:-1] == query} or {None}
            for dimension in dimensions:
                self._windows[(*query, dimension)] = _Window(window, attributes)

    def record_quota(self, quotas: Iterable[Quota]) -> None:
        """Replace the state of quotas. Endpoints without a quota a day are left out."""
        with self._lock:
            self._quotas |= {quota.endpoint: quota for quota in quotas if quota.daily}

    def forget_quotas(self) -> None:
        """Drop the state of all quotas, because it cannot be read."""
        with self._lock:
            self._quotas.clear()

    def close_quota(self, endpoint: str) -> None:
        """Record that the day's quota of an endpoint is spent."""
        with self._lock:
            if endpoint in self._quotas:
                self._quotas[endpoint] = evolve(self._quotas[endpoint], closed=True)

    def gauges(self) -> Iterator[GaugeValue]:
        """Yield the current value of each gauge. Expired values and values that the vendor does not have are left out."""
        now = self._now()
        with self._lock:
            windows, quotas = list(self._windows.values()), list(self._quotas.values())
        for quota in quotas:
            attributes = {names.ENDPOINT: quota.endpoint}
            left = quota.per_day if now >= quota.opens_at else quota.left
            yield GaugeValue(CLIENT_METRICS["quota_limit"], quota.per_day, attributes)
            yield GaugeValue(CLIENT_METRICS["quota_remaining"], left, attributes)
        values: dict[Any, GaugeValue] = {}
        for each in sorted(windows, key=lambda each: each.window.end):
            # Two queries may have the same values: the newer window counts.
            values |= {
                (value.metric.name, *value.attributes.items()): value
                for value in _values(each, is_fresh=now < each.window.end + self.stale_after)
            }
        yield from values.values()


def exported_metric(metric: str) -> ExportedMetric | None:
    """Return the exported metric of a metric of Real-time; None: it has none.

    Example:
        >>> exported_metric("videoFreezeRate").prometheus
        'rtc_video_freeze_ratio'
    """
    if metric in LIVE_METRICS:
        return LIVE_METRICS[metric]
    mapping = METRIC_MAPPINGS.get(metric)
    return None if mapping is None else QUALITY_METRICS[mapping.metric]


def _values(recorded: _Window, *, is_fresh: bool) -> Iterator[GaugeValue]:
    window, attributes = recorded.window, recorded.attributes
    yield GaugeValue(WINDOW_METRICS["time"], window.end, attributes)
    if not is_fresh:
        return
    rows = [row for row in window.rows if row.value is not None]
    users = {row.dimension_value: row.value or 0 for row in rows if row.metric == _USERS}
    groups = sorted(
        {row.dimension_value for row in rows if row.dimension is not None},
        key=lambda group: (-users.get(group, 0), group or ""),
    )
    exported = {None, *groups[:MOST_GROUPS]}
    if groups:
        yield GaugeValue(WINDOW_METRICS["omitted"], max(0, len(groups) - MOST_GROUPS), attributes)
    for row in rows:
        metric = exported_metric(row.metric)
        if metric is not None and row.dimension_value in exported:
            group = (
                {} if row.dimension is None else {f"rtc.{row.dimension}": row.dimension_value or "unknown"}
            )
            yield GaugeValue(metric, float(row.value or 0), {**attributes, **group})
