"""OpenTelemetry: a span for each request and each attempt, and metrics of clients and of call quality.

Attributes follow the HTTP semantic conventions (stable since 1.23). Names of metrics: `metric_names`.
"""

import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agora_analytics import __version__
from agora_analytics.engine.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    Event,
    HostSwitched,
    RequestEnded,
    RequestStarted,
    ResponseReceived,
    Waited,
    current_request,
)
from agora_analytics.errors import ConfigurationError
from agora_analytics.integrations import metric_names as names
from agora_analytics.integrations.client_measurements import (
    AttemptEnd,
    Measurement,
    attempt_attributes,
    error_type,
    outcome_attributes,
)
from agora_analytics.integrations.live_values import STALE_AFTER
from agora_analytics.integrations.metric_names import ALL_METRICS, ExportedMetric, MetricKind
from agora_analytics.integrations.metrics_observer import MetricsObserver

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
    from opentelemetry.trace import Span, TracerProvider

_SCOPE = "agora_analytics"
_SCHEMA_URL = "https://opentelemetry.io/schemas/1.23.0"


@frozen
class _Current:
    """A span that is current in the task of its request, and the token that makes the previous one current again."""

    span: "Span"
    token: Any


class OpenTelemetryObserver(MetricsObserver):
    """Creates spans and metrics from the events of clients.

    The span of a request has the name of the endpoint. Its parent is the span that is current for the caller. The span of
    an attempt, named after the method and the path, is its child. It is current while the request is sent, so that spans
    of an HTTP library are its children. It ends when the response has been read and judged. URLs have no values: ids and
    query parameters are replaced by `REDACTED`.

    Args:
        tracer_provider: creates the spans; None: the global provider.
        meter_provider: creates the metrics; None: the global provider.
        stale_after: seconds after the end of a real-time window until its values expire.
        now: returns the time in UTC epoch seconds.

    Raises:
        ConfigurationError: the extra `[otel]` is not installed.

    Example:
        client = AsyncAgora.from_env(observer=OpenTelemetryObserver())

    See docs/howto/observability.md.
    """

    def __init__(
        self,
        *,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
        stale_after: float = STALE_AFTER,
        now: Callable[[], float] = time.time,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ModuleNotFoundError:
            raise ConfigurationError(
                "OpenTelemetryObserver needs opentelemetry-api: pip install 'agora-analytics[otel]'"
            ) from None
        super().__init__(stale_after=stale_after, now=now)
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider, _SCHEMA_URL)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider, _SCHEMA_URL)
        self._instruments = {metric.name: self._instrument(meter, metric) for metric in ALL_METRICS}
        self._requests: dict[int, _Current] = {}
        self._attempts: dict[int, _Current] = {}

    def __call__(self, event: Event) -> None:
        """Trace and measure an event of a client."""
        match event:
            case RequestStarted():
                self._requests[event.request] = self._begin(event.endpoint, {names.ENDPOINT: event.endpoint})
            case AttemptStarted():
                self._attempts[event.request] = self._begin_attempt(event)
            case _:
                pass
        # A histogram notes the span that is current, so that a sample leads to its trace.
        super().__call__(event)
        match event:
            case ResponseReceived() | AttemptFailed() | AttemptAbandoned():
                self._end_attempt(event)
            case RequestEnded():
                self._end_request(event)
            case Waited():
                attributes = {
                    names.WAIT_REASON: event.reason.value,
                    "agora_analytics.wait.duration": event.seconds,
                }
                self._add_event("wait", attributes)
            case HostSwitched():
                self._add_event(
                    "host_switched",
                    {"agora_analytics.host.old": event.old, "agora_analytics.host.new": event.new},
                )
            case _:
                pass

    def _begin(self, name: str, attributes: dict[str, Any], *, is_attempt: bool = False) -> _Current:
        from opentelemetry import context, trace

        kind = trace.SpanKind.CLIENT if is_attempt else trace.SpanKind.INTERNAL
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        return _Current(span, context.attach(trace.set_span_in_context(span)))

    def _begin_attempt(self, event: AttemptStarted) -> _Current:
        attributes: dict[str, Any] = {
            **attempt_attributes(event),
            "url.full": redacted_url(event),
            "url.template": event.path,
        }
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        if event.window is not None:
            attributes["agora_analytics.window.start"] = event.window.start
            attributes["agora_analytics.window.end"] = event.window.end
        return self._begin(f"{event.method} {event.path}", attributes, is_attempt=True)

    def _end_attempt(self, event: AttemptEnd) -> None:
        if (current := self._attempts.pop(event.request, None)) is None:
            return
        attributes: dict[str, Any] = dict(outcome_attributes(event))
        if isinstance(event, ResponseReceived):
            attributes["agora_analytics.response.size"] = event.size
        self._end(current, attributes)

    def _end_request(self, event: RequestEnded) -> None:
        if (current := self._requests.pop(event.request, None)) is None:
            return
        attributes: dict[str, Any] = {"agora_analytics.request.attempts": event.attempts}
        if event.error:
            attributes[names.ERROR_TYPE] = error_type(event.error)
        self._end(current, attributes)

    def _end(self, current: _Current, attributes: dict[str, Any]) -> None:
        from opentelemetry import context
        from opentelemetry.trace import StatusCode

        context.detach(current.token)
        current.span.set_attributes(attributes)
        if names.ERROR_TYPE in attributes:
            current.span.set_status(StatusCode.ERROR)
        current.span.end()

    def _add_event(self, name: str, attributes: dict[str, Any]) -> None:
        if current := self._requests.get(current_request.get()):
            current.span.add_event(name, attributes)

    def _add(self, measurement: Measurement) -> None:
        self._instruments[measurement.metric.name](measurement.value, dict(measurement.attributes))

    def _instrument(self, meter: "Meter", metric: ExportedMetric) -> Callable[..., None]:
        """Create the instrument of a metric, and return the function that adds a measurement to it."""
        options = {"unit": metric.unit, "description": metric.description}
        if metric.kind is MetricKind.HISTOGRAM:
            buckets = metric.buckets
            return meter.create_histogram(
                metric.name, **options, explicit_bucket_boundaries_advisory=buckets
            ).record
        if metric.kind is MetricKind.COUNTER:
            return meter.create_counter(metric.name, **options).add
        meter.create_observable_gauge(metric.name, [partial(self._observe, metric)], **options)
        return _is_observed

    def _observe(self, metric: ExportedMetric, _: "CallbackOptions") -> "Iterable[Observation]":
        from opentelemetry.metrics import Observation

        for gauge in self._live.gauges():
            if gauge.metric is metric:
                yield Observation(gauge.value, dict(gauge.attributes))


def _is_observed(value: float, attributes: dict[str, Any]) -> None:
    raise AssertionError(f"a gauge is observed: {value} {attributes}")


def redacted_url(start: AttemptStarted) -> str:
    """Return the URL of an attempt with `REDACTED` in place of each id and each value of the query.

    They identify calls, channels and users. Credentials are sent as headers.

    Example:
        >>> start = AttemptStarted(
        ...     endpoint="e", host="https://h", method="GET", path="/u/{uid}", parameters=("page",)
        ... )
        >>> redacted_url(start)
        'https://h/u/REDACTED?page=REDACTED'
    """
    path = re.sub(r"\{\w+\}", "REDACTED", start.path)
    query = "&".join(f"{name}=REDACTED" for name in start.parameters)
    return f"{start.host}{path}{'?' if query else ''}{query}"
