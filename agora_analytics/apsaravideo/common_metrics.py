"""ApsaraVideo's metrics that have a common name: one value every five minutes over all users.

No document names a unit, so `unit` is empty and the values are stored as sent.
"""

from collections.abc import Mapping

from agora_analytics.core.common_metrics import MetricMapping, map_to

METRIC_MAPPINGS: Mapping[str, MetricMapping] = {
    # counts the users that joined within five seconds (`reference/sources/003`)
    "JoinChannelSucRate": map_to("join_success_in_5s_rate", unit=""),
    "VideoStuckRate": map_to("video_freeze_rate", unit=""),
    "AudioStuckRate": map_to("audio_freeze_rate", unit=""),
    "FirstFrameCost": map_to("first_frame_time", unit=""),
}
"""By ApsaraVideo's own name."""
