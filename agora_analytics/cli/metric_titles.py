"""The names of metrics as every command shows them to people. JSON, CSV and Parquet have the vendor's names.

A metric with a common name (`core.common_metrics`) is called by it, whichever the vendor, so that one metric has one
name in all commands: `videoFreezeRate`, `user_video_freeze_rate` and `VideoStuckRate` are all "video freeze".
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from agora_analytics.agora.common_metrics import METRIC_MAPPINGS as AGORA
from agora_analytics.apsaravideo.spec import METRIC_MAPPINGS as APSARAVIDEO
from agora_analytics.core.common_metrics import COMMON_METRICS
from agora_analytics.opentok.spec import METRIC_MAPPINGS as OPENTOK

_TITLES: Mapping[str, str] = {
    "app_cpu": "app CPU",
    "audio_freeze_user_count": "with audio freeze",
    "channelCount": "channels",
    "channelSize": "channel size",
    "join_success_in_5s_rate": "join success in 5 s",
    "net": "network",
    "network_delay_rate": "high network delay",
    "os": "OS",
    "peakConcurrentChannels": "most channels at once",
    "peakConcurrentUsers": "most users at once",
    "quality.publisher.latencyMsAvg": "latency sent",
    "quality.publisher.videoBitrateKbpsAvg": "video bitrate sent",
    "quality.subscriber.latencyMsAvg": "latency received",
    "quality.subscriber.videoBitrateKbpsAvg": "video bitrate received",
    "sdk": "SDK",
    "sessionCount": "sessions",
    "system_cpu": "system CPU",
    "totalAudioDuration": "audio minutes",
    "totalDuration": "minutes",
    "totalVideoDuration": "video minutes",
    "userCount": "users",
    "user_count": "users",
    "usage.streamedPublishedMinutes": "published minutes",
    "usage.streamedSubscribedMinutes": "subscribed minutes",
    "video_freeze_user_count": "with video freeze",
    "video_qp": "video QP",
}
"""By the vendor's name or the common name, where its words are not what people say."""
_UNITS: Mapping[str, str] = {"Kbps": "kbit/s"}
_SUFFIXES: Mapping[str, str] = {"KbpsAvg": "kbit/s", "MsAvg": "ms"}


@lru_cache(maxsize=256)
def title_of(name: str) -> str:
    """Return the name of a metric for people, given the vendor's name of it.

    Example:
        >>> title_of("videoFreezeRate"), title_of("20018"), title_of("usage.hlsMinutes")
        ('video freeze', 'video loss received', 'hls minutes')
    """
    mapping = AGORA.get(name) or APSARAVIDEO.get(name) or OPENTOK.get(name)
    common = mapping.metric if mapping else name
    if title := _TITLES.get(common):
        return title
    if common in COMMON_METRICS:
        return common.removesuffix("_rate").replace("packet_loss", "loss").replace("_", " ")
    return _words(name)


def unit_of(name: str) -> str:
    """Return the unit of a metric of OpenTok that its name ends with; empty: a count, or minutes, as the title says."""
    return next((unit for suffix, unit in _SUFFIXES.items() if name.endswith(suffix)), "")


def series_title(mid: int, name: str) -> str:
    """Return the name of a metric of Call Inspector for people, given its id and its name in the library."""
    return title_of(str(mid) if str(mid) in AGORA else name)


def unit_text(unit: str | None) -> str | None:
    """Return a unit as every command shows it: `Kbps` is `kbit/s`."""
    return unit and _UNITS.get(unit, unit)


def _words(name: str) -> str:
    """Return the words of a name: those of `errors.connect.failures` are `connect failures`."""
    inner = name.partition(".")[2] or name
    parts = re.split(r"[._\s]+|(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z])", inner)
    return " ".join(part.lower() for part in parts if part)
