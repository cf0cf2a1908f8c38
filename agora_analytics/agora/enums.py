"""The metrics, dimensions, products and granularities of queries.

Every parameter also takes a raw string: the vendor may add names that are not here yet. One that resembles a name here
is taken for a typing error and refused, unless `validate=False`.
Source: Agora, "Analytics REST API reference"; see docs/agora-api.md.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

Names = str | Iterable[str]
"""One name, or several: members of an enum here, or raw strings."""


def names(given: Names) -> tuple[str, ...]:
    """Return the names as the API spells them, each once, in their order."""
    return tuple(dict.fromkeys(map(str, [given] if isinstance(given, str) else given)))


class UsageMetric(StrEnum):
    """The usage metrics of Data Insights. Durations are minutes; the two peaks take no dimension."""

    USER_COUNT = "userCount"
    SESSION_COUNT = "sessionCount"
    CHANNEL_COUNT = "channelCount"
    PEAK_CONCURRENT_CHANNELS = "peakConcurrentChannels"
    PEAK_CONCURRENT_USERS = "peakConcurrentUsers"
    TOTAL_DURATION = "totalDuration"
    TOTAL_VIDEO_DURATION = "totalVideoDuration"
    TOTAL_AUDIO_DURATION = "totalAudioDuration"


class QualityMetric(StrEnum):
    """The quality metrics of Data Insights and Real-time. All are fractions of 1."""

    JOIN_SUCCESS_RATE = "joinSuccessRate"
    JOIN_SUCCESS_IN_5S_RATE = "joinSuccessIn5sRate"
    AUDIO_FREEZE_RATE = "audioFreezeRate"
    VIDEO_FREEZE_RATE = "videoFreezeRate"
    NETWORK_DELAY = "networkDelay"


class RealtimeMetric(StrEnum):
    """The metrics of Real-time: two counts, and rates that are fractions of 1."""

    USER_COUNT = "userCount"
    CHANNEL_COUNT = "channelCount"
    JOIN_SUCCESS_RATE = "joinSuccessRate"
    JOIN_SUCCESS_IN_5S_RATE = "joinSuccessIn5sRate"
    AUDIO_FREEZE_RATE = "audioFreezeRate"
    VIDEO_FREEZE_RATE = "videoFreezeRate"
    NETWORK_DELAY = "networkDelay"


class FreezeMetric(StrEnum):
    """The metrics of a call's statistics by dimension and of its freeze distribution; fractions of 1."""

    AUDIO_FREEZE_RATE = "audio_freeze_rate"
    VIDEO_FREEZE_RATE = "video_freeze_rate"


class TimeMetric(StrEnum):
    """The metrics of a call's statistics over time: counts of users, and fractions of 1."""

    USER_COUNT = "user_count"
    AUDIO_FREEZE_RATE = "audio_freeze_rate"
    VIDEO_FREEZE_RATE = "video_freeze_rate"
    AUDIO_FREEZE_USER_COUNT = "audio_freeze_user_count"
    VIDEO_FREEZE_USER_COUNT = "video_freeze_user_count"


class Dimension(StrEnum):
    """What users are grouped by. Only quality totals have `CHANNEL_SIZE`."""

    COUNTRY = "country"
    REGION = "region"
    NET = "net"
    SDK = "sdk"
    OS = "os"
    DEVICE = "device"
    CHANNEL_SIZE = "channelSize"


class Product(StrEnum):
    """The product of a query: native SDKs, or the browser's."""

    NATIVE = "Native"
    WEBRTC = "WebRTC"


class Granularity(StrEnum):
    """The time that a row of Data Insights covers. `MINUTE` is sold for quality only, and its value is not documented."""

    DAY = "1d"
    HOUR = "1h"
    MINUTE = "1m"


UNITS: Mapping[str, str] = {
    **dict.fromkeys([*QualityMetric, *FreezeMetric], "ratio"),
    **dict.fromkeys(
        [UsageMetric.TOTAL_DURATION, UsageMetric.TOTAL_VIDEO_DURATION, UsageMetric.TOTAL_AUDIO_DURATION],
        "min",
    ),
}
"""The units of metrics of queries: a ratio is a fraction of 1. The others are counts."""

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
"""Fields of responses that other pages of the vendor spell differently."""

KNOWN_METRICS = frozenset[str]().union(UsageMetric, QualityMetric, RealtimeMetric, FreezeMetric, TimeMetric)
"""All documented metrics of queries."""
