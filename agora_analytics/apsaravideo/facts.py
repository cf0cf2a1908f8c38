"""What the documents say of `DescribeLiveInteractionMetricData`: names, limits and errors. The simulator shares only this.

Sources: `reference/apsaravideo.md` and the vendor's page "ApsaraVideo Live: DescribeLiveInteractionMetricData" of
10 Feb 2026 (the page).
"""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto

from attrs import frozen

from agora_analytics.core.limits import Limits

HOST = "https://live.aliyuncs.com"
"""The central endpoint. The sources disagree about those of single regions, so none is derived (section 2)."""
VERSION = "2016-11-01"
ACTION = "DescribeLiveInteractionMetricData"
ALGORITHM = "ACS3-HMAC-SHA256"
"""The signature of V3 (section 3)."""
CLOCK_WINDOW = 15 * 60
"""Seconds that the date of a signature may differ from the server's clock (section 3)."""

DAY = 86_400
GRANULARITY = 300
"""Seconds between two points (the page: 5 minutes)."""
OPEN_FOR = 3_600
"""Seconds behind its end for which a window counts as open. How late data comes is not documented: this is a guess."""

INTERACTION_METRICS = "apsaravideo/interaction_metrics"

LIMITS: Mapping[str, Limits] = {
    INTERACTION_METRICS: Limits(
        requests=50,
        per_day=50 * DAY,  # no quota of a day is documented: what the pace gives
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


class Os(StrEnum):
    """The operating systems of the page."""

    IOS = "iOS"
    ANDROID = "Android"


class TerminalType(StrEnum):
    """The kinds of terminals of the page."""

    WEB = "web"
    MOBILE = "mobile"


class Meaning(Enum):
    """What an error code asks for."""

    THROTTLED = auto()
    """Too many requests of the account."""
    TROUBLE = auto()
    """The server failed: the same request may go well later."""
    SIGN_AGAIN = auto()
    """The date, the nonce or the token of this attempt was not taken: once more, with new ones."""
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
    # Section 4: throttling, by several products' documents and the official SDK's tests.
    "Throttling": Refusal(400, Meaning.THROTTLED, "too many requests of the account"),
    "Throttling.User": Refusal(400, Meaning.THROTTLED, "too many requests of the account"),
    "Throttling.Api": Refusal(400, Meaning.THROTTLED, "too many requests of this API"),
    "Rejected.Throttling": Refusal(400, Meaning.THROTTLED, "too many requests of the account"),
    # Section 4: the gateway's.
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
    "InvalidParameter": Refusal(400, Meaning.WRONG_REQUEST, "a parameter cannot be"),
    "InvalidApi.NotFound": Refusal(404, Meaning.NOT_FOUND, "check the base URL"),
    "InvalidProduct.NotFound": Refusal(404, Meaning.NOT_FOUND, "check the base URL"),
    # Not in the reference: the gateway's codes for temporary keys, as the vendor's SDKs and tools name them.
    "InvalidSecurityToken.Expired": Refusal(400, Meaning.SIGN_AGAIN, "the security token has expired"),
    "InvalidSecurityToken.Malformed": Refusal(400, Meaning.WRONG_CREDENTIALS, "check the security token"),
    "InvalidSecurityToken.MismatchWithAccessKey": Refusal(
        400, Meaning.WRONG_CREDENTIALS, "the security token belongs to another access key"
    ),
    "MissingSecurityToken": Refusal(
        400, Meaning.WRONG_CREDENTIALS, "this access key needs its security token"
    ),
    "IncompleteSignature": Refusal(400, Meaning.WRONG_CREDENTIALS, "the signature is not whole"),
    # Section 4: common codes of ApsaraVideo Live.
    "Forbidden": Refusal(401, Meaning.DENIED, "the account may not do this"),
    "InvalidIdentity.ServiceDisabled": Refusal(400, Meaning.DENIED, "ApsaraVideo Live is not activated"),
    "InvalidDomain.NotFound": Refusal(404, Meaning.NOT_FOUND, "there is no such domain"),
    "IllegalOperation": Refusal(403, Meaning.DENIED, "the account may not do this"),
}
"""Every code that a document names. Others are known by how they begin, or by the HTTP status."""

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
"""How codes begin that mean the same as one in `ERRORS` (`Throttling*`, `Missing<Parameter>`, ...)."""
