"""Questions about statistics, Data Insights and Real-time: which are refused before they are answered, and why."""

import json
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from agora_analytics.simulator.rules import MAX_UIDS, Refused

_MILLISECONDS_FROM = 100_000_000_000
_FREEZES = frozenset({"audio_freeze_rate", "video_freeze_rate"})
_TIMES = _FREEZES | {"user_count", "audio_freeze_user_count", "video_freeze_user_count"}
_USAGE = frozenset(
    {"userCount", "sessionCount", "channelCount", "peakConcurrentChannels", "peakConcurrentUsers"}
    | {"totalDuration", "totalVideoDuration", "totalAudioDuration"}
)
_QUALITY = frozenset(
    {"joinSuccessRate", "joinSuccessIn5sRate", "audioFreezeRate", "videoFreezeRate", "networkDelay"}
)
_DIMENSIONS = frozenset({"country", "region", "net", "network", "sdk", "sdkVersion", "os", "device"})


@frozen(kw_only=True)
class Form:
    """What one endpoint accepts; parameters that it does not know are ignored, as the server does."""

    path: str
    method: str = "GET"
    required: tuple[str, ...]
    metrics: frozenset[str]
    dimensions: frozenset[str] = _DIMENSIONS
    granularities: frozenset[str] = frozenset()
    only_user_count_by_dimension: bool = False

    @property
    def ends(self) -> tuple[str, str]:
        """The parameters that hold the range."""
        if "ts" in self.required:
            return "ts", "ts"
        return ("start_ts", "end_ts") if "start_ts" in self.required else ("startTs", "endTs")


_OF_CALL = ("call_id", "start_ts", "end_ts", "appid", "metric")
_RANGE = ("startTs", "endTs", "appid", "metric")
_LIVE = (*_RANGE, "productType")
_TOP = ("ts", "appid", "productType", "metric", "dimension")

FORMS: Mapping[str, Form] = {
    "call/statistics": Form(
        path="/beta/analytics/call/statistics", required=(*_OF_CALL, "dimension"), metrics=_FREEZES
    ),
    "call/freeze/bucket": Form(
        path="/beta/analytics/call/freeze/bucket", required=_OF_CALL, metrics=_FREEZES
    ),
    "call/statistics/time": Form(
        path="/beta/analytics/call/statistics/time", required=_OF_CALL, metrics=_TIMES
    ),
    "insight/usage/by_time": Form(
        path="/beta/insight/usage/by_time",
        required=(*_RANGE, "aggregateGranularity"),
        metrics=_USAGE,
        granularities=frozenset({"1d", "1h"}),
    ),
    "insight/quality/by_time": Form(
        path="/beta/insight/quality/by_time",
        required=(*_RANGE, "aggregateGranularity", "productType"),
        metrics=_QUALITY,
        granularities=frozenset({"1d", "1h", "1m"}),
    ),
    "insight/usage/aggregation": Form(
        path="/beta/insight/usage/aggregation", method="POST", required=_RANGE, metrics=_USAGE
    ),
    "insight/quality/aggregation": Form(
        path="/beta/insight/quality/aggregation",
        method="POST",
        required=_LIVE,
        metrics=_QUALITY,
        dimensions=_DIMENSIONS | {"channelSize"},
    ),
    "realtime/usage/by_time_20sec": Form(
        path="/beta/realtime/usage/by_time_20sec",
        required=_LIVE,
        metrics=frozenset({"userCount", "channelCount"}),
        only_user_count_by_dimension=True,
    ),
    "realtime/quality/by_time_20sec": Form(
        path="/beta/realtime/quality/by_time_20sec", required=_LIVE, metrics=_QUALITY
    ),
    "realtime/usage/dimension/top20": Form(
        path="/beta/realtime/usage/dimension/top20", required=_TOP, metrics=frozenset({"userCount"})
    ),
    "realtime/quality/dimension/top20": Form(
        path="/beta/realtime/quality/dimension/top20", required=_TOP, metrics=_QUALITY
    ),
}
"""What each endpoint accepts, by name."""


@frozen(kw_only=True)
class StatisticsQuery:
    """The parameters of one request, checked. Times are epoch seconds."""

    endpoint: str
    app_id: str
    start: int
    end: int
    metric: str
    dimension: str | None = None
    values: tuple[str, ...] | None = None
    country: str | None = None
    product: str | None = None
    granularity: str = ""
    cname: str | None = None
    uids: tuple[str, ...] = field(default=())
    call_id: str = ""
    with_users: bool = False


def inquiry(endpoint: str, query: Mapping[str, str], body: bytes = b"") -> StatisticsQuery:
    """Read the parameters of a request, from its query or from its JSON body.

    Raises:
        Refused: 400 for a missing, misspelt or senseless parameter, 500 for milliseconds.
    """
    form = FORMS[endpoint]
    given: dict[str, Any] = dict(query)
    if form.method == "POST":
        given = _json(body) | {"appid": query.get("appid")}
    for name in form.required:
        if given.get(name) in {None, ""}:
            raise _invalid(f"{name} is required")
    start, end = (_whole(given, name) for name in form.ends)
    if max(abs(start), abs(end)) >= _MILLISECONDS_FROM:
        raise Refused(500, "Unknown Error")
    if end < start or (end == start and form.ends[0] != form.ends[1]):
        raise _invalid(f"{form.ends[1]} is not behind {form.ends[0]}")
    asked = StatisticsQuery(
        endpoint=endpoint,
        app_id=str(given["appid"]),
        start=start,
        end=end,
        metric=str(given["metric"]),
        dimension=given.get("dimension") or None,
        values=_values(given.get("dimensionValues"), is_list=form.method == "POST"),
        country=_country(given.get("filters")),
        product=given.get("productType") if "productType" in form.required else None,
        granularity=str(given.get("aggregateGranularity", "")),
        cname=given.get("cname") or None,
        uids=tuple(uid for uid in str(given.get("uids") or "").split(",") if uid),
        call_id=str(given.get("call_id", "")),
        with_users=given.get("extraMetrics") == "userCount",
    )
    _check(form, asked)
    return asked


def _check(form: Form, asked: StatisticsQuery) -> None:
    wrong = {
        f"metric {asked.metric}": asked.metric not in form.metrics,
        f"dimension {asked.dimension}": asked.dimension is not None
        and asked.dimension not in form.dimensions,
        f"{asked.metric} by dimension": asked.dimension is not None
        and (
            asked.metric.startswith("peak")
            or (form.only_user_count_by_dimension and asked.metric != "userCount")
        ),
        "dimensionValues without dimension": asked.values is not None and asked.dimension is None,
        "filters without dimension region": asked.country is not None and asked.dimension != "region",
        f"productType {asked.product}": asked.product not in {None, "Native", "WebRTC"},
        f"aggregateGranularity {asked.granularity}": bool(form.granularities)
        and asked.granularity not in form.granularities,
        f"more than {MAX_UIDS} uids": len(asked.uids) > MAX_UIDS,
        "uids without cname": bool(asked.uids) and asked.cname is None,
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise _invalid(what)


def _invalid(what: str) -> Refused:
    return Refused(400, f"Invalid parameters: {what}")


def _json(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise _invalid("the body is not a JSON object")
    return given


def _whole(given: Mapping[str, Any], name: str) -> int:
    try:
        return int(given[name])
    except (ValueError, TypeError):
        raise _invalid(f"{name} is not a number") from None


def _values(given: Any, *, is_list: bool) -> tuple[str, ...] | None:
    """Read `"a","b"` of a query, or a JSON array of a body."""
    if not given:
        return None
    if is_list:
        if not isinstance(given, list) or not all(isinstance(value, str) for value in given):
            raise _invalid("dimensionValues is not a list of strings")
        return tuple(given)
    quoted = str(given).split('","')
    if len(given) < 2 or given[0] != '"' or given[-1] != '"':
        raise _invalid("dimensionValues are not double-quoted")
    return tuple(value.strip('"') for value in quoted)


def _country(filters: Any) -> str | None:
    if not filters:
        return None
    try:
        (one,) = filters
        name, value = one["name"], one["value"]
    except (TypeError, KeyError, ValueError):
        raise _invalid("filters") from None
    if name != "country":
        raise _invalid(f"filters by {name}")
    return str(value)
