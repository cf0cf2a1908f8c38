"""The measurements of client metrics: what an event of a client adds to which metric.

All attributes have few values: endpoints, hosts of the vendor, status codes, classes of errors and reasons of waits.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from attrs import frozen

from agora_analytics.engine.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    Event,
    ResponseReceived,
    Waited,
    WindowsLost,
)
from agora_analytics.integrations import metric_names as names
from agora_analytics.integrations.metric_names import CLIENT_METRICS, WINDOW_METRICS, ExportedMetric

AttemptEnd = ResponseReceived | AttemptFailed | AttemptAbandoned
Attributes = Mapping[str, str | int]


@frozen
class Measurement:
    """One value of a metric with its attributes: the value that a histogram observes, or that a counter grows by."""

    metric: ExportedMetric
    value: float
    attributes: Attributes


class ClientMeasurements:
    """Turns the events of clients into measurements. Remembers the start of each attempt until its end."""

    def __init__(self) -> None:
        self._started: dict[int, AttemptStarted] = {}

    def of(self, event: Event) -> Iterator[Measurement]:
        """Yield the measurements of an event."""
        match event:
            case AttemptStarted():
                self._started[event.request] = event
            case ResponseReceived() | AttemptFailed() | AttemptAbandoned():
                start = self._started.pop(event.request, None)
                if start is not None:  # otherwise the observer was added while the attempt was in progress
                    attributes = {**attempt_attributes(start), **outcome_attributes(event)}
                    yield Measurement(CLIENT_METRICS["request"], event.elapsed, attributes)
            case Waited():
                attributes = {names.ENDPOINT: event.endpoint, names.WAIT_REASON: event.reason.value}
                yield Measurement(CLIENT_METRICS["wait"], event.seconds, attributes)
            case WindowsLost():
                yield Measurement(WINDOW_METRICS["lost"], event.count, {names.METRIC: event.metric})
            case _:
                pass


def attempt_attributes(start: AttemptStarted) -> dict[str, str | int]:
    """Return the attributes of an attempt that are known at its start."""
    parts = urlsplit(start.host)
    return {
        names.ENDPOINT: start.endpoint,
        names.METHOD: start.method,
        names.ADDRESS: parts.hostname or "",
        names.PORT: parts.port or (443 if parts.scheme == "https" else 80),
    }


def outcome_attributes(event: AttemptEnd) -> dict[str, str | int]:
    """Return the attributes of the outcome of an attempt: its status, and the type of its error."""
    match event:
        case ResponseReceived():
            error = {names.ERROR_TYPE: event.error} if event.error else {}
            return {names.STATUS_CODE: event.status, **error}
        case AttemptFailed():
            return {names.ERROR_TYPE: event.kind.lower().replace(" ", "_")}
        case AttemptAbandoned():
            return {names.ERROR_TYPE: error_type(event.reason)}


def error_type(error: str) -> str:
    """Return the value of `error.type` for the class of an error.

    Example:
        >>> error_type("CancelledError"), error_type("RateLimited")
        ('cancelled', 'RateLimited')
    """
    return "cancelled" if error == "CancelledError" else error
