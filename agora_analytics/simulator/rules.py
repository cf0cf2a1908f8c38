"""Which questions are refused before they are answered: parameters and the strict windows of the plan."""

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from agora_analytics.core.limits import Limits

MAX_PAGE_SIZE, DEFAULT_PAGE_SIZE = 100, 20
MAX_UIDS, MAX_SIDS = 10, 20
LIMIT_PREFIX = "Service package limit check error, "
LATENCY, RANGE, LENGTH = (
    "query latency limit error",
    "query time range limit error",
    "query time length limit error",
)
NO_AUTH = "you have no auth to access this service, please buy or upgrade your service package"
_MILLISECONDS_FROM = 100_000_000_000

CALL_LISTS, CALL_SESSIONS, CALL_METRICS = "call/lists", "call/sessions", "call/metrics"
_REQUIRED = {
    CALL_LISTS: ("start_ts", "end_ts", "appid"),
    CALL_SESSIONS: ("start_ts", "end_ts", "appid", "call_id"),
    CALL_METRICS: ("start_ts", "end_ts", "appid", "call_id", "sids"),
}


class Refused(Exception):
    """A body code other than 200 and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def by_limit(cls, reason: str) -> "Refused":
        """Return the refusal of a limit: code 300 with the documented prefix."""
        return cls(300, LIMIT_PREFIX + reason)


class Ranged(Protocol):
    """Whatever asks about a range of time, in epoch seconds."""

    @property
    def start(self) -> int:
        """The first second."""
        ...

    @property
    def end(self) -> int:
        """The last second."""
        ...


@frozen(kw_only=True)
class CallQuery:
    """The parameters of one request, checked. Times are epoch seconds; both ends are included."""

    app_id: str
    start: int
    end: int
    call_id: str = ""
    cname: str | None = None
    page_no: int = 1
    page_size: int = DEFAULT_PAGE_SIZE
    uids: frozenset[str] | None = None
    sids: tuple[str, ...] = ()
    exclude_server_user: bool = True


def question(endpoint: str, query: Mapping[str, str]) -> CallQuery:
    """Read the parameters of a request.

    Raises:
        Refused: 400 for a missing, misspelt or senseless parameter, 500 for milliseconds.
    """
    for name in _REQUIRED[endpoint]:
        if not query.get(name):
            raise Refused(400, f"Invalid parameters: {name} is required")
    start, end = _whole(query, "start_ts"), _whole(query, "end_ts")
    if max(abs(start), abs(end)) >= _MILLISECONDS_FROM:
        raise Refused(500, "Unknown Error")
    if end < start:
        raise Refused(400, "Invalid parameters: end_ts is before start_ts")
    page_no, page_size = _page(endpoint, query)
    uids, sids = _listed(query, "uids", MAX_UIDS), _listed(query, "sids", MAX_SIDS)
    return CallQuery(
        app_id=query["appid"],
        start=start,
        end=end,
        call_id=query.get("call_id", ""),
        cname=query.get("cname") or None,
        page_no=page_no,
        page_size=page_size,
        uids=frozenset(uids) or None,
        sids=tuple(dict.fromkeys(sids)),
        exclude_server_user=_boolean(query, "exclude_server_user"),
    )


def _page(endpoint: str, query: Mapping[str, str]) -> tuple[int, int]:
    # "To implement pagination, you need to specify a value for both": sessions ignore one without the other.
    if endpoint == CALL_SESSIONS and not {"page_no", "page_size"} <= query.keys():
        return 1, DEFAULT_PAGE_SIZE
    number = _whole(query, "page_no") if "page_no" in query else 1
    size = _whole(query, "page_size") if "page_size" in query else DEFAULT_PAGE_SIZE
    if number < 1 or size < 1:
        raise Refused(400, "Invalid parameters: page_no and page_size start at 1")
    return number, min(size, MAX_PAGE_SIZE)


def _whole(query: Mapping[str, str], name: str) -> int:
    try:
        return int(query[name])
    except ValueError:
        raise Refused(400, f"Invalid parameters: {name} is not a number") from None


def _listed(query: Mapping[str, str], name: str, most: int) -> list[str]:
    values = [value for value in query.get(name, "").split(",") if value]
    if len(values) > most:
        raise Refused(400, f"Invalid parameters: at most {most} {name}")
    return values


def _boolean(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "true").lower()
    if value not in {"true", "false", "1", "0"}:
        raise Refused(400, f"Invalid parameters: {name} is not a boolean")
    return value in {"true", "1"}


def check_window(asked: Ranged, limits: Limits, now: float) -> None:
    """Hold a window against the plan, to the second: each bound itself is already outside.

    Raises:
        Refused: 300 with the message of the limit that is broken; the first of latency, range, length.
    """
    if not asked.end < now - limits.delay:
        raise Refused.by_limit(LATENCY)
    if not asked.start > now - limits.reach:
        raise Refused.by_limit(RANGE)
    if limits.span is not None and not asked.end - asked.start < limits.span:
        raise Refused.by_limit(LENGTH)
