"""The verdict on an attempt: a value that the request loop acts on, before anything is an exception."""

from collections.abc import Callable
from enum import Enum, auto

from attrs import frozen

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.messages import Response, TransportFailure

MIDNIGHT_SLACK = 5.0
"""Seconds that the server's new day may begin later than our reading of its clock."""


@frozen
class Done:
    """The answer is good."""

    response: Response


class Cause(Enum):
    """What a retry waits for."""

    RATE = auto()
    """The server counted too many requests: the pacing is pushed back for everybody."""
    RECENT = auto()
    """The time range is still too recent."""
    TROUBLE = auto()
    """The server, a gateway or the network failed."""
    CREDENTIALS = auto()
    """The token or the signature of this attempt was not taken: once more, with new ones."""


@frozen(kw_only=True)
class Retry:
    """Send it again.

    Attributes:
        error: what to raise if this was the last attempt.
        cause: which rule decides how long to wait.
        after: seconds to wait at least before this host is asked again; None leaves it to the back-off.
        other_host: whether another host may do better.
    """

    error: AgoraAnalyticsError
    cause: Cause = Cause.TROUBLE
    after: float | None = None
    other_host: bool = False


@frozen(kw_only=True)
class Fail:
    """Sending it again cannot help.

    Attributes:
        error: what to raise.
        closed_until: closes the endpoint for everybody until then (epoch seconds).
        not_offered: the host does not know the path: another host may, unless this is a primary one.
        other_host: whether another host may do better with the next request; this one must not be sent twice.
    """

    error: AgoraAnalyticsError
    closed_until: float | None = None
    not_offered: bool = False
    other_host: bool = False


Verdict = Done | Retry | Fail
Judge = Callable[[Endpoint, Response | TransportFailure, float], Verdict]
"""(endpoint, what came back, the server's time in epoch seconds) -> verdict. Pure."""
