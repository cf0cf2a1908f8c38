"""What the simulated server says when it refuses: a code of the vendor's, and a message.

Source: the guide's table of error codes, in `reference/opentok-insights.md`, section 7.
"""

from collections.abc import Mapping

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
"""Every code, in the guide's words."""


class OpenTokRefused(Exception):
    """The request is refused.

    Attributes:
        code: one of `MESSAGES`.
    """

    def __init__(self, code: int, details: str = "") -> None:
        super().__init__(f"{MESSAGES[code]} {details}".rstrip())
        self.code = code


class OpenTokUnauthorised(OpenTokRefused):
    """The request is refused before it is a query: by an answer of another form, with an HTTP status of its own.

    The status is inferred, no document names it.
    """

    status = 401
