"""The requests that a call takes, calculated from its row in the listing, and its job in a harvest's queue."""

import math
from collections import Counter
from typing import TYPE_CHECKING

from attrs import frozen

from agora_analytics.agora.operations import MAX_SIDS, METRICS, SESSIONS
from agora_analytics.agora.records import Call
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.windows import Window, split
from agora_analytics.harvest.call_value import ValueRule
from agora_analytics.harvest.job_order import Job
from agora_analytics.harvest.units import call_window
from agora_analytics.harvest.work_plan import REACH_MARGIN, WorkPlan

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

PAGE_SIZE = 100
STAGES: tuple[Endpoint, Endpoint] = (SESSIONS, METRICS)
"""The endpoints of a call, in the order in which a harvest needs them."""


def budget_names(client: "AsyncAgora") -> tuple[str, str]:
    """Return the budgets of the stages; they are the same if the account's quota is read as a shared one."""
    sessions, metrics = (client._engine.budget_name(endpoint) for endpoint in STAGES)  # noqa: SLF001 - same package
    return sessions, metrics


@frozen
class CallCosts:
    """Calculates the requests that a call takes, without those that an interrupted run has already sent."""

    client: "AsyncAgora"
    plan: WorkPlan

    def sessions(self, call: Call) -> int:
        """Return the number of session requests."""
        fetched = self._keeps_pending(call) and self.plan.has_unit("sessions", call, pending=True)
        return 0 if fetched else self._requests(call, PAGE_SIZE)

    def metrics(self, call: Call) -> int:
        """Return the number of metrics requests."""
        fetched = self.plan.metrics_of(call, pending=True) if self._keeps_pending(call) else ()
        return max(0, self._requests(call, MAX_SIDS) - len(fetched))

    def _keeps_pending(self, call: Call) -> bool:
        return call.finished and not self.plan.has_unit("calls", call, pending=True)

    def _requests(self, call: Call, batch_size: int) -> int:
        """Return the number of requests if each covers `batch_size` sessions of one window."""
        reach, limits = self.client.reach(METRICS), self.client.limits(METRICS)
        whole = call_window(call, reach.end)
        stored = self.plan.stored.get(call.call_id)
        since = whole.start if stored is None else min(max(whole.start, stored.destroyed_ts), whole.end)
        windows = split(Window(since, whole.end), limits)
        users = call.call_acu or 1
        in_two_windows = users if call.call_pcu is None else call.call_pcu  # the most at any window boundary
        in_each = min(users, math.ceil((users + (len(windows) - 1) * in_two_windows) / len(windows)))
        in_reach = sum(window.intersection(reach) is not None for window in windows)
        return in_reach * max(1, math.ceil(in_each / batch_size))

    def job(self, call: Call, value: ValueRule) -> Job:
        """Return the cost, the value and the expiry of a call, without the part of it that is stored or has expired."""
        stored = self.plan.stored.get(call.call_id)
        since = max(call.created_ts, stored.destroyed_ts if stored else call.created_ts)
        reach = min(self.client.limits(endpoint).reach for endpoint in STAGES)
        requests = Counter[str]()
        for budget, count in zip(
            budget_names(self.client), (self.sessions(call), self.metrics(call)), strict=True
        ):
            requests[budget] += count
        return Job(
            requests=requests,
            value=value(call),
            expires_at=since + reach - REACH_MARGIN,
        )
