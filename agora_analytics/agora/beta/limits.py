"""The limits of each endpoint of the 2021 beta API: one table for all accounts, because it has no plans.

Source of every row: "Agora Analytics RESTful API (Beta)" of 2021-03-11, the tables "API limitations"
("Agora Analytics RESTful API (Beta)", 2021). Limits that it does not print are None, or as wide as the reach.
"""

from collections.abc import Mapping
from typing import Any

from agora_analytics.agora import plans
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
"""Calls of a list."""
MOST_USERS = 10
"""Users in the details of a call: those who joined last."""
MOST_DIAGNOSES = 10
"""Messages in a diagnosis."""

_PAGE = "Agora Analytics RESTful API (Beta), 2021-03-11"


def _limits(section: str, endpoint: str, **numbers: Any) -> Limits:
    """Return a row of the table; most endpoints accept a request a second and 1,000 a day."""
    defaults = {"requests": 1, "per_day": 1_000, "span": None}
    # The same gateway as today's API counts them.
    source = f"{_PAGE}; windows as in agora.plans; {section}, API limitations, {endpoint}"
    return Limits(**defaults | numbers, windows="fixed", source=source)


LIMITS: Mapping[str, Limits] = {
    CALL_LISTS: _limits("Call Search", CALL_LISTS, requests=3, reach=3 * DAY, delay=20),
    CALL_DETAILS: _limits("Call Search", CALL_DETAILS, reach=3 * DAY, span=3 * HOUR, delay=150),
    # "calculating data for the previous day, closing at 08:00 UTC"
    # Two attempts: six would spend most of the day.
    INSIGHT_USAGE: _limits(
        "Data Insight", INSIGHT_USAGE, period=MINUTE, per_day=10, attempts=2, reach=7 * DAY, delay=8 * HOUR
    ),
    # "60 s ~ 120 s" late: younger data may be incomplete.
    **{
        name: _limits("Realtime", name, reach=HOUR, span=HOUR, delay=2 * MINUTE)
        for name in (LIVE_SCALE, LIVE_EXPERIENCE, LIVE_NET, LIVE_DIAGNOSIS)
    },
}

SHARED_BUDGETS: Mapping[str, str] = {
    CALL_LISTS: plans.CALL_LISTS,
    INSIGHT_USAGE: plans.INSIGHT_USAGE,
}
"""The endpoints whose path today's API has too. The server counts by account and path, so both clients share a budget.

Each client stays within its own limits, counting the requests of both.
"""
