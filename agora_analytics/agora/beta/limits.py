"""The limits of each endpoint of the 2021 beta API: one table for all accounts, because it has no plans.

Source of every row: "Agora Analytics RESTful API (Beta)" of 2021-03-11, the tables "API limitations"
(`reference/sources/001`). Limits that it does not print are None, or as wide as the reach.
"""

from collections.abc import Mapping

from agora_analytics.core.limits import Limits

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR

CALL_LISTS = "beta/call/lists"
CALL_DETAILS = "beta/call/details"
INSIGHT_USAGE = "beta/insight/usage/by_time"
LIVE_SCALE = "beta/live/scale/by_time"
LIVE_EXPERIENCE = "beta/live/experience/by_time"
LIVE_NET = "beta/live/net/by_time"
LIVE_DIAGNOSIS = "beta/live/diagnosis"

MOST_CALLS = 10
"""Calls in a list: the newest."""
MOST_USERS = 10
"""Users in the details of a call: those who joined last."""
MOST_DIAGNOSES = 10
"""Messages in a diagnosis."""

_PAGE = "Agora Analytics RESTful API (Beta), 2021-03-11"


def _live(endpoint: str) -> Limits:
    # "60 s ~ 120 s" late: younger data may be incomplete.
    return Limits(
        requests=1,
        per_day=1_000,
        reach=HOUR,
        span=HOUR,
        delay=2 * MINUTE,
        source=f"{_PAGE}, Realtime, API limitations, {endpoint}",
    )


LIMITS: Mapping[str, Limits] = {
    CALL_LISTS: Limits(
        requests=3,
        per_day=1_000,
        reach=3 * DAY,
        span=None,
        delay=20,
        source=f"{_PAGE}, Call Search, API limitations, {CALL_LISTS}",
    ),
    CALL_DETAILS: Limits(
        requests=1,
        per_day=1_000,
        reach=3 * DAY,
        span=3 * HOUR,
        delay=150,
        source=f"{_PAGE}, Call Search, API limitations, {CALL_DETAILS}",
    ),
    INSIGHT_USAGE: Limits(
        requests=1,
        period=MINUTE,
        per_day=10,
        reach=7 * DAY,
        span=None,
        delay=8 * HOUR,  # "calculating data for the previous day, closing at 08:00 UTC"
        source=f"{_PAGE}, Data Insight, API limitations, {INSIGHT_USAGE}",
    ),
    **{name: _live(name) for name in (LIVE_SCALE, LIVE_EXPERIENCE, LIVE_NET, LIVE_DIAGNOSIS)},
}
