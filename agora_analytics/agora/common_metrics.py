"""Agora's metrics that have a common name: metric ids, metrics of Data Insights, and columns of `sessions`."""

from collections.abc import Mapping

from agora_analytics.core.common_metrics import MetricMapping, map_to

METRIC_MAPPINGS: Mapping[str, MetricMapping] = {
    "20003": map_to("audio_bitrate_sent"),
    "20004": map_to("audio_bitrate_received"),
    "20005": map_to("audio_freeze_time"),
    "20009": map_to("video_bitrate_received"),
    "20011": map_to("video_freeze_time"),
    "20015": map_to("audio_packet_loss_sent", factor=0.01),
    "20016": map_to("audio_packet_loss_received", factor=0.01),
    "20017": map_to("video_packet_loss_sent", factor=0.01),
    "20018": map_to("video_packet_loss_received", factor=0.01),
    "20022": map_to("round_trip_time"),
    "20024": map_to("video_bitrate_sent"),
    "joinSuccessRate": map_to("join_success_rate"),
    "joinSuccessIn5sRate": map_to("join_success_in_5s_rate"),
    "networkDelay": map_to("network_delay_rate"),
    "audioFreezeRate": map_to("audio_freeze_rate"),
    "videoFreezeRate": map_to("video_freeze_rate"),
    "user_audio_freeze_rate": map_to("audio_freeze_rate"),
    "user_video_freeze_rate": map_to("video_freeze_rate"),
}
"""By Agora's own name. Agora counts the packet loss of received media from sender to receiver."""
