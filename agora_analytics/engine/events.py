"""The events of the engine: one typed stream for logs, progress and metrics. `str(event)` is the line of the log."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from agora_analytics.core.record import Record
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.core.windows import Window
from agora_analytics.logs import logger_of, one_line

current_request: ContextVar[int] = ContextVar("current_request", default=0)
"""The number of the request that the current task sends."""


class WaitReason(StrEnum):
    """Why a request waits: the same for every rule of a kind, so that waits can be counted by it."""

    RATE_LIMIT = "rate_limit"
    HOLD = "hold"
    """The server has refused a request because of its rate limit."""
    MIDNIGHT = "midnight"
    """The day of the quota ends or begins."""
    LEDGER = "ledger"
    """The ledger cannot be reached."""
    BACK_OFF = "back_off"
    """An attempt has failed."""


@frozen(kw_only=True)
class RequestStarted(Record):
    """A request begins: a logical one, which is sent again until its response is good or final. It is not logged.

    The observer is called in the context of the task that sends the request, from this event to `RequestEnded`. `request`
    is a number that all events of the request have.
    """

    endpoint: str
    request: int = field(factory=current_request.get)

    def __str__(self) -> str:
        return f"{self.endpoint}: request {self.request} started"


@frozen(kw_only=True)
class RequestEnded(Record):
    """A request has ended, after `attempts` attempts and `elapsed` seconds, its waits included. It is not logged.

    `error` is the class of the error that its caller receives, such as "RateLimited" or "CancelledError"; "" if the
    response is good.
    """

    endpoint: str
    error: str
    attempts: int
    elapsed: float
    request: int = field(factory=current_request.get)

    def __str__(self) -> str:
        end = f"ended after {self.elapsed:.3f} s and {self.attempts} attempts"
        return f"{self.endpoint}: request {self.request} {end}: {self.error or 'done'}"


@frozen(kw_only=True)
class AttemptStarted(Record):
    """A request is handed to the transport, for the time number `attempt`. It is not logged.

    Exactly one `ResponseReceived`, `AttemptFailed` or `AttemptAbandoned` follows in the same task. `path` has a name in
    braces in place of each id. `parameters` are the names of the query. `window` is the requested time range, if any.
    """

    endpoint: str
    host: str
    method: str
    path: str
    parameters: tuple[str, ...] = ()
    window: Window | None = None
    attempt: int = 1
    request: int = field(factory=current_request.get)

    def __str__(self) -> str:
        return (
            f"{self.endpoint}: request {self.request}, attempt {self.attempt}: {self.method} to {self.host}"
        )


@frozen(kw_only=True)
class Waited(Record):
    """A request waits `seconds`; `rule` describes the reason in words."""

    endpoint: str
    rule: str
    seconds: float
    reason: WaitReason = WaitReason.RATE_LIMIT
    request: int = field(factory=current_request.get)

    def __str__(self) -> str:
        return f"{self.endpoint}: waiting {self.seconds:.3g} s ({one_line(self.rule)})"


@frozen(kw_only=True)
class ResponseReceived(Record):
    """A host answered an attempt; `verdict` is "done" or the error, whose class is `error`."""

    endpoint: str
    host: str
    status: int
    size: int
    elapsed: float
    verdict: str
    error: str = ""
    attempt: int = 1
    request: int = field(factory=current_request.get)

    def __str__(self) -> str:
        answer = f"HTTP {self.status} from {self.host} in {self.elapsed:.3f} s, {self.size:,} bytes"
        return f"{self.endpoint}: {answer}: {one_line(self.verdict)}"


@frozen(kw_only=True)
class AttemptFailed(Record):
    """An attempt got no response."""

    endpoint: str
    host: str
    kind: str
    elapsed: float
    attempt: int = 1
    request: int = field(factory=current_request.get)

    def __str__(self) -> str:
        return (
            f"{self.endpoint}: no response from {self.host} after {self.elapsed:.3f} s: {one_line(self.kind)}"
        )


@frozen(kw_only=True)
class AttemptAbandoned(Record):
    """An attempt was cancelled, by its caller or by the deadline, or an error ended it. `reason` is the class of the error."""

    endpoint: str
    host: str
    reason: str
    elapsed: float
    attempt: int = 1
    request: int = field(factory=current_request.get)

    def __str__(self) -> str:
        return f"{self.endpoint}: attempt at {self.host} abandoned after {self.elapsed:.3f} s: {self.reason}"


@frozen(kw_only=True)
class HostSwitched(Record):
    """The engine switches to another host."""

    old: str
    new: str
    reason: str

    def __str__(self) -> str:
        return f"requests go to {self.new} instead of {self.old}: {one_line(self.reason)}"


@frozen(kw_only=True)
class QuotaClosed(Record):
    """The day's quota of an endpoint is spent until `retry_at` (epoch seconds)."""

    endpoint: str
    retry_at: float

    def __str__(self) -> str:
        return f"{self.endpoint}: the day's quota is spent until {_time(self.retry_at)}"


@frozen(kw_only=True)
class FixedWindowsRefused(Record):
    """The server refused a request although its fixed window had room, so windows count as sliding for `seconds`.

    Another program may use the account, or the server counts in another way than is documented.
    """

    endpoint: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.endpoint}: refused although the server's fixed window had room; "
            f"paced for sliding windows for {self.seconds:.0f} s"
        )


@frozen(kw_only=True)
class ListingNarrowed(Record):
    """The server hides records of a time range, so the range is fetched in halves."""

    endpoint: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.endpoint}: the server hides records; fetching {_range(self.start, self.end)} in halves"


@frozen(kw_only=True)
class ListingShort(Record):
    """The server counts more records than it lists, twice in a row."""

    endpoint: str
    start: int
    end: int
    listed: int
    counted: int

    def __str__(self) -> str:
        part = _range(self.start, self.end)
        return f"{self.endpoint}: the server lists {self.listed} of {self.counted} records of {part}"


@frozen(kw_only=True)
class RangeClipped(Record):
    """A time range was cut to what the plan allows: the result has no data of the rest.

    The range `requested_start` to `requested_end` became `start` to `end` (UTC epoch seconds, all included). The last
    seconds or hours before now, which are never available yet, are cut without this event.
    """

    endpoint: str
    requested_start: int
    requested_end: int
    start: int
    end: int

    def __str__(self) -> str:
        requested = _range(self.requested_start, self.requested_end)
        return f"{self.endpoint}: the plan allows {_range(self.start, self.end)} of the requested {requested}"


@frozen(kw_only=True)
class NotYetAvailable(Record):
    """The data of a call is not available yet, so the result is empty and no request was sent.

    The range `start` to `end` is that of the call. Its first second can be requested from `available_at` on (UTC epoch
    seconds).
    """

    endpoint: str
    start: int
    end: int
    available_at: int

    def __str__(self) -> str:
        return f"{self.endpoint}: no data of {_range(self.start, self.end)} before {_time(self.available_at)}"


@frozen(kw_only=True)
class FilterIgnored(Record):
    """The server does not apply filters or groups (`arguments`) to some of the requested `fields`."""

    endpoint: str
    arguments: tuple[str, ...]
    fields: tuple[str, ...]

    def __str__(self) -> str:
        ignored, fields = ", ".join(self.arguments), ", ".join(self.fields)
        return f"{self.endpoint}: the server does not apply {ignored} to {fields}"


@frozen(kw_only=True)
class WindowsLost(Record):
    """Windows of a followed metric left the plan's reach before they were fetched.

    There are `count` windows from `start` to `end` (UTC epoch seconds, the end excluded).
    """

    endpoint: str
    metric: str
    start: int
    end: int
    count: int

    def __str__(self) -> str:
        part = _range(self.start, self.end)
        return f"{self.endpoint}: {self.count} windows of {self.metric} can no longer be fetched: {part}"


@frozen(kw_only=True)
class PartialResponse(Record):
    """A response was used although it is incomplete, according to the server or to its counts."""

    endpoint: str
    code: int | None
    message: str

    def __str__(self) -> str:
        code = "" if self.code is None else f" (code {self.code})"
        return f"{self.endpoint}: the response is incomplete{code}: {one_line(self.message)}"


@frozen(kw_only=True)
class RecordsSkipped(Record):
    """Records of a response could not be read. They were left out, and all other records of the response were used."""

    endpoint: str
    skipped: tuple[SkippedRecord, ...]

    def __str__(self) -> str:
        first = self.skipped[0]
        name = first.path if first.key is None else f"{first.path} ({first.key})"
        text = f"{self.endpoint}: unreadable records left out: {len(self.skipped)}; the first is {name}: {first.reason}"
        return one_line(text)


Event = (
    RequestStarted
    | AttemptStarted
    | Waited
    | ResponseReceived
    | AttemptFailed
    | AttemptAbandoned
    | RequestEnded
    | HostSwitched
    | QuotaClosed
    | FixedWindowsRefused
    | ListingNarrowed
    | ListingShort
    | RangeClipped
    | NotYetAvailable
    | FilterIgnored
    | WindowsLost
    | PartialResponse
    | RecordsSkipped
)
"""What an observer receives."""
Observer = Callable[[Event], None]
"""A function that a client calls with each event."""

_requests, _limits = logger_of("requests"), logger_of("limits")
_hosts, _listings = logger_of("hosts"), logger_of("listings")
_LOGGED: Mapping[type[Any], tuple[logging.Logger, int]] = {
    Waited: (_limits, logging.DEBUG),
    ResponseReceived: (_requests, logging.DEBUG),
    AttemptFailed: (_requests, logging.INFO),
    AttemptAbandoned: (_requests, logging.DEBUG),
    HostSwitched: (_hosts, logging.WARNING),
    QuotaClosed: (_limits, logging.WARNING),
    FixedWindowsRefused: (_limits, logging.WARNING),
    ListingNarrowed: (_listings, logging.INFO),
    ListingShort: (_listings, logging.WARNING),
    RangeClipped: (_listings, logging.WARNING),
    NotYetAvailable: (_listings, logging.INFO),
    FilterIgnored: (_listings, logging.WARNING),
    WindowsLost: (_listings, logging.WARNING),
    PartialResponse: (_requests, logging.WARNING),
    RecordsSkipped: (_listings, logging.WARNING),
}
"""The logger and the level of each event. Add a new event to docs/logging.md as well."""
NOT_LOGGED = frozenset({RequestStarted, AttemptStarted, RequestEnded})
"""Events for observers that measure or trace requests: the other events are enough to read."""


def log_event(event: Event) -> None:
    """Write an event to the logger of its area."""
    if type(event) not in NOT_LOGGED:
        logger, level = _LOGGED[type(event)]
        logger.log(level, "%s", event)


def reporting(observer: Observer | Sequence[Observer] | None) -> Observer:
    """Return an observer that logs each event and then calls others, whose exceptions fail no call."""
    if observer is None:
        return log_event
    observers = (observer,) if callable(observer) else tuple(observer)

    def notify(event: Event) -> None:
        log_event(event)
        for each in observers:
            try:
                each(event)
            except Exception:
                logger, _ = _LOGGED.get(type(event), (_requests, logging.DEBUG))
                logger.exception("the observer raised an error for %s: %s", type(event).__name__, event)

    return notify


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _range(start: float, end: float) -> str:
    return f"{_time(start)} to {_time(end)}"
