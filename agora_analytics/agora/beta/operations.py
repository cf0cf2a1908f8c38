"""The endpoints of the 2021 beta API, one row each. All take snake_case parameters; none has pages.

Source: `reference/sources/001`, and `reference/agora-analytics-api.md`, "The 2021 beta API".
"""

from collections.abc import Mapping

from agora_analytics.agora.beta import limits
from agora_analytics.core.endpoint import Endpoint

_RANGE = ("start_ts", "end_ts", "appid")


def _row(name: str, path: str, *params: str, items: str = "data") -> Endpoint:
    return Endpoint(name=name, path=path, params=(*_RANGE, *params), items=items)


CALL_LISTS = _row(limits.CALL_LISTS, "/beta/analytics/call/lists", "cname", items="call_lists")
CALL_DETAILS = _row(
    limits.CALL_DETAILS,
    "/beta/analytics/call/details",
    *("call_id", "exclude_server_user", "exclude_metrics_info"),
    items="call_info",
)
INSIGHT_USAGE = _row(limits.INSIGHT_USAGE, "/beta/insight/usage/by_time", "metric")
LIVE_SCALE = _row(limits.LIVE_SCALE, "/beta/live/scale/by_time", "metric")
LIVE_EXPERIENCE = _row(limits.LIVE_EXPERIENCE, "/beta/live/experience/by_time", "metric")
LIVE_NET = _row(limits.LIVE_NET, "/beta/live/net/by_time", "metric")
LIVE_DIAGNOSIS = _row(limits.LIVE_DIAGNOSIS, "/beta/live/diagnosis")

ENDPOINTS: Mapping[str, Endpoint] = {
    endpoint.name: endpoint
    for endpoint in (
        *(CALL_LISTS, CALL_DETAILS, INSIGHT_USAGE),
        *(LIVE_SCALE, LIVE_EXPERIENCE, LIVE_NET, LIVE_DIAGNOSIS),
    )
}
"""All endpoints by name, in the order of the page."""
