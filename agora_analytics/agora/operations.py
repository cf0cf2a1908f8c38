"""The endpoints of today's Agora Analytics API, one row each.

Source: `reference/agora-analytics-api.md`, "Endpoints". Call Inspector writes its parameters in snake_case, Data
Insights and Real-time in camelCase; `appid` is lower case everywhere.
"""

from collections.abc import Mapping

from agora_analytics.agora import plans
from agora_analytics.agora.plans import CALL_LISTS, CALL_METRICS, CALL_SESSIONS
from agora_analytics.core.endpoint import Endpoint

LISTS = Endpoint(
    name=CALL_LISTS,
    path="/beta/analytics/call/lists",
    params=("start_ts", "end_ts", "appid", "cname", "page_no", "page_size"),
    items="call_lists",
    page_size=100,
)
SESSIONS = Endpoint(
    name=CALL_SESSIONS,
    path="/beta/analytics/call/sessions",
    params=(
        *("start_ts", "end_ts", "appid", "call_id"),
        *("page_no", "page_size", "uids", "exclude_server_user"),
    ),
    items="call_info",
    page_size=100,
)
METRICS = Endpoint(
    name=CALL_METRICS,
    path="/beta/analytics/call/metrics",
    params=("start_ts", "end_ts", "appid", "call_id", "sids"),
    items="metrics",
)


def _of_call(name: str, *more: str) -> Endpoint:
    params = ("call_id", "start_ts", "end_ts", "appid", "metric", *more)
    return Endpoint(name=name, path=f"/beta/analytics/{name}", params=params, items="data")


def _camel(
    name: str, *params: str, method: str = "GET", until: str = "endTs", since: str = "startTs"
) -> Endpoint:
    return Endpoint(
        name=name, method=method, path=f"/beta/{name}", params=params, since=since, until=until, items="data"
    )


STATISTICS = _of_call(plans.CALL_STATISTICS, "dimension")
FREEZE_BUCKET = _of_call(plans.CALL_FREEZE_BUCKET)
STATISTICS_TIME = _of_call(plans.CALL_STATISTICS_TIME)

_RANGE = ("startTs", "endTs", "appid")
_TOTALS = (*_RANGE, "metric", "dimension", "dimensionValues", "filters")
_LIVE = (*_RANGE, "productType", "metric", "dimension", "dimensionValues", "cname")
_TOP = ("ts", "appid", "productType", "metric", "dimension")

INSIGHT_USAGE = _camel(plans.INSIGHT_USAGE, *_RANGE, "metric", "aggregateGranularity")
INSIGHT_QUALITY = _camel(plans.INSIGHT_QUALITY, *_RANGE, "metric", "aggregateGranularity", "productType")
INSIGHT_USAGE_TOTALS = _camel(plans.INSIGHT_USAGE_TOTALS, *_TOTALS, method="POST")
INSIGHT_QUALITY_TOTALS = _camel(plans.INSIGHT_QUALITY_TOTALS, *_TOTALS, "productType", method="POST")
REALTIME_USAGE = _camel(plans.REALTIME_USAGE, *_LIVE)
REALTIME_QUALITY = _camel(plans.REALTIME_QUALITY, *_LIVE, "uids")
REALTIME_USAGE_TOP = _camel(plans.REALTIME_USAGE_TOP, *_TOP, since="ts", until="ts")
REALTIME_QUALITY_TOP = _camel(plans.REALTIME_QUALITY_TOP, *_TOP, "extraMetrics", since="ts", until="ts")

OPERATIONS: Mapping[str, Endpoint] = {
    endpoint.name: endpoint
    for endpoint in (
        *(LISTS, SESSIONS, METRICS, STATISTICS, FREEZE_BUCKET, STATISTICS_TIME),
        *(INSIGHT_USAGE, INSIGHT_QUALITY, INSIGHT_USAGE_TOTALS, INSIGHT_QUALITY_TOTALS),
        *(REALTIME_USAGE, REALTIME_QUALITY, REALTIME_USAGE_TOP, REALTIME_QUALITY_TOP),
    )
}
"""All endpoints by name, in the order of the reference."""

MAX_SIDS = 20
MAX_UIDS = 10

SHARED_BUDGET = dict.fromkeys(plans.OF_ONE_CALL, "call/sessions and call/metrics") | dict.fromkeys(
    plans.REALTIME, "realtime"
)
"""The other reading of the plan's rows: one quota for sessions, metrics and statistics, and one for real time."""
