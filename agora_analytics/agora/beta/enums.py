"""The metrics of the 2021 beta API, and the meaning of the ids in its diagnosis. Undocumented ids are accepted.

Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), the tables "Metrics", "Experience ID" and "Factor ID".
"""

from collections.abc import Mapping
from enum import StrEnum


class BetaUsageMetric(StrEnum):
    """Metrics of `usage`: counts a day."""

    USER_COUNT = "userCount"
    SESSION_COUNT = "sessionCount"
    CHANNEL_COUNT = "channelCount"


class BetaScaleMetric(StrEnum):
    """Metrics of `live_scale`: users and channels a minute."""

    PCU = "pcu"
    PCC = "pcc"


class BetaExperienceMetric(StrEnum):
    """Metrics of `live_experience`: PERCENT, not fractions as in today's API; and `5Secs`, not `In5s`."""

    JOIN_SUCCESS_RATE = "joinSuccessRate"
    JOIN_SUCCESS_5_SECS_RATE = "joinSuccess5SecsRate"
    VIDEO_FREEZE_RATE = "videoFreezeRate"
    AUDIO_FREEZE_RATE = "audioFreezeRate"


class BetaNetMetric(StrEnum):
    """Metrics of `live_net`: PERCENT of the transmission with at most 5 % loss."""

    VIDEO_UPSTREAM = "videoUpstreamExcellentTransRate"
    AUDIO_UPSTREAM = "audioUpstreamExcellentTransRate"
    VIDEO_END_TO_END = "videoEnd2EndExcellentTransRate"
    AUDIO_END_TO_END = "audioEnd2EndExcellentTransRate"


EXPERIENCES: Mapping[int, str] = {
    4: "Video freeze",
    5: "Audio freeze",
    6: "Join-channel delay",
}
"""The meaning of an `exp_id`."""

FACTORS: Mapping[int, str] = {
    1: "Two same UIDs interfere with each other",
    2: "The user is banned by the administrator",
    3: "Connection failure",
    8: "Downstream network latency in video transmission",
    9: "Downstream network latency in audio transmission",
    10: "High CPU usage",
    11: "Device is busy",
    12: "The user stops sending audio streams",
    13: "The user stops sending video streams",
    14: "The user disables the audio module",
    15: "The user disables the video module",
    16: "The remote user stops receiving the audio stream of the local user",
    17: "The remote user stops receiving the video stream of the local user",
    21: "Upstream packet loss in video transmission",
    22: "Upstream packet loss in audio transmission",
    23: "Downstream packet loss in video transmission",
    24: "Downstream packet loss in audio transmission",
    25: "Electron integration",
    29: "Weak Wi-Fi signal (including hotspots)",
    30: "The user is banned from the channel",
    31: "Join-channel failure because of an invalid APP ID",
    32: "Join-channel failure because of an invalid channel name",
    33: "Join-channel failure because of an invalid token",
    34: "Join-channel failure because of an expired token",
    35: "Join-channel fails because the user is intercepted",
    36: "Join-channel timeout",
    37: "Network reconnection triggered by network disconnection",
    38: "Network reconnection triggered by proxy server setup",
    39: "Network reconnection triggered by token renewal",
    40: "Network reconnection triggered by user IP address change",
    41: "Network reconnection triggered by network connection timeout",
    42: "Upstream network latency in video transmission",
    43: "Upstream network latency in audio transmission",
    44: "Upstream network jitter in video transmission",
    45: "Upstream network jitter in audio transmission",
    46: "Downstream network jitter in video transmission",
    47: "Downstream network jitter in audio transmission",
}
"""The meaning of a `factor_id`. Samples also have 18, which is not documented."""
