"""The documented facts of the Insights API: hosts, limits, page sizes, enumerations, errors. The simulator shares these only.

Source: Vonage, "Insights Dashboard & API"; see docs/opentok.md.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Any

from attrs import frozen

from agora_analytics.core.common_metrics import MetricMapping, map_to
from agora_analytics.core.limits import Limits

DAY = 86_400
INSIGHTS = "opentok/insights"
SESSION_DATA, PROJECT_DATA = "opentok/session_data", "opentok/project_data"

OPENTOK_HOST, OPENTOK_PATH = "https://insights.opentok.com", "/graphql"
"""The endpoint of OpenTok projects."""
VONAGE_HOST, VONAGE_PATH = "https://tools.vonage.com", "/video/insights-api/graphql"
"""The endpoint of the unified applications of Vonage."""
TOKEN_LIFETIME = 180
"""Seconds until a token of ours expires; less than the five minutes of OpenTok's REST API."""

_RATE: Mapping[str, Any] = {
    "requests": 99,
    "period": 30.0,
    "per_day": 99 * DAY // 30,  # no quota a day is documented; this is what the rate allows
    "burst": 20,
    "span": None,
}
LIMITS: Mapping[str, Limits] = {
    SESSION_DATA: Limits(
        **_RATE,
        reach=21 * DAY,
        delay=300,
        source="Vonage support 6646227302684: fewer than 100 in 30 s for each key and each IP address; "
        "guide, Data Retention and Latency: Advanced Insights 21 days, 5 minutes",
    ),
    PROJECT_DATA: Limits(
        **_RATE,
        reach=366 * DAY,
        delay=0,  # the present day may be requested; it has no rows for 36 to 48 hours
        source="the same for the rate; guide, Data Retention and Latency: 90 days by the day, 12 months by the month",
    ),
}
"""The limits of both endpoints, which share one budget: `SHARED_BUDGETS`."""
SHARED_BUDGETS: Mapping[str, str] = {SESSION_DATA: INSIGHTS, PROJECT_DATA: INSIGHTS}

DAILY_REACH = 90 * DAY
"""How long the daily rows of project data are kept, in seconds; monthly rows are kept as long as `LIMITS` says."""
PROJECT_LATENCY = 48 * 3600
"""Seconds until a day's project data are available (36 to 48 hours)."""

NODE_LIMIT = 500_000
"""A query must have fewer nodes: the sum of the products of its `first` along each path."""
MOST_MEETINGS, MOST_OTHERS = 10, 1_000
"""The largest `first`."""
USUAL_MEETINGS, USUAL_OTHERS = 10, 50
"""The default of `first`."""


def most(collection: str) -> int:
    """Return the largest `first` of a collection, given its field name."""
    return MOST_MEETINGS if collection == "meetings" else MOST_OTHERS


def usual(collection: str) -> int:
    """Return the default `first` of a collection, given its field name."""
    return USUAL_MEETINGS if collection == "meetings" else USUAL_OTHERS


class Interval(StrEnum):
    """The interval of a row of project data."""

    AUTO = "AUTO"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"


class GroupBy(StrEnum):
    """The groups of project data."""

    SDK_TYPE = "SDK_TYPE"
    SDK_VERSION = "SDK_VERSION"
    COUNTRY = "COUNTRY"
    REGION = "REGION"
    BROWSER = "BROWSER"
    BROWSER_VERSION = "BROWSER_VERSION"


class SdkType(StrEnum):
    """The SDKs that a document names; there may be more."""

    JS = "JS"
    ANDROID = "ANDROID"
    IOS = "IOS"
    WINDOWS = "WINDOWS"
    OTHER = "OTHER"


class Browser(StrEnum):
    """The browsers that the vendor's code names."""

    CHROME = "CHROME"
    FIREFOX = "FIREFOX"
    IE = "IE"
    EDGE = "EDGE"
    SAFARI = "SAFARI"
    OTHER = "OTHER"


class ErrorCategory(Enum):
    """What an error code is about, which decides what the client does."""

    TOKEN = auto()
    """The token was rejected; the client retries once with a new one."""
    ACCOUNT = auto()
    """The key, the secret or the application is wrong."""
    ACCESS = auto()
    """The project may not read this."""
    REQUEST = auto()
    """A parameter is not valid."""
    DATES = auto()
    """The time range may not be requested."""
    NOT_FOUND = auto()
    """The project or session does not exist."""
    SERVER = auto()
    """The server failed."""


@frozen
class ErrorCode:
    """One of the vendor's error codes: what it means, its category, and what to do about it."""

    meaning: str
    category: ErrorCategory
    hint: str = "check the parameters"


ERRORS: Mapping[int, ErrorCode] = {
    1000: ErrorCode("invalid API key", ErrorCategory.ACCOUNT, "check the API key"),
    1001: ErrorCode("no valid authentication", ErrorCategory.TOKEN, "check the key and the secret"),
    1002: ErrorCode("invalid date range", ErrorCategory.DATES, "session data are kept for 21 days"),
    1003: ErrorCode("only one interval is allowed", ErrorCategory.REQUEST, "pass one interval"),
    1004: ErrorCode("invalid parameters", ErrorCategory.REQUEST),
    1005: ErrorCode("invalid parameter", ErrorCategory.REQUEST),
    1006: ErrorCode("the value must be an integer", ErrorCategory.REQUEST),
    1007: ErrorCode("an SDK version has the form 0.0.0", ErrorCategory.REQUEST, "write it as 2.25.1"),
    1008: ErrorCode("no valid project id", ErrorCategory.REQUEST, "check the API key or the application id"),
    1009: ErrorCode("invalid parameter", ErrorCategory.REQUEST),
    1010: ErrorCode("the parameter takes one value", ErrorCategory.REQUEST, "pass one value"),
    1011: ErrorCode("invalid token", ErrorCategory.TOKEN, "check the secret, and this machine's clock"),
    1012: ErrorCode("internal server error", ErrorCategory.SERVER, "try again later"),
    1013: ErrorCode("a mandatory parameter is missing", ErrorCategory.REQUEST),
    1014: ErrorCode(
        "needs the Advanced Insights add-on, or requests too much",
        ErrorCategory.ACCESS,
        f"order the add-on, or request fewer than {NODE_LIMIT:,} nodes",
    ),
    1015: ErrorCode(
        "the project does not exist", ErrorCategory.NOT_FOUND, "check the API key or the application id"
    ),
    1016: ErrorCode(
        "the session has expired", ErrorCategory.NOT_FOUND, "session data are deleted after 21 days"
    ),
    1017: ErrorCode("the session does not exist", ErrorCategory.NOT_FOUND, "check the session id"),
    1018: ErrorCode("at least one session id is needed", ErrorCategory.REQUEST, "pass a session id"),
    1019: ErrorCode(
        "the token is of another key", ErrorCategory.ACCOUNT, "check that key and secret belong together"
    ),
    1020: ErrorCode(
        "the token cannot be validated", ErrorCategory.ACCOUNT, "check the secret or the private key"
    ),
    1021: ErrorCode("not authorised for this project", ErrorCategory.ACCESS, "use the project's own key"),
    1022: ErrorCode("a value has the wrong type", ErrorCategory.REQUEST),
}
"""Every documented code."""

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
"""The metrics with a common name: stream statistics, one value every 30 seconds, and a day's connection errors.

The documents call packet loss a ratio and bitrates Kbps.
"""
