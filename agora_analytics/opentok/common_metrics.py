"""OpenTok's metrics that have a common name: stream statistics, and a project's connection errors of a day.

The documents call packet loss a ratio and bitrates Kbps (`reference/opentok-insights.md`, section 6).
"""

from collections.abc import Mapping

from agora_analytics.core.common_metrics import MetricMapping, map_to

METRIC_MAPPINGS: Mapping[str, MetricMapping] = {
    "publisher.audioBitrateKbps": map_to("audio_bitrate_sent"),
    "publisher.videoBitrateKbps": map_to("video_bitrate_sent"),
    "publisher.audioPacketLoss": map_to("audio_packet_loss_sent"),
    "publisher.videoPacketLoss": map_to("video_packet_loss_sent"),
    "publisher.audioLatencyMs": map_to("audio_latency_sent"),
    "publisher.videoLatencyMs": map_to("video_latency_sent"),
    "subscriber.audioBitrateKbps": map_to("audio_bitrate_received"),
    "subscriber.videoBitrateKbps": map_to("video_bitrate_received"),
    "subscriber.audioPacketLoss": map_to("audio_packet_loss_received"),
    "subscriber.videoPacketLoss": map_to("video_packet_loss_received"),
    "subscriber.audioLatencyMs": map_to("audio_latency_received"),
    "subscriber.videoLatencyMs": map_to("video_latency_received"),
    "errors.connect": map_to("join_success_rate"),
}
"""By OpenTok's own name. Stream statistics have one value every 30 seconds."""
