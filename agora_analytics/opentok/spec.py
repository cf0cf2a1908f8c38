"""What is known of the Insights API: hosts, limits, page sizes, enumerations and errors. The simulator shares only this.

Source: `reference/opentok-insights.md`; the sections are named beside what is from them.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Any

from attrs import frozen

from agora_analytics.core.limits import Limits

DAY = 86_400
INSIGHTS = "opentok/insights"
SESSION_DATA, PROJECT_DATA = "opentok/session_data", "opentok/project_data"

OPENTOK_HOST, OPENTOK_PATH = "https://insights.opentok.com", "/graphql"
"""Where the projects of OpenTok are asked for (section 1)."""
VONAGE_HOST, VONAGE_PATH = "https://tools.vonage.com", "/video/insights-api/graphql"
"""Where the unified applications of Vonage are asked for (section 1)."""
TOKEN_LIFETIME = 180
"""Seconds that a token of ours is good for: below the five minutes of OpenTok's REST API (section 1)."""

_RATE: Mapping[str, Any] = {
    "requests": 99,
    "period": 30.0,
    "per_day": 99 * DAY // 30,  # no quota of a day is documented: what the pace gives
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
        delay=0,  # the present day may be asked for; it has no rows for 36 to 48 hours
        source="the same for the rate; guide, Data Retention and Latency: 90 days by the day, 12 months by the month",
    ),
}
"""What may be asked for how often (section 2). All count as one: `SHARED_BUDGETS`."""
SHARED_BUDGETS: Mapping[str, str] = {SESSION_DATA: INSIGHTS, PROJECT_DATA: INSIGHTS}

PROJECT_LATENCY = 48 * 3600
"""Seconds until a day's project data are there (section 2: 36 to 48 hours)."""

NODE_LIMIT = 500_000
"""A query must ask for fewer nodes: the sum of the products of its `first` down the tree (section 2)."""
MOST_MEETINGS, MOST_OTHERS = 10, 1_000
"""The largest `first` (section 3)."""
USUAL_MEETINGS, USUAL_OTHERS = 10, 50
"""What `first` is where a query does not name it (section 3)."""


def most(collection: str) -> int:
    """Return the largest `first` of a collection, by its field's name."""
    return MOST_MEETINGS if collection == "meetings" else MOST_OTHERS


def usual(collection: str) -> int:
    """Return the `first` of a collection that a query does not name."""
    return USUAL_MEETINGS if collection == "meetings" else USUAL_OTHERS


class Interval(StrEnum):
    """How project data are cut (section 5)."""

    AUTO = "AUTO"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"


class GroupBy(StrEnum):
    """What project data are grouped by (section 5)."""

    SDK_TYPE = "SDK_TYPE"
    SDK_VERSION = "SDK_VERSION"
    COUNTRY = "COUNTRY"
    REGION = "REGION"
    BROWSER = "BROWSER"
    BROWSER_VERSION = "BROWSER_VERSION"


class SdkType(StrEnum):
    """The SDKs that are named somewhere; there may be more (section 5)."""

    JS = "JS"
    ANDROID = "ANDROID"
    IOS = "IOS"
    WINDOWS = "WINDOWS"
    OTHER = "OTHER"


class Browser(StrEnum):
    """The browsers that the vendor's code names (section 5)."""

    CHROME = "CHROME"
    FIREFOX = "FIREFOX"
    IE = "IE"
    EDGE = "EDGE"
    SAFARI = "SAFARI"
    OTHER = "OTHER"


class ErrorCategory(Enum):
    """What an error code is about."""

    TOKEN = auto()
    """The token of this attempt was not taken: once more, with a new one."""
    ACCOUNT = auto()
    """The key, the secret or the application is not right."""
    ACCESS = auto()
    """The project may not see this."""
    REQUEST = auto()
    """A parameter cannot be."""
    DATES = auto()
    """The time range cannot be asked for."""
    NOT_THERE = auto()
    """There is no such project or session."""
    SERVER = auto()
    """The server failed."""


@frozen
class ErrorCode:
    """One of the vendor's codes: what it means, whom it blames, and what to do."""

    meaning: str
    blame: ErrorCategory
    hint: str = "check the parameters"


ERRORS: Mapping[int, ErrorCode] = {
    1000: ErrorCode("invalid API key", ErrorCategory.ACCOUNT, "check the API key"),
    1001: ErrorCode("no valid authentication", ErrorCategory.TOKEN, "check the key and the secret"),
    1002: ErrorCode("invalid date range", ErrorCategory.DATES, "session data reach back 21 days"),
    1003: ErrorCode("only one interval is allowed", ErrorCategory.REQUEST, "name one interval"),
    1004: ErrorCode("invalid parameters", ErrorCategory.REQUEST),
    1005: ErrorCode("invalid parameter", ErrorCategory.REQUEST),
    1006: ErrorCode("the value must be an integer", ErrorCategory.REQUEST),
    1007: ErrorCode("an SDK version has the form 0.0.0", ErrorCategory.REQUEST, "write it as 2.25.1"),
    1008: ErrorCode("no valid project id", ErrorCategory.REQUEST, "check the API key or the application id"),
    1009: ErrorCode("invalid parameter", ErrorCategory.REQUEST),
    1010: ErrorCode("the parameter takes one value", ErrorCategory.REQUEST, "name one value"),
    1011: ErrorCode("invalid token", ErrorCategory.TOKEN, "check the secret, and this machine's clock"),
    1012: ErrorCode("internal server error", ErrorCategory.SERVER, "try again later"),
    1013: ErrorCode("a mandatory parameter is missing", ErrorCategory.REQUEST),
    1014: ErrorCode(
        "needs the Advanced Insights add-on, or asks for too much",
        ErrorCategory.ACCESS,
        f"order the add-on, or ask for fewer than {NODE_LIMIT:,} nodes",
    ),
    1015: ErrorCode(
        "there is no such project", ErrorCategory.NOT_THERE, "check the API key or the application id"
    ),
    1016: ErrorCode(
        "the session has expired", ErrorCategory.NOT_THERE, "session data are gone after 21 days"
    ),
    1017: ErrorCode("there is no such session", ErrorCategory.NOT_THERE, "check the session id"),
    1018: ErrorCode("at least one session id is needed", ErrorCategory.REQUEST, "name a session"),
    1019: ErrorCode(
        "the token is of another key", ErrorCategory.ACCOUNT, "check that key and secret belong together"
    ),
    1020: ErrorCode(
        "the token cannot be validated", ErrorCategory.ACCOUNT, "check the secret or the private key"
    ),
    1021: ErrorCode(
        "not authorised for this project", ErrorCategory.ACCESS, "ask with the project's own key"
    ),
    1022: ErrorCode("a value has the wrong type", ErrorCategory.REQUEST),
}
"""Every documented code (section 7)."""
