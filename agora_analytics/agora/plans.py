"""What each Agora Analytics plan allows each endpoint. Starter has no API.

Source of every row: Agora, "Analytics REST API reference", the tables "API limits" of Call Inspector, Data Insights
and Real-time Monitoring.
The rows of the statistics endpoints follow sessions and metrics, those of the aggregations the queries by time, as
the vendor's current page groups them. Endpoints are named by their path, without `/beta` and `analytics/`.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from agora_analytics.core.limits import Limits

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR

CALL_LISTS = "call/lists"
CALL_SESSIONS = "call/sessions"
CALL_METRICS = "call/metrics"
CALL_STATISTICS = "call/statistics"
CALL_FREEZE_BUCKET = "call/freeze/bucket"
CALL_STATISTICS_TIME = "call/statistics/time"
INSIGHT_USAGE = "insight/usage/by_time"
INSIGHT_QUALITY = "insight/quality/by_time"
INSIGHT_USAGE_TOTALS = "insight/usage/aggregation"
INSIGHT_QUALITY_TOTALS = "insight/quality/aggregation"
REALTIME_USAGE = "realtime/usage/by_time_20sec"
REALTIME_QUALITY = "realtime/quality/by_time_20sec"
REALTIME_USAGE_TOP = "realtime/usage/dimension/top20"
REALTIME_QUALITY_TOP = "realtime/quality/dimension/top20"

INSIGHTS_BY_TIME = (INSIGHT_USAGE, INSIGHT_QUALITY)
INSIGHTS_TOTALS = (INSIGHT_USAGE_TOTALS, INSIGHT_QUALITY_TOTALS)
OF_ONE_CALL = (CALL_SESSIONS, CALL_METRICS, CALL_STATISTICS, CALL_FREEZE_BUCKET, CALL_STATISTICS_TIME)
REALTIME = (REALTIME_USAGE, REALTIME_QUALITY, REALTIME_USAGE_TOP, REALTIME_QUALITY_TOP)

SHARED_BUDGET = dict.fromkeys(OF_ONE_CALL, "call/sessions and call/metrics") | dict.fromkeys(
    REALTIME, "realtime"
)
"""The other reading of the plan table: one quota for sessions, metrics and statistics, and one for Real-time."""


@frozen(kw_only=True)
class Plan:
    """A pricing plan: its name and what it allows each endpoint, by endpoint name.

    For a contract with other numbers, create a plan of your own: `attrs.evolve(ENTERPRISE, limits={...})`.
    """

    name: str
    limits: Mapping[str, Limits] = field(repr=False)

    def describe_missing(self, endpoint: str) -> str:
        """Return the error message for an endpoint that the plan does not include."""
        others = plans_with(endpoint)
        return f"the {self.name} plan does not include {endpoint}; it needs {others or 'another plan'}"


def _row(section: str, *endpoints: str, **numbers: Any) -> dict[str, Limits]:
    """Return the limits of endpoints that share a row of the tables."""
    table = f"Analytics REST API reference, {section}, API limits"
    return {name: Limits(**numbers, windows="fixed", source=f"{table}, {name}") for name in endpoints}


def _plan(name: str, *rows: Mapping[str, Limits]) -> Plan:
    return Plan(
        name=name,
        limits={
            endpoint: evolve(limits, source=f"{limits.source}, column {name}; windows: {_WINDOWS}")
            for row in rows
            for endpoint, limits in row.items()
        },
    )


_WINDOWS = "current page, the request frequency is counted on the server's UTC clock"
_CALLS, _INSIGHTS, _LIVE = "Call Inspector", "Data Insights", "Real-time Monitoring"
_PREMIUM = {"requests": 3, "period": MINUTE, "burst": 3}
_ENTERPRISE = {"requests": 10, "period": MINUTE, "burst": 8}
# Three attempts reach a second host: 40 to 60 requests a day are too few for the six of `RetryPolicy`.
_PREMIUM_INSIGHTS = {**_PREMIUM, "per_day": 40, "attempts": 3, "reach": 14 * DAY}
_ENTERPRISE_INSIGHTS = {**_ENTERPRISE, "per_day": 60, "attempts": 3, "reach": 30 * DAY, "delay": 6 * HOUR}

# The tables have no longest range for the aggregations (`span`), so none is checked here.
STANDARD = _plan(
    "standard",
    _row(_CALLS, CALL_LISTS, requests=1, per_day=1_000, reach=DAY, span=8 * HOUR, delay=60),
    _row(_CALLS, *OF_ONE_CALL, requests=1, per_day=1_000, reach=DAY, span=HOUR, delay=300),
)
"""The Standard plan: calls only."""
PREMIUM = _plan(
    "premium",
    _row(_CALLS, CALL_LISTS, requests=3, per_day=2_000, reach=7 * DAY, span=16 * HOUR, delay=20),
    _row(_CALLS, *OF_ONE_CALL, requests=3, per_day=2_000, reach=7 * DAY, span=3 * HOUR, delay=150),
    _row(_INSIGHTS, INSIGHT_USAGE, **_PREMIUM_INSIGHTS, span=3 * DAY, delay=12 * HOUR),
    _row(_INSIGHTS, INSIGHT_QUALITY, **_PREMIUM_INSIGHTS, span=3 * DAY, delay=6 * HOUR),
    _row(_INSIGHTS, INSIGHT_USAGE_TOTALS, **_PREMIUM_INSIGHTS, span=None, delay=12 * HOUR),
    _row(_INSIGHTS, INSIGHT_QUALITY_TOTALS, **_PREMIUM_INSIGHTS, span=None, delay=6 * HOUR),
    _row(_LIVE, *REALTIME, **_PREMIUM, per_day=480, reach=40 * MINUTE, span=40 * MINUTE, delay=40),
)
"""The Premium plan."""
ENTERPRISE = _plan(
    "enterprise",
    _row(_CALLS, CALL_LISTS, requests=10, per_day=10_000, reach=15 * DAY, span=24 * HOUR, delay=20),
    _row(_CALLS, *OF_ONE_CALL, requests=10, per_day=10_000, reach=15 * DAY, span=6 * HOUR, delay=100),
    _row(_INSIGHTS, *INSIGHTS_BY_TIME, **_ENTERPRISE_INSIGHTS, span=7 * DAY),
    _row(_INSIGHTS, *INSIGHTS_TOTALS, **_ENTERPRISE_INSIGHTS, span=None),
    _row(_LIVE, *REALTIME, **_ENTERPRISE, per_day=1_440, reach=60 * MINUTE, span=60 * MINUTE, delay=20),
)
"""The Enterprise plan."""

PLANS: Mapping[str, Plan] = {plan.name: plan for plan in (STANDARD, PREMIUM, ENTERPRISE)}
"""The plans by name."""


def plans_with(endpoint: str) -> str:
    """Return the names of the plans that include an endpoint, such as `premium or enterprise`."""
    return " or ".join(name for name, plan in PLANS.items() if endpoint in plan.limits)
