"""Prometheus: metrics of clients and of call quality in a registry, and a server for them.

Names of metrics: `metric_names`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agora_analytics.errors import ConfigurationError
from agora_analytics.integrations.client_measurements import Measurement
from agora_analytics.integrations.live_values import STALE_AFTER
from agora_analytics.integrations.metric_names import ALL_METRICS, ExportedMetric, MetricKind, label
from agora_analytics.integrations.metrics_observer import MetricsObserver

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

PORT = 9464
"""The port of the Prometheus exporter of OpenTelemetry."""


class PrometheusMetrics(MetricsObserver):
    """Collects metrics from the events of clients, and has the gauges of real-time windows and quotas.

    A scrape reads memory only: it sends no request and does not read the ledger.

    Args:
        registry: where the metrics are registered; None: a new registry. Pass `prometheus_client.REGISTRY` to add them to
            those of the process.
        stale_after: seconds after the end of a real-time window until its values expire.
        now: returns the time in UTC epoch seconds.

    Attributes:
        registry: the registry.

    Raises:
        ConfigurationError: the extra `[prometheus]` is not installed.

    Example:
        metrics = PrometheusMetrics()
        async with AsyncAgora.from_env(observer=metrics) as client:
            async for window in client.realtime.follow(["userCount", "videoFreezeRate"]):
                metrics.record(window)

    See docs/howto/observability.md.
    """

    def __init__(
        self,
        registry: "CollectorRegistry | None" = None,
        *,
        stale_after: float = STALE_AFTER,
        now: Callable[[], float] = time.time,
    ) -> None:
        _require_package()
        from prometheus_client import CollectorRegistry

        super().__init__(stale_after=stale_after, now=now)
        self.registry = registry or CollectorRegistry()
        self._instruments = {
            metric.name: _instrument(metric, self.registry)
            for metric in ALL_METRICS
            if metric.kind is not MetricKind.GAUGE
        }
        self.registry.register(self)

    def describe(self) -> "Iterable[Metric]":
        """Return the gauges without values, from which the registry learns their names."""
        return [_family(metric) for metric in ALL_METRICS if metric.kind is MetricKind.GAUGE]

    def collect(self) -> "Iterable[Metric]":
        """Return the gauges that have a value now."""
        families: dict[str, Metric] = {}
        for gauge in self._live.gauges():
            name = gauge.metric.prometheus
            if name not in families:
                families[name] = _family(gauge.metric)
            labels = {label(attribute): value for attribute, value in gauge.attributes.items()}
            families[name].add_sample(name, labels, gauge.value)
        return families.values()

    def _add(self, measurement: Measurement) -> None:
        metric, attributes = measurement.metric, measurement.attributes
        labels = [str(attributes.get(attribute, "")) for attribute in metric.attributes]
        self._instruments[metric.name](labels, measurement.value)


@contextmanager
def metrics_server(registry: "CollectorRegistry", host: str, port: int) -> Iterator[str]:
    """Serve the metrics of a registry in a thread, and return their URL.

    The format is the text format of Prometheus or OpenMetrics, as the scraper accepts.

    Args:
        registry: the registry.
        host: the address to listen on.
        port: the port to listen on; 0: any free port.

    Raises:
        ConfigurationError: the extra `[prometheus]` is not installed.
        OSError: the address is in use or not available.

    Example:
        with metrics_server(metrics.registry, "127.0.0.1", 9464) as url:
            print(url)
    """
    _require_package()
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, host, registry)
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _require_package() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigurationError(
            "metrics for Prometheus need prometheus-client: pip install 'agora-analytics[prometheus]'"
        ) from None


def _family(metric: ExportedMetric) -> "Metric":
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(metric.prometheus, metric.description)


def _instrument(metric: ExportedMetric, registry: "CollectorRegistry") -> Callable[[list[str], float], None]:
    """Create the instrument of a metric, and return the function that adds a value with labels to it."""
    from prometheus_client import Counter, Histogram

    name, description, labels = metric.prometheus, metric.description, metric.labels
    if metric.kind is MetricKind.COUNTER:
        counter = Counter(name, description, labels, registry=registry)
        return lambda values, value: counter.labels(*values).inc(value)
    histogram = Histogram(name, description, labels, registry=registry, buckets=metric.buckets)
    return lambda values, value: histogram.labels(*values).observe(value)
