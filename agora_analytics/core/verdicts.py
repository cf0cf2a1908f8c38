"""What the request loop does after an attempt: return the result, retry, or raise. Values, no I/O.

A vendor reads a response in one pure step: `Exchange` in, `Verdict` out. The verdict is `Done` with the result, `Retry`,
or `Fail` with a typed error.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Generic, TypeVar

from attrs import field, frozen

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.record import Record
from agora_analytics.core.windows import SLACK, Window
from agora_analytics.errors import AgoraAnalyticsError, TransportError
from agora_analytics.messages import FailureKind, Query, Response, TransportFailure

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

MIDNIGHT_SLACK = 5.0
"""Seconds by which the server's day may begin later than our estimate of its clock."""


@frozen(kw_only=True)
class Payload:
    """What a request sends: its query, its body, and the time range that these ask for (None: no range)."""

    query: Query = ()
    body: bytes = field(default=b"", repr=False)
    window: Window | None = None


@frozen(kw_only=True)
class Exchange:
    """One attempt: what was sent, what came back, and when.

    Attributes:
        endpoint: the endpoint.
        payload: what was sent.
        outcome: the response, or why there is none.
        sent_at: when the request was sent, on the server's clock, in UTC epoch seconds.
        now: the present, likewise.
        clock_shift: seconds by which our estimate of the server's clock changed while the request was under way.
    """

    endpoint: Endpoint
    payload: Payload
    outcome: Response | TransportFailure
    sent_at: float
    now: float
    clock_shift: float = 0.0

    @property
    def clock_moved(self) -> bool:
        """Whether the time range was computed with a wrong clock, so that it is worth computing again."""
        return abs(self.clock_shift) > SLACK / 2


@frozen(kw_only=True)
class SkippedRecord(Record):
    """A record of a response that was left out, because a field that identifies it cannot be read.

    Attributes:
        path: where the record is in the response, such as `$.call_lists[3]`.
        key: its id, or as much of it as could be read; None if nothing could be read.
        reason: what is wrong with it.
    """

    path: str
    key: str | None
    reason: str


@frozen
class Done(Generic[R_co]):
    """The response is good.

    Attributes:
        result: what it holds.
        request_id: the id that the vendor's support asks for.
        skipped: the records of the response that `result` leaves out.
    """

    result: R_co
    request_id: str | None = None
    skipped: tuple[SkippedRecord, ...] = ()


class Cause(Enum):
    """Why a request is retried, which decides how long the loop waits and how often it tries."""

    RATE = auto()
    """The server counted too many requests; all requests of this budget wait."""
    RECENT = auto()
    """The time range is too recent still."""
    CLOCK = auto()
    """The time range was computed with a wrong clock; retry once, at once, with a new one."""
    TROUBLE = auto()
    """The server, a gateway or the network failed."""
    UNREADABLE = auto()
    """The body of a response cannot be decompressed or read; an identical second one is an error."""
    CREDENTIALS = auto()
    """The token or signature was rejected; retry once, at once, with a new one."""


@frozen(kw_only=True)
class Retry:
    """Send the request again.

    Attributes:
        error: the error to raise if this was the last attempt.
        cause: the rule for waiting and for the number of attempts.
        after: the shortest wait in seconds before this host is tried again; None: the back-off decides.
        other_host: whether another host may do better.
    """

    error: AgoraAnalyticsError
    cause: Cause = Cause.TROUBLE
    after: float | None = None
    other_host: bool = False


@frozen(kw_only=True)
class Fail:
    """Sending the request again cannot help.

    Attributes:
        error: the error to raise.
        closed_until: closes the endpoint for every client of the ledger until then (epoch seconds).
        not_offered: this host does not have the path; another may, unless this is a primary host.
        after: seconds until the server accepts other requests, if it says so.
        other_host: whether later requests may do better at another host; this one must not be sent twice.
    """

    error: AgoraAnalyticsError
    after: float | None = None
    closed_until: float | None = None
    not_offered: bool = False
    other_host: bool = False


Verdict = Done[R] | Retry | Fail
Read = Callable[[Exchange], Verdict[R]]
"""Reads the outcome of an attempt: judges it and decodes it in one pure step."""


def judge_failure(exchange: Exchange, failure: TransportFailure, *, hint: str = "") -> Retry | Fail:
    """Return what to do when no whole response came. A request that must not be sent twice is not."""
    error = TransportError(f"no response: {failure}{hint}", kind=failure.kind)
    may_replay = exchange.endpoint.replayable or failure.kind.never_left
    if failure.kind.would_come_again or not may_replay:
        return Fail(error=error, other_host=failure.kind.blames_host)
    cause = Cause.UNREADABLE if failure.kind is FailureKind.ENCODING else Cause.TROUBLE
    return Retry(error=error, cause=cause, other_host=failure.kind.blames_host)
