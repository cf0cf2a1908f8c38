"""What each Agora Analytics plan allows each endpoint. Starter has no API.

Source of every row: "Analytics REST API reference", the tables "API limits" of Call Inspector, Data Insights and
Real-time Monitoring (`reference/sources/000`), repeated in `reference/agora-analytics-api.md`, "Limits per plan".
The rows of the statistics endpoints follow sessions and metrics, those of the aggregations the queries by time, as
the vendor's current page groups them. Endpoints are named by their path, without `/beta` and `analytics/`.
"""

from collections.abc import Mapping

from attrs import field, frozen

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

OF_ONE_CALL = (CALL_SESSIONS, CALL_METRICS, CALL_STATISTICS, CALL_FREEZE_BUCKET, CALL_STATISTICS_TIME)
REALTIME = (REALTIME_USAGE, REALTIME_QUALITY, REALTIME_USAGE_TOP, REALTIME_QUALITY_TOP)


@frozen(kw_only=True)
class Plan:
    """A pricing plan: its name and what it allows each endpoint, by endpoint name.

    A contract with other numbers is a plan of your own: `attrs.evolve(ENTERPRISE, limits={...})`.
    """

    name: str
    limits: Mapping[str, Limits] = field(repr=False)


def _source(section: str, endpoint: str, plan: str) -> str:
    return f"Analytics REST API reference, {section}, API limits, {endpoint}, column {plan}"


def _call_inspector(
    name: str, *, per_second: int, per_day: int, reach: int, spans: tuple[int, int], delays: tuple[int, int]
) -> dict[str, Limits]:
    def row(endpoint: str, span: int, delay: int) -> Limits:
        return Limits(
            requests=per_second,
            per_day=per_day,
            reach=reach,
            span=span,
            delay=delay,
            source=_source("Call Inspector", endpoint, name),
        )

    lists, others = zip(spans, delays, strict=True)
    return {CALL_LISTS: row(CALL_LISTS, *lists)} | {
        endpoint: row(endpoint, *others) for endpoint in OF_ONE_CALL
    }


def _insights(
    name: str,
    *,
    per_minute: int,
    burst: int,
    per_day: int,
    reach: int,
    span: int,
    usage_delay: int,
    quality_delay: int,
) -> dict[str, Limits]:
    # For the aggregations no longest range is printed, so none is held against them here.
    rows = {
        INSIGHT_USAGE: (span, usage_delay),
        INSIGHT_QUALITY: (span, quality_delay),
        INSIGHT_USAGE_TOTALS: (None, usage_delay),
        INSIGHT_QUALITY_TOTALS: (None, quality_delay),
    }
    return {
        endpoint: Limits(
            requests=per_minute,
            period=MINUTE,
            per_day=per_day,
            burst=burst,
            reach=reach,
            span=longest,
            delay=delay,
            source=_source("Data Insights", endpoint, name),
        )
        for endpoint, (longest, delay) in rows.items()
    }


def _realtime(
    name: str, *, per_minute: int, burst: int, per_day: int, reach: int, delay: int
) -> dict[str, Limits]:
    return {
        endpoint: Limits(
            requests=per_minute,
            period=MINUTE,
            per_day=per_day,
            burst=burst,
            reach=reach,
            span=reach,
            delay=delay,
            source=_source("Real-time Monitoring", endpoint, name),
        )
        for endpoint in REALTIME
    }


STANDARD = Plan(
    name="standard",
    limits=_call_inspector(
        "standard", per_second=1, per_day=1_000, reach=1 * DAY, spans=(8 * HOUR, 1 * HOUR), delays=(60, 300)
    ),
)
PREMIUM = Plan(
    name="premium",
    limits=_call_inspector(
        "premium", per_second=3, per_day=2_000, reach=7 * DAY, spans=(16 * HOUR, 3 * HOUR), delays=(20, 150)
    )
    | _insights(
        "premium",
        per_minute=3,
        burst=3,
        per_day=40,
        reach=14 * DAY,
        span=3 * DAY,
        usage_delay=12 * HOUR,
        quality_delay=6 * HOUR,
    )
    | _realtime("premium", per_minute=3, burst=3, per_day=480, reach=40 * MINUTE, delay=40),
)
ENTERPRISE = Plan(
    name="enterprise",
    limits=_call_inspector(
        "enterprise",
        per_second=10,
        per_day=10_000,
        reach=15 * DAY,
        spans=(24 * HOUR, 6 * HOUR),
        delays=(20, 100),
    )
    | _insights(
        "enterprise",
        per_minute=10,
        burst=8,
        per_day=60,
        reach=30 * DAY,
        span=7 * DAY,
        usage_delay=6 * HOUR,
        quality_delay=6 * HOUR,
    )
    | _realtime("enterprise", per_minute=10, burst=8, per_day=1_440, reach=60 * MINUTE, delay=20),
)

PLANS: Mapping[str, Plan] = {plan.name: plan for plan in (STANDARD, PREMIUM, ENTERPRISE)}


def plans_with(endpoint: str) -> str:
    """Return the names of the plans that include an endpoint, as a text: `premium or enterprise`."""
    return " or ".join(name for name, plan in PLANS.items() if endpoint in plan.limits)
