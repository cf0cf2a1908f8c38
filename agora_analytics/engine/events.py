"""The events that the engine reports to an observer: one typed stream for logs, progress and metrics."""

import logging
from collections.abc import Callable

from attrs import frozen

from agora_analytics.core.verdicts import SkippedRecord


@frozen(kw_only=True)
class Waited:
    """A request waits `seconds`; `rule` names the reason."""

    endpoint: str
    rule: str
    seconds: float


@frozen(kw_only=True)
class ResponseReceived:
    """A host answered an attempt; `verdict` is "done" or the error."""

    endpoint: str
    host: str
    status: int
    size: int
    elapsed: float
    verdict: str


@frozen(kw_only=True)
class AttemptFailed:
    """An attempt got no response."""

    endpoint: str
    host: str
    kind: str
    elapsed: float


@frozen(kw_only=True)
class HostSwitched:
    """The engine switches to another host."""

    old: str
    new: str
    reason: str


@frozen(kw_only=True)
class QuotaClosed:
    """The day's quota of an endpoint is spent until `retry_at` (epoch seconds)."""

    endpoint: str
    retry_at: float


@frozen(kw_only=True)
class ListingNarrowed:
    """The server hides records of a time range, so the range is fetched in halves."""

    endpoint: str
    start: int
    end: int


@frozen(kw_only=True)
class ListingShort:
    """The server counts more records than it lists, twice in a row."""

    endpoint: str
    start: int
    end: int
    listed: int
    counted: int


@frozen(kw_only=True)
class RangeClipped:
    """A time range was cut to what the plan allows: the result has no data of the rest.

    The range `requested_start` to `requested_end` became `start` to `end` (UTC epoch seconds, all included). The last
    seconds or hours before now, which are never available yet, are cut without this event.
    """

    endpoint: str
    requested_start: int
    requested_end: int
    start: int
    end: int


@frozen(kw_only=True)
class NotYetAvailable:
    """The data of a call is not available yet, so the result is empty and no request was sent.

    The range `start` to `end` is that of the call. Its first second can be requested from `available_at` on (UTC epoch
    seconds).
    """

    endpoint: str
    start: int
    end: int
    available_at: int


@frozen(kw_only=True)
class FilterIgnored:
    """The server does not apply filters or groups (`arguments`) to some of the requested `fields`."""

    endpoint: str
    arguments: tuple[str, ...]
    fields: tuple[str, ...]


@frozen(kw_only=True)
class WindowsLost:
    """Windows of a followed metric left the plan's reach before they were fetched.

    There are `count` windows from `start` to `end` (UTC epoch seconds, the end excluded).
    """

    endpoint: str
    metric: str
    start: int
    end: int
    count: int


@frozen(kw_only=True)
class PartialResponse:
    """A response was used although it is incomplete, according to the server or to its counts."""

    endpoint: str
    code: int | None
    message: str


@frozen(kw_only=True)
class RecordsSkipped:
    """Records of a response could not be read. They were left out, and all other records of the response were used."""

    endpoint: str
    skipped: tuple[SkippedRecord, ...]


Event = (
    Waited
    | ResponseReceived
    | AttemptFailed
    | HostSwitched
    | QuotaClosed
    | ListingNarrowed
    | ListingShort
    | RangeClipped
    | NotYetAvailable
    | FilterIgnored
    | WindowsLost
    | PartialResponse
    | RecordsSkipped
)
Observer = Callable[[Event], None]

_log = logging.getLogger("agora_analytics.engine")
_log.addHandler(logging.NullHandler())

_LEVELS = {
    Waited: logging.DEBUG,
    ResponseReceived: logging.DEBUG,
    AttemptFailed: logging.INFO,
    HostSwitched: logging.WARNING,
    QuotaClosed: logging.WARNING,
    ListingNarrowed: logging.INFO,
    ListingShort: logging.WARNING,
    RangeClipped: logging.WARNING,
    NotYetAvailable: logging.INFO,
    FilterIgnored: logging.WARNING,
    WindowsLost: logging.WARNING,
    PartialResponse: logging.WARNING,
    RecordsSkipped: logging.WARNING,
}


def log_event(event: Event) -> None:
    """Write an event to the logger `agora_analytics.engine`; the default observer."""
    _log.log(_LEVELS[type(event)], "%s", event)


def guarded(observer: Observer) -> Observer:
    """Return an observer that logs what another one raises, so that no call fails because of its observer."""

    def notify(event: Event) -> None:
        try:
            observer(event)
        except Exception:  # noqa: BLE001 - the observer is not ours
            _log.exception("the observer raised an error for %s", event)

    return notify
