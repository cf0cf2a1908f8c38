"""The order in which a harvest fetches calls: for the pace if the daily quota suffices, otherwise for the value. Pure.

If the quota suffices, sessions and metrics are the two stages of a flow shop, and Johnson's rule keeps the metrics
endpoint busy: first the calls that take more metrics requests than session requests, those with few session requests
first; then the others, those with many metrics requests first.

If it does not, each day's quota pays for some calls before their data leaves the plan's reach. Calls are kept in the
order of their value per request, as long as every kept call can still be paid for before its data leaves the reach.
For calls of equal cost this is the optimum. The kept calls are fetched in the order in which their data leaves the reach.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

from attrs import define, frozen

from agora_analytics.instants import DAY

RUN_AFTER_MIDNIGHT = 3_600
"""Seconds after midnight UTC, when a new quota opens, until a later run is expected to have fetched what expires next."""


@frozen(kw_only=True)
class Job:
    """The cost and the value of a call.

    Attributes:
        requests: the requests that it takes, by budget: an endpoint, or several that share a quota.
        value: what it is worth, relative to other calls.
        expires_at: when its data begins to leave the plan's reach, in UTC epoch seconds.
    """

    requests: Mapping[str, float]
    value: float
    expires_at: float


FREE_JOB = Job(requests={}, value=1.0, expires_at=math.inf)
"""A job without a known cost, for queues that do not look at it."""


@frozen(kw_only=True)
class DailyQuota:
    """The requests of a budget that may still be sent today, and on each later day."""

    today: int
    later: int


@frozen
class Spending:
    """The jobs that the quotas can pay for in time, in the order to fetch them, and those that they cannot.

    Both have the positions of the jobs. The jobs that will be lost are in the order of their value per request.
    """

    kept: Sequence[int]
    lost: Sequence[int]


def total_requests(jobs: Sequence[Job], budget: str) -> float:
    """Return the requests that jobs take of a budget."""
    return sum(job.requests.get(budget, 0) for job in jobs)


def order_for_pace(jobs: Sequence[Job], stages: tuple[str, str], *, urgent_before: float) -> list[int]:
    """Return the positions of the jobs in the order that keeps both endpoints busy.

    Jobs whose data expires before `urgent_before` come first.
    """

    def key(place: int) -> tuple[float, bool, float, float]:
        job = jobs[place]
        first, second = (job.requests.get(stage, 0) for stage in stages)
        expiry = job.expires_at if job.expires_at < urgent_before else math.inf
        return (expiry, False, first, -second) if second > first else (expiry, True, -second, first)

    return sorted(range(len(jobs)), key=key)


def plan_spending(jobs: Sequence[Job], quotas: Mapping[str, DailyQuota], *, midnight: float) -> Spending:
    """Choose the jobs of the highest value among those that the quotas can pay for before their data expires.

    `midnight` is when the quota of the next day opens, in UTC epoch seconds.
    """
    days = [_last_day(job, midnight) for job in jobs]
    horizon = max(days, default=0) + 1
    budgets = {name: _Budget.over(quota, horizon) for name, quota in quotas.items()}
    scarce = [name for name in budgets if budgets[name].is_exceeded(jobs, days, name)]

    def value_of_share(place: int) -> float:
        share = sum(jobs[place].requests.get(name, 0) / max(1, quotas[name].later) for name in scarce)
        return jobs[place].value / share if share else math.inf

    kept, lost = list[int](), list[int]()
    for place in sorted(range(len(jobs)), key=lambda place: (-value_of_share(place), jobs[place].expires_at)):
        needed = [(budgets[name], jobs[place].requests.get(name, 0)) for name in scarce]
        if all(budget.has_room(days[place], count) for budget, count in needed):
            for budget, count in needed:
                budget.spend(days[place], count)
            kept.append(place)
        else:
            lost.append(place)
    return Spending(sorted(kept, key=lambda place: jobs[place].expires_at), lost)


def _last_day(job: Job, midnight: float) -> int:
    """Return the last day that can pay for a job; 0 is today."""
    return max(0, math.floor((job.expires_at - RUN_AFTER_MIDNIGHT - midnight) / DAY) + 1)


@define
class _Budget:
    """The requests that are still free until the end of each day."""

    free: list[float]

    @classmethod
    def over(cls, quota: DailyQuota, days: int) -> "_Budget":
        """Return the requests of a quota over so many days."""
        return cls([quota.today + day * quota.later for day in range(days)])

    def is_exceeded(self, jobs: Sequence[Job], days: Sequence[int], name: str) -> bool:
        """Return whether all jobs together take more than the quota of some days."""
        demand = [0.0] * len(self.free)
        for job, day in zip(jobs, days, strict=True):
            demand[day] += job.requests.get(name, 0)
        return any(used > free for used, free in zip(accumulate(demand), self.free, strict=True))

    def has_room(self, day: int, count: float) -> bool:
        """Return whether so many requests are free until the end of a day."""
        return all(count <= free for free in self.free[day:])

    def spend(self, day: int, count: float) -> None:
        """Use requests until the end of a day."""
        for later in range(day, len(self.free)):
            self.free[later] -= count
