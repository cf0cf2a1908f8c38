"""The calls that wait to be fetched, in an order that suits the quota that is left."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from agora_analytics.engine.quota_reserve import usable
from agora_analytics.harvest.call_costs import STAGES, budget_names
from agora_analytics.harvest.job_order import (
    RUN_AFTER_MIDNIGHT,
    DailyQuota,
    order_for_pace,
    plan_spending,
    total_requests,
)
from agora_analytics.harvest.unit_runner import Unit

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

_SHARE_BEFORE_LISTED = 1 / 200  # of today's quota
_SURELY_ENOUGH = 2  # times the expected requests
_GROWTH = 1.1  # times as many calls as in the current order


@define(eq=False)
class CallQueue:
    """A queue of calls. The order is that of `job_order`, and is renewed while the listing finds more calls.

    The choice of the most valuable calls needs all of them. If the quota may not suffice, only a small share of it is
    spent before the listing ends.

    Attributes:
        listed: the share of the time range that is listed, 0 to 1; set by the listing before it adds calls.
    """

    client: "AsyncAgora"
    listed: float = 0.0
    _new: list[Unit] = field(factory=list, init=False)
    _ordered: list[Unit] = field(factory=list, init=False)  # the next one is the last
    _is_outdated: bool = field(default=False, init=False)
    _is_closed: bool = field(default=False, init=False)
    _known: Counter[str] = field(factory=Counter, init=False)  # the requests of all calls that were added
    _taken: Counter[str] = field(factory=Counter, init=False)  # those of the calls that were returned
    _sent_before: Counter[str] | None = field(default=None, init=False)
    _left_before: Mapping[str, int] = field(factory=dict, init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def put(self, units: Sequence[Unit]) -> None:
        """Add calls."""
        self._new += units
        for unit in units:
            self._known.update(unit.job.requests)
        self._is_outdated |= len(self._new) > (_GROWTH - 1) * len(self._ordered)
        self._changed.set()

    async def close(self) -> None:
        """End the listing: no more calls are added."""
        self._is_closed = self._is_outdated = True
        self._changed.set()

    async def get(self) -> Unit | None:
        """Return the next call to fetch, once it may be chosen; None after the last one."""
        while True:
            if self._is_outdated:
                await self._renew_order()
            if self._ordered and self._may_take(self._ordered[-1]):
                unit = self._ordered.pop()
                self._taken.update(unit.job.requests)
                self._is_outdated |= bool(self._new) and not self._ordered
                return unit
            if self._is_closed and not self._ordered:
                return None
            if not self._is_outdated:
                self._changed.clear()
                await self._changed.wait()

    async def _renew_order(self) -> None:
        quotas, midnight = await self._quotas()
        self._is_outdated = False
        units = self._ordered + self._new
        self._new = []
        jobs = [unit.job for unit in units]
        if all(total_requests(jobs, name) <= quota.today for name, quota in quotas.items()):
            order = order_for_pace(
                jobs, budget_names(self.client), urgent_before=midnight + RUN_AFTER_MIDNIGHT
            )
        else:
            spending = await asyncio.to_thread(plan_spending, jobs, quotas, midnight=midnight)
            order = [*spending.kept, *spending.lost]
        self._ordered = [units[place] for place in reversed(order)]

    async def _quotas(self) -> tuple[dict[str, DailyQuota], float]:
        """Return `quotas_left` without the requests of calls that are being fetched."""
        left, midnight = await quotas_left(self.client)
        if self._sent_before is None:
            self._sent_before = self._sent()
            self._left_before = {name: quota.today for name, quota in left.items()}
        quotas = dict[str, DailyQuota]()
        for name, quota in left.items():
            sent = self._sent()[name] - self._sent_before[name]
            in_progress = max(0, self._taken[name] - sent)
            quotas[name] = DailyQuota(today=max(0, quota.today - in_progress), later=quota.later)
        return quotas, midnight

    def _sent(self) -> Counter[str]:
        """Return the requests that the client has sent, by budget."""
        sent = Counter[str]()
        for endpoint, budget in zip(STAGES, budget_names(self.client), strict=True):
            sent[budget] += self.client.sent.get(endpoint.name, 0)
        return sent

    def _may_take(self, unit: Unit) -> bool:
        """Return whether the choice of a call is final although more calls may be listed."""
        if self._is_closed:
            return True
        enough = few = True
        for name, left in self._left_before.items():
            enough &= _SURELY_ENOUGH * self._known[name] <= left * self.listed
            few &= self._taken[name] + unit.job.requests.get(name, 0) <= left * _SHARE_BEFORE_LISTED
        return enough or few


async def quotas_left(client: "AsyncAgora") -> tuple[dict[str, DailyQuota], float]:
    """Return the quotas of sessions and metrics, and when those of the next day open.

    Requests that are reserved for others are left out.
    """
    quotas = {quota.endpoint: quota for quota in await client.quota()}
    left = dict[str, DailyQuota]()
    for endpoint, budget in zip(STAGES, budget_names(client), strict=True):
        quota = quotas[endpoint.name]
        per_day = usable(quota.per_day)
        left[budget] = DailyQuota(today=0 if quota.closed else max(0, per_day - quota.spent), later=per_day)
    return left, quotas[STAGES[0].name].opens_at
