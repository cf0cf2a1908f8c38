"""The metric ids (`mid`) of Call Inspector: a name, a label and a unit for each.

Source: Agora, "Analytics REST API reference", "Metrics ID". Ids that are not here
are kept everywhere, and have no name.
"""

from collections.abc import Mapping
from enum import Enum

from attrs import frozen


class Better(Enum):
    """Which way a metric gets better, where the reference says so or the unit leaves no doubt."""

    LOWER = "lower"
    HIGHER = "higher"


@frozen
class MetricId:
    """One metric of a session.

    Attributes:
        mid: the vendor's id.
        name: its name here.
        label: what it is, in words.
        unit: `%`, `Kbps`, `ms`, `fps`, `dB`, `px`; "" where it has none.
        better: whether lower or higher is better; None: neither.
    """

    mid: int
    name: str
    label: str
    unit: str = ""
    better: Better | None = None


_LOW, _HIGH = Better.LOWER, Better.HIGHER

METRIC_IDS: Mapping[int, MetricId] = {
    metric.mid: metric
    for metric in (
        MetricId(20001, "app_cpu", "App CPU usage", "%", _LOW),
        MetricId(20002, "system_cpu", "System CPU usage", "%", _LOW),
        MetricId(20003, "audio_send_bitrate", "Audio send bitrate", "Kbps"),
        MetricId(20004, "audio_receive_bitrate", "Audio receive bitrate", "Kbps"),
        MetricId(20005, "audio_render_freeze", "Audio freeze time in rendering", "ms", _LOW),
        # The 2021 pages label it as the bitrate of the (high-quality) video that is sent.
        MetricId(20006, "video_low_stream_send_bitrate", "Video low-stream send bitrate", "Kbps"),
        MetricId(20007, "video_capture_frame_rate", "Video capture frame rate", "fps", _HIGH),
        MetricId(20008, "video_send_frame_rate", "Video high-stream send frame rate", "fps", _HIGH),
        MetricId(20009, "video_receive_bitrate", "Video high-stream receive bitrate", "Kbps"),
        MetricId(20010, "video_receive_frame_rate", "Video high-stream receive frame rate", "fps", _HIGH),
        MetricId(20011, "video_render_freeze", "Video freeze time in rendering", "ms", _LOW),
        MetricId(20013, "video_qp", "Video quantisation parameter", "", _LOW),
        MetricId(20015, "audio_uplink_loss", "Audio uplink packet loss", "%", _LOW),
        MetricId(20016, "audio_end_to_end_loss", "Audio end-to-end packet loss", "%", _LOW),
        MetricId(20017, "video_uplink_loss", "Video uplink packet loss", "%", _LOW),
        MetricId(20018, "video_end_to_end_loss", "Video end-to-end packet loss", "%", _LOW),
        MetricId(20019, "received_video_width", "Received video width", "px"),
        MetricId(20020, "received_video_height", "Received video height", "px"),
        MetricId(20021, "task_scheduling_delay", "SDK task scheduling delay", "ms", _LOW),
        MetricId(20022, "router_round_trip", "Client-to-router round trip", "ms", _LOW),
        MetricId(20023, "video_low_stream_send_frame_rate", "Video low-stream send frame rate", "fps", _HIGH),
        MetricId(20024, "video_send_bitrate", "Video high-stream send bitrate", "Kbps"),
        MetricId(20025, "capture_volume", "Capture volume", "dB"),
        MetricId(20026, "playback_volume", "Playback volume", "dB"),
        MetricId(20027, "sent_video_width", "Sent video width", "px"),
        MetricId(20028, "sent_video_height", "Sent video height", "px"),
        MetricId(20030, "video_low_stream_receive_bitrate", "Video low-stream receive bitrate", "Kbps"),
        MetricId(
            20031, "video_low_stream_receive_frame_rate", "Video low-stream receive frame rate", "fps", _HIGH
        ),
        MetricId(20032, "received_low_stream_width", "Received low-stream width", "px"),
        MetricId(20033, "received_low_stream_height", "Received low-stream height", "px"),
        MetricId(20034, "sent_low_stream_width", "Sent low-stream width", "px"),
        MetricId(20035, "sent_low_stream_height", "Sent low-stream height", "px"),
        MetricId(20036, "webrtc_video_downlink_loss", "WebRTC downlink video loss", "", _LOW),
        MetricId(20037, "webrtc_audio_uplink_loss", "WebRTC uplink audio loss", "", _LOW),
        MetricId(20038, "webrtc_video_uplink_loss", "WebRTC uplink video loss", "", _LOW),
        MetricId(20039, "app_memory", "App memory usage", "%", _LOW),
        MetricId(20040, "system_memory", "System memory usage", "%", _LOW),
    )
}
"""All metric ids that the reference names, by id."""


NAMES_AND_UNITS: Mapping[int, tuple[str, str]] = {
    mid: (metric.name, metric.unit) for mid, metric in METRIC_IDS.items()
}
"""The columns `metric` and `unit` of samples, by metric id."""


def metric_unit(mid: int) -> str:
    """Return the unit of a metric id; "" where it has none, or no document names it.

    Example:
        >>> metric_unit(20018), metric_unit(20013), metric_unit(29999)
        ('%', '', '')
    """
    metric = METRIC_IDS.get(mid)
    return metric.unit if metric else ""


def metric_name(mid: int) -> str:
    """Return the name of a metric id; `mid_` and its number where no document names it.

    Example:
        >>> metric_name(20018), metric_name(29999)
        ('video_end_to_end_loss', 'mid_29999')
    """
    metric = METRIC_IDS.get(mid)
    return metric.name if metric else f"mid_{mid}"
