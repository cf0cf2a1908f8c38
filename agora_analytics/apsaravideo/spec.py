"""The documented facts of `DescribeLiveInteractionMetricData`: names, limits and errors. The simulator shares these only.

Source: Alibaba Cloud, "ApsaraVideo Live: DescribeLiveInteractionMetricData", 10 Feb 2026 (the page).
"""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto

from attrs import frozen

from agora_analytics.core.common_metrics import MetricMapping, map_to
from agora_analytics.core.limits import Limits

HOST = "https://live.aliyuncs.com"
"""The central endpoint. The sources disagree about regional endpoints, so none is derived."""
VERSION = "2016-11-01"
ACTION = "DescribeLiveInteractionMetricData"
ALGORITHM = "ACS3-HMAC-SHA256"
"""The signature of V3."""
CLOCK_WINDOW = 15 * 60
"""Largest difference in seconds between the date of a signature and the server's clock."""

DAY = 86_400
GRANULARITY = 300
"""Seconds between two points (the page: 5 minutes)."""
OPEN_FOR = 3_600
"""Seconds after its end during which a window may still change. The delay of the data is not documented: a guess."""

INTERACTION_METRICS = "apsaravideo/interaction_metrics"

LIMITS: Mapping[str, Limits] = {
    INTERACTION_METRICS: Limits(
        requests=50,
        per_day=50 * DAY,  # no quota a day is documented; this is what the rate allows
        reach=30 * DAY,
        span=DAY,
        delay=0,
        source="DescribeLiveInteractionMetricData: 50 a second for each account, 30 days back, 24 hours a query",
    )
}


class Metric(StrEnum):
    """The metrics of the page. The units of their values are not documented."""

    JOIN_SUCCESS_RATE = "JoinChannelSucRate"
    """Joins that succeed within 5 seconds."""
    VIDEO_STUCK_RATE = "VideoStuckRate"
    AUDIO_STUCK_RATE = "AudioStuckRate"
    FIRST_FRAME_COST = "FirstFrameCost"
    """Time to the first frame."""


METRIC_MAPPINGS: Mapping[str, MetricMapping] = {
    # counts the users that joined within five seconds (the page)
    "JoinChannelSucRate": map_to("join_success_in_5s_rate", unit=""),
    "VideoStuckRate": map_to("video_freeze_rate", unit=""),
    "AudioStuckRate": map_to("audio_freeze_rate", unit=""),
    "FirstFrameCost": map_to("first_frame_time", unit=""),
}
"""The common metrics: one value every 5 minutes over all users. No unit is documented, so values are stored as sent."""


class Os(StrEnum):
    """The operating systems of the page."""

    IOS = "iOS"
    ANDROID = "Android"


class TerminalType(StrEnum):
    """The terminal types of the page."""

    WEB = "web"
    MOBILE = "mobile"


class Meaning(Enum):
    """What the client has to do about an error code."""

    THROTTLED = auto()
    """Too many requests of the account."""
    TROUBLE = auto()
    """The server failed; the same request may succeed later."""
    SIGN_AGAIN = auto()
    """The date, nonce or token of this attempt was rejected; sign the request again."""
    WRONG_REQUEST = auto()
    WRONG_CREDENTIALS = auto()
    DENIED = auto()
    NOT_FOUND = auto()


@frozen
class Refusal:
    """One error code: the HTTP status that comes with it, what it means, and what to do about it."""

    status: int
    meaning: Meaning
    hint: str


ERRORS: Mapping[str, Refusal] = {
    # The page's own.
    "Meter.ParamError": Refusal(400, Meaning.WRONG_REQUEST, "check the parameters"),
    "Meter.AuthError": Refusal(403, Meaning.DENIED, "the account may not read this app"),
    "Meter.ServerInternalError": Refusal(500, Meaning.TROUBLE, "the server failed"),
    "Meter.DataSourceQueryError": Refusal(500, Meaning.TROUBLE, "the server failed"),
    "Meter.ReadyTsError": Refusal(502, Meaning.TROUBLE, "the server failed"),
    # Throttling: from the documents of several products and the tests of the official SDK.
    "Throttling": Refusal(400, Meaning.THROTTLED, "too many requests of the account"),
    "Throttling.User": Refusal(400, Meaning.THROTTLED, "too many requests of the account"),
    "Throttling.Api": Refusal(400, Meaning.THROTTLED, "too many requests of this API"),
    "Rejected.Throttling": Refusal(400, Meaning.THROTTLED, "too many requests of the account"),
    # Codes of the gateway.
    "InternalError": Refusal(500, Meaning.TROUBLE, "the server failed"),
    "ServiceUnavailable": Refusal(503, Meaning.TROUBLE, "the server is not available"),
    "SignatureNonceUsed": Refusal(400, Meaning.SIGN_AGAIN, "a nonce was seen twice"),
    "InvalidTimeStamp.Expired": Refusal(400, Meaning.SIGN_AGAIN, "check this machine's clock"),
    "IllegalTimestamp": Refusal(400, Meaning.SIGN_AGAIN, "check this machine's clock"),
    "InvalidAccessKeyId.NotFound": Refusal(404, Meaning.WRONG_CREDENTIALS, "check the access key id"),
    "InvalidAccessKeyId.Inactive": Refusal(403, Meaning.WRONG_CREDENTIALS, "the access key is disabled"),
    "SignatureDoesNotMatch": Refusal(403, Meaning.WRONG_CREDENTIALS, "check the access key secret"),
    "Forbidden.RAM": Refusal(403, Meaning.DENIED, f"RAM must allow live:{ACTION}"),
    "NoPermission": Refusal(403, Meaning.DENIED, f"RAM must allow live:{ACTION}"),
    "MissingParameter": Refusal(400, Meaning.WRONG_REQUEST, "a parameter is missing"),
    "InvalidParameter": Refusal(400, Meaning.WRONG_REQUEST, "a parameter has an invalid value"),
    "InvalidApi.NotFound": Refusal(404, Meaning.NOT_FOUND, "check the base URL"),
    "InvalidProduct.NotFound": Refusal(404, Meaning.NOT_FOUND, "check the base URL"),
    # No page documents these codes of the gateway for temporary keys; they are from the vendor's SDKs and tools.
    "InvalidSecurityToken.Expired": Refusal(400, Meaning.SIGN_AGAIN, "the security token has expired"),
    "InvalidSecurityToken.Malformed": Refusal(400, Meaning.WRONG_CREDENTIALS, "check the security token"),
    "InvalidSecurityToken.MismatchWithAccessKey": Refusal(
        400, Meaning.WRONG_CREDENTIALS, "the security token belongs to another access key"
    ),
    "MissingSecurityToken": Refusal(
        400, Meaning.WRONG_CREDENTIALS, "this access key needs its security token"
    ),
    "IncompleteSignature": Refusal(400, Meaning.WRONG_CREDENTIALS, "the signature is incomplete"),
    # Common codes of ApsaraVideo Live.
    "Forbidden": Refusal(401, Meaning.DENIED, "the account may not do this"),
    "InvalidIdentity.ServiceDisabled": Refusal(400, Meaning.DENIED, "ApsaraVideo Live is not activated"),
    "InvalidDomain.NotFound": Refusal(404, Meaning.NOT_FOUND, "there is no such domain"),
    "IllegalOperation": Refusal(403, Meaning.DENIED, "the account may not do this"),
}
"""Every documented code. Others are classified by their prefix or by the HTTP status."""

FAMILIES: Mapping[str, str] = {
    "Throttling": "Throttling",
    "Rejected.Throttling": "Rejected.Throttling",
    "Missing": "MissingParameter",
    "InvalidParameter": "InvalidParameter",
    "InvalidAccessKeyId": "InvalidAccessKeyId.NotFound",
    "InvalidSecurityToken": "InvalidSecurityToken.Malformed",
    "Forbidden": "Forbidden",
    "NoPermission": "NoPermission",
}
"""Prefixes of codes that mean the same as a code in `ERRORS` (`Throttling*`, `Missing<Parameter>`, ...)."""
