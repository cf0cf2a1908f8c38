"""What can be asked for: metrics, dimensions, products and granularities, and which go together.

Every parameter also takes a raw string, which passes as it is: the vendor adds names before this file knows them.
Source: `reference/agora-analytics-api.md`, "Endpoints".
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from agora_analytics.agora import plans

Names = str | Iterable[str]
"""One name, or several: members of an enum here, or raw strings."""


def names(given: Names) -> tuple[str, ...]:
    """Return the names as the API spells them, each once, in the order they were given."""
    return tuple(dict.fromkeys(map(str, [given] if isinstance(given, str) else given)))


class UsageMetric(StrEnum):
    """What Data Insights counts. Durations are minutes; the two peaks take no dimension."""

    USER_COUNT = "userCount"
    SESSION_COUNT = "sessionCount"
    CHANNEL_COUNT = "channelCount"
    PEAK_CONCURRENT_CHANNELS = "peakConcurrentChannels"
    PEAK_CONCURRENT_USERS = "peakConcurrentUsers"
    TOTAL_DURATION = "totalDuration"
    TOTAL_VIDEO_DURATION = "totalVideoDuration"
    TOTAL_AUDIO_DURATION = "totalAudioDuration"


class QualityMetric(StrEnum):
    """What Data Insights and Real-time measure. All are fractions of 1."""

    JOIN_SUCCESS_RATE = "joinSuccessRate"
    JOIN_SUCCESS_IN_5S_RATE = "joinSuccessIn5sRate"
    AUDIO_FREEZE_RATE = "audioFreezeRate"
    VIDEO_FREEZE_RATE = "videoFreezeRate"
    NETWORK_DELAY = "networkDelay"


class RealtimeMetric(StrEnum):
    """What Real-time tells of each 20 seconds: two counts, and rates that are fractions of 1."""

    USER_COUNT = "userCount"
    CHANNEL_COUNT = "channelCount"
    JOIN_SUCCESS_RATE = "joinSuccessRate"
    JOIN_SUCCESS_IN_5S_RATE = "joinSuccessIn5sRate"
    AUDIO_FREEZE_RATE = "audioFreezeRate"
    VIDEO_FREEZE_RATE = "videoFreezeRate"
    NETWORK_DELAY = "networkDelay"


class FreezeMetric(StrEnum):
    """What a call's statistics by dimension and its freeze distribution are about; fractions of 1."""

    AUDIO_FREEZE_RATE = "audio_freeze_rate"
    VIDEO_FREEZE_RATE = "video_freeze_rate"


class TimeMetric(StrEnum):
    """What a call's statistics over time tell of each minute: counts of users, and fractions of 1."""

    USER_COUNT = "user_count"
    AUDIO_FREEZE_RATE = "audio_freeze_rate"
    VIDEO_FREEZE_RATE = "video_freeze_rate"
    AUDIO_FREEZE_USER_COUNT = "audio_freeze_user_count"
    VIDEO_FREEZE_USER_COUNT = "video_freeze_user_count"


class Dimension(StrEnum):
    """What users are grouped by. `CHANNEL_SIZE` is for quality totals only."""

    COUNTRY = "country"
    REGION = "region"
    NET = "net"
    SDK = "sdk"
    OS = "os"
    DEVICE = "device"
    CHANNEL_SIZE = "channelSize"


class Product(StrEnum):
    """The product that is asked about: native SDKs, or the browser's."""

    NATIVE = "Native"
    WEBRTC = "WebRTC"


class Granularity(StrEnum):
    """How much time a row of Data Insights is about. `MINUTE` is sold for quality, but its value is not documented."""

    DAY = "1d"
    HOUR = "1h"
    MINUTE = "1m"


PEAKS = frozenset({UsageMetric.PEAK_CONCURRENT_CHANNELS, UsageMetric.PEAK_CONCURRENT_USERS})
LIVE_COUNTS = frozenset({RealtimeMetric.USER_COUNT, RealtimeMetric.CHANNEL_COUNT})

OTHER_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    UsageMetric.PEAK_CONCURRENT_CHANNELS: ("peakCurrentChannels",),
    UsageMetric.PEAK_CONCURRENT_USERS: ("peakCurrentUsers",),
    Dimension.NET: ("network",),
    Dimension.SDK: ("sdkVersion",),
    "network": ("net",),
    "sdkVersion": ("sdk",),
}
"""Fields of answers whose name other pages of the vendor spell otherwise."""

TAKES: Mapping[str, frozenset[str]] = {
    plans.CALL_STATISTICS: frozenset(FreezeMetric),
    plans.CALL_FREEZE_BUCKET: frozenset(FreezeMetric),
    plans.CALL_STATISTICS_TIME: frozenset(TimeMetric),
    plans.INSIGHT_USAGE: frozenset(UsageMetric),
    plans.INSIGHT_QUALITY: frozenset(QualityMetric),
    plans.INSIGHT_USAGE_TOTALS: frozenset(UsageMetric),
    plans.INSIGHT_QUALITY_TOTALS: frozenset(QualityMetric),
    plans.REALTIME_USAGE: LIVE_COUNTS,
    plans.REALTIME_QUALITY: frozenset(QualityMetric),
    plans.REALTIME_USAGE_TOP: frozenset({RealtimeMetric.USER_COUNT}),
    plans.REALTIME_QUALITY_TOP: frozenset(QualityMetric),
}
"""Which metrics each endpoint is documented to take, by its name."""

KNOWN_METRICS = frozenset[str]().union(*TAKES.values())
