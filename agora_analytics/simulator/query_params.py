"""Parses and checks the parameters of Agora requests, and checks their time ranges against the windows of the plan."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from agora_analytics.agora.plans import CALL_LISTS, CALL_METRICS, CALL_SESSIONS
from agora_analytics.core.limits import Limits
from agora_analytics.simulator.simulated_api import Arrival, Reply

MAX_PAGE_SIZE, DEFAULT_PAGE_SIZE = 100, 20
MAX_UIDS, MAX_SIDS = 10, 20
NO_AUTH = "you have no auth to access this service, please buy or upgrade your service package"
_MILLISECONDS_FROM = 100_000_000_000

_FREEZES = frozenset({"audio_freeze_rate", "video_freeze_rate"})
_TIMES = _FREEZES | {"user_count", "audio_freeze_user_count", "video_freeze_user_count"}
USAGE = frozenset(
    {"userCount", "sessionCount", "channelCount", "peakConcurrentChannels", "peakConcurrentUsers"}
    | {"totalDuration", "totalVideoDuration", "totalAudioDuration"}
)
QUALITY = frozenset(
    {"joinSuccessRate", "joinSuccessIn5sRate", "audioFreezeRate", "videoFreezeRate", "networkDelay"}
)
_DIMENSIONS = frozenset({"country", "region", "net", "network", "sdk", "sdkVersion", "os", "device"})


class AgoraRefused(Exception):
    """A request that Agora refuses: a code other than 200 in the body, and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def by_limit(cls, reason: str) -> "AgoraRefused":
        """Return the refusal of a limit: code 300 and the documented prefix."""
        return cls(300, f"Service package limit check error, {reason}")

    def reply(self, arrival: Arrival) -> Reply:
        """Return the response to a refused request."""
        fields = {"code": self.code, "message": str(self)} | request_id(arrival)
        return Reply.of(fields, refusal=str(self))


def request_id(arrival: Arrival) -> dict[str, str]:
    """Return the request id for the body; only the responses of Call Inspector have one."""
    return {"requestId": arrival.request_id} if arrival.endpoint.startswith("call/") else {}


@frozen
class EndpointSpec:
    """What one endpoint accepts. The server ignores unknown parameters."""

    name: str
    required: tuple[str, ...]
    metrics: frozenset[str] = frozenset()
    method: str = "GET"
    dimensions: frozenset[str] = _DIMENSIONS
    granularities: tuple[str, ...] = ()
    only_user_count_by_dimension: bool = False

    @property
    def path(self) -> str:
        """The path of the endpoint."""
        return f"/beta/analytics/{self.name}" if self.name.startswith("call/") else f"/beta/{self.name}"

    @property
    def ends(self) -> tuple[str, str]:
        """The names of the parameters that hold the time range."""
        if "ts" in self.required:
            return "ts", "ts"
        return ("start_ts", "end_ts") if "start_ts" in self.required else ("startTs", "endTs")


_LIST = ("start_ts", "end_ts", "appid")
_OF_CALL = ("call_id", "start_ts", "end_ts", "appid", "metric")
_RANGE = ("startTs", "endTs", "appid", "metric")
_LIVE = (*_RANGE, "productType")
_TOP = ("ts", "appid", "productType", "metric", "dimension")
_BY_TIME = (*_RANGE, "aggregateGranularity")

_CALLS = (
    EndpointSpec(CALL_LISTS, _LIST),
    EndpointSpec(CALL_SESSIONS, (*_LIST, "call_id")),
    EndpointSpec(CALL_METRICS, (*_LIST, "call_id", "sids")),
)
CALL_ENDPOINTS: Mapping[str, EndpointSpec] = {spec.name: spec for spec in _CALLS}
"""The endpoints of Call Inspector that return calls, sessions and metrics."""

_STATISTICS = (
    EndpointSpec("call/statistics", (*_OF_CALL, "dimension"), _FREEZES),
    EndpointSpec("call/freeze/bucket", _OF_CALL, _FREEZES),
    EndpointSpec("call/statistics/time", _OF_CALL, _TIMES),
    EndpointSpec("insight/usage/by_time", _BY_TIME, USAGE, granularities=("1d", "1h")),
    EndpointSpec(
        "insight/quality/by_time", (*_BY_TIME, "productType"), QUALITY, granularities=("1d", "1h", "1m")
    ),
    EndpointSpec("insight/usage/aggregation", _RANGE, USAGE, method="POST"),
    EndpointSpec(
        "insight/quality/aggregation",
        _LIVE,
        QUALITY,
        method="POST",
        dimensions=_DIMENSIONS | {"channelSize"},
    ),
    EndpointSpec(
        "realtime/usage/by_time_20sec",
        _LIVE,
        frozenset({"userCount", "channelCount"}),
        only_user_count_by_dimension=True,
    ),
    EndpointSpec("realtime/quality/by_time_20sec", _LIVE, QUALITY),
    EndpointSpec("realtime/usage/dimension/top20", _TOP, frozenset({"userCount"})),
    EndpointSpec("realtime/quality/dimension/top20", _TOP, QUALITY),
)
STATISTICS_ENDPOINTS: Mapping[str, EndpointSpec] = {spec.name: spec for spec in _STATISTICS}
"""The endpoints of call statistics, Data Insights and Real-time."""


@frozen(kw_only=True)
class Query:
    """The checked parameters of one request. Times are epoch seconds; both ends are included.

    Attributes:
        page_no, page_size, uids, sids, exclude_server_user: for the endpoints of `CALL_ENDPOINTS`; an empty `uids`
            selects all users.
        metric, dimension, values, country, product, granularity, with_users: for those of `STATISTICS_ENDPOINTS`.
    """

    app_id: str
    start: int
    end: int
    call_id: str = ""
    cname: str | None = None
    uids: tuple[str, ...] = ()
    sids: tuple[str, ...] = ()
    page_no: int = 1
    page_size: int = DEFAULT_PAGE_SIZE
    exclude_server_user: bool = True
    metric: str = ""
    dimension: str | None = None
    values: tuple[str, ...] | None = None
    country: str | None = None
    product: str | None = None
    granularity: str = ""
    with_users: bool = False


def parse_query(endpoint: EndpointSpec, arrival: Arrival) -> Query:
    """Parse the parameters of a request, from its query or from its JSON body.

    Raises:
        AgoraRefused: 400 if a parameter is missing, misspelt or invalid; 500 for times in milliseconds.
    """
    given: dict[str, Any] = dict(arrival.query)
    if endpoint.method == "POST":
        if (body := arrival.json_object()) is None:
            raise _invalid("the body is not a JSON object")
        given = body | {"appid": arrival.query.get("appid")}
    require(given, endpoint.required)
    first, last = endpoint.ends
    start, end = _whole(given, first), _whole(given, last)
    if endpoint.metrics:
        check_range(start, end, f"{last} is not behind {first}", may_be_empty=first == last)
    else:
        check_range(start, end)
    parsed = Query(
        app_id=str(given["appid"]),
        start=start,
        end=end,
        call_id=str(given.get("call_id", "")),
        cname=given.get("cname") or None,
        **(_statistics_params(endpoint, given) if endpoint.metrics else _page_params(endpoint, given)),
    )
    if endpoint.metrics:
        _check_statistics(endpoint, parsed)
    return parsed


def require(given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Refuse with 400 if a required parameter is missing or empty."""
    for name in names:
        if given.get(name) in (None, ""):
            raise _invalid(f"{name} is required")


def check_range(
    start: int, end: int, message: str = "end_ts is before start_ts", *, may_be_empty: bool = True
) -> None:
    """Refuse times in milliseconds with 500, and a time range that ends before it starts with 400."""
    if max(abs(start), abs(end)) >= _MILLISECONDS_FROM:
        raise AgoraRefused(500, "Unknown Error")
    if end < start or (end == start and not may_be_empty):
        raise _invalid(message)


def check_window(start: int, end: int, limits: Limits, now: float) -> None:
    """Refuse a time range with 300 if it is not strictly within the plan's latency, range and length."""
    if not end < now - limits.delay:
        raise AgoraRefused.by_limit("query latency limit error")
    if not start > now - limits.reach:
        raise AgoraRefused.by_limit("query time range limit error")
    if limits.span is not None and not end - start < limits.span:
        raise AgoraRefused.by_limit("query time length limit error")


def _page_params(endpoint: EndpointSpec, given: Mapping[str, str]) -> dict[str, Any]:
    page = {"page_no": 1, "page_size": DEFAULT_PAGE_SIZE}
    # "To implement pagination, you need to specify a value for both": sessions ignore one without the other.
    if endpoint.name != CALL_SESSIONS or page.keys() <= given.keys():
        page |= {name: _whole(given, name) for name in page if name in given}
    if min(page.values()) < 1:
        raise _invalid("page_no and page_size start at 1")
    return {
        "page_no": page["page_no"],
        "page_size": min(page["page_size"], MAX_PAGE_SIZE),
        "uids": tuple(_listed(given, "uids", MAX_UIDS)),
        "sids": tuple(dict.fromkeys(_listed(given, "sids", MAX_SIDS))),
        "exclude_server_user": _boolean(given, "exclude_server_user"),
    }


def _listed(given: Mapping[str, str], name: str, most: int) -> list[str]:
    values = [value for value in given.get(name, "").split(",") if value]
    if len(values) > most:
        raise _invalid(f"at most {most} {name}")
    return values


def _boolean(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "true").lower()
    if value not in {"true", "false", "1", "0"}:
        raise _invalid(f"{name} is not a boolean")
    return value in {"true", "1"}


def _statistics_params(endpoint: EndpointSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metric": str(given["metric"]),
        "dimension": given.get("dimension") or None,
        "values": _values(given.get("dimensionValues"), is_list=endpoint.method == "POST"),
        "country": _country(given.get("filters")),
        "product": given.get("productType") if "productType" in endpoint.required else None,
        "granularity": str(given.get("aggregateGranularity", "")),
        "uids": tuple(uid for uid in str(given.get("uids") or "").split(",") if uid),
        "with_users": given.get("extraMetrics") == "userCount",
    }


def _check_statistics(endpoint: EndpointSpec, query: Query) -> None:
    has_dimension = query.dimension is not None
    errors = {
        f"metric {query.metric}": query.metric not in endpoint.metrics,
        f"dimension {query.dimension}": has_dimension and query.dimension not in endpoint.dimensions,
        f"{query.metric} by dimension": has_dimension
        and (
            query.metric.startswith("peak")
            or (endpoint.only_user_count_by_dimension and query.metric != "userCount")
        ),
        "dimensionValues without dimension": query.values is not None and not has_dimension,
        "filters without dimension region": query.country is not None and query.dimension != "region",
        f"productType {query.product}": query.product not in {None, "Native", "WebRTC"},
        f"aggregateGranularity {query.granularity}": bool(endpoint.granularities)
        and query.granularity not in endpoint.granularities,
        f"more than {MAX_UIDS} uids": len(query.uids) > MAX_UIDS,
        "uids without cname": bool(query.uids) and query.cname is None,
    }
    for message, is_wrong in errors.items():
        if is_wrong:
            raise _invalid(message)


def _invalid(message: str) -> AgoraRefused:
    return AgoraRefused(400, f"Invalid parameters: {message}")


def _whole(given: Mapping[str, Any], name: str) -> int:
    try:
        return int(given[name])
    except (ValueError, TypeError):
        raise _invalid(f"{name} is not a number") from None


def _values(given: Any, *, is_list: bool) -> tuple[str, ...] | None:
    """Parse `"a","b"` of a query, or a JSON array of a body."""
    if not given:
        return None
    if is_list:
        if not isinstance(given, list) or not all(isinstance(value, str) for value in given):
            raise _invalid("dimensionValues is not a list of strings")
        return tuple(given)
    if len(given) < 2 or given[0] != '"' or given[-1] != '"':
        raise _invalid("dimensionValues are not double-quoted")
    return tuple(value.strip('"') for value in given.split('","'))


def _country(filters: Any) -> str | None:
    if not filters:
        return None
    try:
        (condition,) = filters
        name, value = condition["name"], condition["value"]
    except (TypeError, KeyError, ValueError):
        raise _invalid("filters") from None
    if name != "country":
        raise _invalid(f"filters by {name}")
    return str(value)
