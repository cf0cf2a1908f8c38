"""Error codes of the simulated OpenTok server, and how strict it is where no document says so.

Source: Vonage, "Insights Dashboard & API", "Error codes".
"""

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen
from attrs.validators import in_

from agora_analytics.opentok import spec as facts

MESSAGES: Mapping[int, str] = {
    1000: "Invalid API key provided.",
    1001: "No valid authentication was provided.",
    1002: "Invalid date range.",
    1003: "Invalid parameter. Only one date interval is allowed.",
    1004: "Invalid parameters.",
    1005: "Invalid parameter.",
    1006: "Invalid parameter. The value must be an integer.",
    1007: "Invalid parameter for specifying an OpenTok SDK version number. The format required is 0.0.0.",
    1008: "You must provide a valid project ID.",
    1009: "Invalid parameter.",
    1010: "Invalid parameter passed in. The parameter accepts only one value.",
    1011: "Invalid token.",
    1012: "Internal server error.",
    1013: "A mandatory parameter is missing.",
    1014: "The specified query requires the Advanced Insights add-on.",
    1015: "The specified project ID was not found.",
    1016: "The session has expired.",
    1017: "The specified session was not found.",
    1018: "You must provide at least one session ID in the input array.",
    1019: "The token does not match the API key.",
    1020: "Unable to validate the token.",
    1021: "You are not authorized to view data from this project.",
    1022: "Type error.",
}
"""Every error code with the text of the guide."""


class OpenTokRefused(Exception):
    """A request that is refused with a code of `MESSAGES`."""

    def __init__(self, code: int, details: str = "") -> None:
        super().__init__(f"{MESSAGES[code]} {details}".rstrip())
        self.code = code


class OpenTokUnauthorised(OpenTokRefused):
    """A request that is refused before its query is executed, with a different body and an HTTP status.

    The status is inferred; no document names it.
    """

    status = 401


@frozen(kw_only=True)
class Rules:
    """How strict the server is.

    Attributes:
        excess: a `first` above the maximum is reduced to it (`clamp`) or refused with 1005 (`refuse`).
        missing: a list with unknown sessions is refused with 1017 (`refuse`), or it has the known sessions and an
            error for each unknown one (`partial`).
        node_limit: a query for more nodes is refused with 1014.
        add_on: whether the project has Advanced Insights; otherwise session data is refused with 1014.
        retention, delay: how long session data is available, and how late it becomes available, in seconds.
        project_delay: how long after its day a daily row becomes available, in seconds.
        daily_reach, monthly_reach: how long daily and monthly rows are available, in seconds.
        introspection: whether the schema can be queried.
        invalid_status: the HTTP status of the response to an invalid query.
    """

    excess: Literal["clamp", "refuse"] = field(default="clamp", validator=in_(("clamp", "refuse")))
    missing: Literal["refuse", "partial"] = field(default="refuse", validator=in_(("refuse", "partial")))
    node_limit: int = facts.NODE_LIMIT
    add_on: bool = True
    retention: float = facts.LIMITS[facts.SESSION_DATA].reach
    delay: float = facts.LIMITS[facts.SESSION_DATA].delay
    project_delay: float = facts.PROJECT_LATENCY
    daily_reach: float = facts.DAILY_REACH
    monthly_reach: float = facts.LIMITS[facts.PROJECT_DATA].reach
    introspection: bool = False
    invalid_status: int = 400
