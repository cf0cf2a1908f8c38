"""Common names and units for metrics that several vendors measure, so that their values can be compared.

Each vendor's folder maps its own metrics to these names in `METRIC_MAPPINGS`.
"""

from collections.abc import Mapping

from attrs import frozen

COMMON_METRICS: Mapping[str, tuple[str, str]] = {
    "audio_bitrate_sent": ("kbit/s", "Audio bitrate that a user sends."),
    "audio_bitrate_received": ("kbit/s", "Audio bitrate that a user receives."),
    "video_bitrate_sent": ("kbit/s", "Video bitrate that a user sends."),
    "video_bitrate_received": ("kbit/s", "Video bitrate that a user receives."),
    "audio_packet_loss_sent": ("ratio", "Share of the audio packets lost between the sender and the server."),
    "audio_packet_loss_received": ("ratio", "Share of the audio packets that do not reach a receiver."),
    "video_packet_loss_sent": ("ratio", "Share of the video packets lost between the sender and the server."),
    "video_packet_loss_received": ("ratio", "Share of the video packets that do not reach a receiver."),
    "audio_latency_sent": ("ms", "Audio latency between the sender and the server."),
    "audio_latency_received": ("ms", "Audio latency at a receiver."),
    "video_latency_sent": ("ms", "Video latency between the sender and the server."),
    "video_latency_received": ("ms", "Video latency at a receiver."),
    "round_trip_time": ("ms", "Round-trip time between a user and the nearest server."),
    "audio_freeze_time": ("ms", "Time that the audio was frozen since the previous sample."),
    "video_freeze_time": ("ms", "Time that the video was frozen since the previous sample."),
    "audio_freeze_rate": ("ratio", "Share of the time that the audio was frozen."),
    "video_freeze_rate": ("ratio", "Share of the time that the video was frozen."),
    "join_success_rate": ("ratio", "Share of the attempts to join that succeeded."),
    "join_success_in_5s_rate": (
        "ratio",
        "Share of the attempts to join that succeeded within five seconds.",
    ),
    "network_delay_rate": ("ratio", "Share of the time with a high network delay."),
    "first_frame_time": ("ms", "Time from joining to the first video frame."),
}
"""The common metrics: name -> (unit, meaning)."""


@frozen
class MetricMapping:
    """Maps a vendor's metric to a common metric.

    Attributes:
        metric: the common name.
        unit: the unit of the mapped value; "" where the vendor does not document one.
        factor: the mapped value is the vendor's value times this factor.
    """

    metric: str
    unit: str
    factor: float = 1.0


def map_to(metric: str, *, factor: float = 1.0, unit: str | None = None) -> MetricMapping:
    """Return the mapping to a common metric. `unit` replaces the common unit where the vendor's is unknown.

    Example:
        >>> map_to("video_packet_loss_received", factor=0.01)
        MetricMapping(metric='video_packet_loss_received', unit='ratio', factor=0.01)
    """
    return MetricMapping(metric, COMMON_METRICS[metric][0] if unit is None else unit, factor)
