"""The names of exported metrics: one table for OpenTelemetry, Prometheus and dashboards.

Client metrics follow the HTTP semantic conventions of OpenTelemetry where one applies. No convention exists for the
quality of calls, so these metrics have the namespace `rtc`. Values have base units: seconds, bits a second, and shares
from 0 to 1.

The names in Prometheus follow the specification of OpenTelemetry,
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/.
"""

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen


class MetricKind(StrEnum):
    """How the values of a metric are added up over time."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


_PROMETHEUS_UNITS = {"s": "seconds", "bit/s": "bits_per_second"}


@frozen(kw_only=True)
class ExportedMetric:
    """One metric.

    Attributes:
        name: its name in OpenTelemetry.
        kind: how its values are added up.
        unit: the unit in the notation of UCUM; `1` is a share from 0 to 1, and braces contain an annotation.
        description: one sentence.
        attributes: the attributes that a value may have. A dimension is added to those of call quality.
        buckets: the bounds of the buckets of a histogram.
        factor: a value in the unit of `COMMON_METRICS` times this factor has the unit of this metric.

    Example:
        >>> CLIENT_METRICS["wait"].prometheus
        'agora_analytics_client_wait_duration_seconds'
    """

    name: str
    kind: MetricKind = MetricKind.GAUGE
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    factor: float = 1.0

    @property
    def prometheus(self) -> str:
        """The name in Prometheus: the translation that OpenTelemetry specifies."""
        suffix = _PROMETHEUS_UNITS.get(self.unit, "")
        if self.kind is MetricKind.COUNTER:
            suffix = "total"
        elif self.unit == "1":
            suffix = "ratio"
        return "_".join(filter(None, (label(self.name), suffix)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the attributes as labels of Prometheus."""
        return tuple(map(label, self.attributes))


def label(attribute: str) -> str:
    """Return the name of an attribute as a label of Prometheus.

    Example:
        >>> label("http.request.method")
        'http_request_method'
    """
    return attribute.replace(".", "_")


ENDPOINT = "agora_analytics.endpoint"
WAIT_REASON = "agora_analytics.wait.reason"
APP_ID, VENDOR, METRIC = "rtc.app_id", "rtc.vendor", "rtc.metric"
METHOD, STATUS_CODE = "http.request.method", "http.response.status_code"
ADDRESS, PORT, ERROR_TYPE = "server.address", "server.port", "error.type"

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The bounds of the buckets of requests, as the HTTP semantic conventions specify."""
WAIT_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
"""The bounds of the buckets of waits. A spent quota may delay a request by hours."""

CLIENT_METRICS: Mapping[str, ExportedMetric] = {
    "request": ExportedMetric(
        name="http.client.request.duration",
        kind=MetricKind.HISTOGRAM,
        unit="s",
        description="Duration of HTTP requests, each attempt counted.",
        attributes=(METHOD, ADDRESS, PORT, STATUS_CODE, ERROR_TYPE, ENDPOINT),
        buckets=REQUEST_SECONDS,
    ),
    "wait": ExportedMetric(
        name="agora_analytics.client.wait.duration",
        kind=MetricKind.HISTOGRAM,
        unit="s",
        description="Duration of waits: back-offs, and waits of a second or more for the rate limit, the quota or the ledger.",
        attributes=(ENDPOINT, WAIT_REASON),
        buckets=WAIT_SECONDS,
    ),
    "quota_limit": ExportedMetric(
        name="agora_analytics.client.quota.limit",
        unit="{request}",
        description="Requests that the plan allows in a day.",
        attributes=(ENDPOINT,),
    ),
    "quota_remaining": ExportedMetric(
        name="agora_analytics.client.quota.remaining",
        unit="{request}",
        description="Requests that may still be sent today (UTC).",
        attributes=(ENDPOINT,),
    ),
}
"""The metrics of clients, by their role."""


def _quality(name: str, unit: str, description: str, factor: float = 1.0) -> ExportedMetric:
    return ExportedMetric(
        name=f"rtc.{name}", unit=unit, description=description, attributes=(VENDOR, APP_ID), factor=factor
    )


_MS, _KBIT = 0.001, 1000.0

QUALITY_METRICS: Mapping[str, ExportedMetric] = {
    "audio_bitrate_sent": _quality("audio.bitrate.sent", "bit/s", "Audio bitrate that a user sends.", _KBIT),
    "audio_bitrate_received": _quality(
        "audio.bitrate.received", "bit/s", "Audio bitrate that a user receives.", _KBIT
    ),
    "video_bitrate_sent": _quality("video.bitrate.sent", "bit/s", "Video bitrate that a user sends.", _KBIT),
    "video_bitrate_received": _quality(
        "video.bitrate.received", "bit/s", "Video bitrate that a user receives.", _KBIT
    ),
    "audio_packet_loss_sent": _quality(
        "audio.packet_loss.sent", "1", "Share of the audio packets lost between the sender and the server."
    ),
    "audio_packet_loss_received": _quality(
        "audio.packet_loss.received", "1", "Share of the audio packets that do not reach a receiver."
    ),
    "video_packet_loss_sent": _quality(
        "video.packet_loss.sent", "1", "Share of the video packets lost between the sender and the server."
    ),
    "video_packet_loss_received": _quality(
        "video.packet_loss.received", "1", "Share of the video packets that do not reach a receiver."
    ),
    "audio_latency_sent": _quality(
        "audio.latency.sent", "s", "Audio latency between the sender and the server.", _MS
    ),
    "audio_latency_received": _quality("audio.latency.received", "s", "Audio latency at a receiver.", _MS),
    "video_latency_sent": _quality(
        "video.latency.sent", "s", "Video latency between the sender and the server.", _MS
    ),
    "video_latency_received": _quality("video.latency.received", "s", "Video latency at a receiver.", _MS),
    "round_trip_time": _quality(
        "round_trip_time", "s", "Round-trip time between a user and the nearest server.", _MS
    ),
    "audio_freeze_time": _quality(
        "audio.freeze_time", "s", "Time that the audio was frozen since the previous sample.", _MS
    ),
    "video_freeze_time": _quality(
        "video.freeze_time", "s", "Time that the video was frozen since the previous sample.", _MS
    ),
    "audio_freeze_rate": _quality("audio.freeze", "1", "Share of the time that the audio was frozen."),
    "video_freeze_rate": _quality("video.freeze", "1", "Share of the time that the video was frozen."),
    "join_success_rate": _quality("join.success", "1", "Share of the attempts to join that succeeded."),
    "join_success_in_5s_rate": _quality(
        "join.success_in_5s", "1", "Share of the attempts to join that succeeded within five seconds."
    ),
    "network_delay_rate": _quality("network.high_delay", "1", "Share of the time with a high network delay."),
    "first_frame_time": _quality(
        "video.first_frame_time", "s", "Time from joining to the first video frame.", _MS
    ),
}
"""The metrics of call quality, by their name in `COMMON_METRICS`."""

LIVE_METRICS: Mapping[str, ExportedMetric] = {
    "userCount": _quality("active_users", "{user}", "Users in calls."),
    "channelCount": _quality("active_channels", "{channel}", "Channels with at least one user."),
}
"""The counts of real-time data, by the vendor's name."""

WINDOW_METRICS: Mapping[str, ExportedMetric] = {
    "time": _quality("window.time", "s", "End of the newest window with values, in epoch seconds (UTC)."),
    "lost": ExportedMetric(
        name="rtc.window.lost",
        kind=MetricKind.COUNTER,
        unit="{window}",
        description="Windows of 20 seconds of a metric that could not be fetched in time.",
        attributes=(METRIC,),
    ),
    "omitted": _quality(
        "window.omitted_groups", "{group}", "Groups of the newest window above the limit of exported groups."
    ),
}
"""The state of the real-time windows, by its role."""

ALL_METRICS = (
    *CLIENT_METRICS.values(),
    *LIVE_METRICS.values(),
    *QUALITY_METRICS.values(),
    *WINDOW_METRICS.values(),
)
"""Every exported metric."""
