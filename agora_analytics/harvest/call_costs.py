"""What the calls of a time range will cost: how many there are still to visit, and the requests that they take."""

import math
from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.operations import LISTS, MAX_SIDS, METRICS, SESSIONS
from agora_analytics.agora.records import Call
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.pages import Page
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.harvest.units import window_of
from agora_analytics.harvest.work_plan import Unlisted, WorkPlan, is_too_recent

_PAGE = 100  # the most records of a page


@frozen(kw_only=True)
class CallCosts:
    """The calls to visit, and the requests of the harvest for each endpoint."""

    calls: int
    requests: Mapping[str, int]


async def call_costs(client: AsyncAgora, plan: WorkPlan, wanted: Window) -> CallCosts:
    """Return what a harvest of calls will cost. Spends list requests, for windows that are not listed yet: see `estimate`.

    Raises:
        AgoraAnalyticsError: what the list requests meet.
    """
    reach = client.reach(LISTS)
    listed_again = len(plan.reopened(wanted, reach))
    count = _Count(client, plan)
    for part in plan.unlisted(wanted):
        await count.look(part)
    latest = {call.call_id: call for call in (*plan.due(wanted), *plan.going_on(wanted, reach))}
    latest |= {call_id: call for call_id, call in count.found.items() if not plan.is_done(call)}
    visits = [call for call in latest.values() if not is_too_recent(call, client.reach(METRICS))]
    alike = [call for call in visits if call.call_id in count.found] or visits

    def all_of(cost: Callable[[Call], int]) -> int:
        others = count.unseen * sum(map(cost, alike)) / len(alike) if alike else count.unseen
        return math.ceil(sum(map(cost, visits)) + others)

    price = _Price(client, plan)
    return CallCosts(
        calls=len(visits) + count.unseen,
        requests={
            LISTS.name: listed_again + count.pages,
            SESSIONS.name: all_of(price.sessions),
            METRICS.name: all_of(price.metrics),
        },
    )


@define
class _Count:
    """Counts the calls of windows that are not listed yet, each once, from one page of each.

    Attributes:
        found: the calls that were seen, by call id.
        pages: the list requests that these windows take.
    """

    client: AsyncAgora
    plan: WorkPlan
    found: dict[str, Call] = field(factory=dict)
    pages: int = 0
    _counted: int = 0

    @property
    def unseen(self) -> int:
        """Calls that are neither known nor seen."""
        return max(0, self._counted - len(self.found.keys() - self.plan.known.keys()))

    async def look(self, part: Unlisted) -> None:
        """Count the calls of a part."""
        hidden_before = False
        for window in split(part.window, self.client.limits(LISTS)):
            try:
                page = await self._first_page(window)
            except WindowOutOfReach:  # our clock was ahead
                return
            counted = _total(page)
            self._counted += max(0, counted - await self._counted_before(window, at_seam=hidden_before))
            self.found |= {call.call_id: call for call in page.records}
            self.pages += max(1, math.ceil(counted / _PAGE) - part.pages)
            hidden_before = counted > len(page.records)

    async def _counted_before(self, window: Window, *, at_seam: bool) -> int:
        """Return how many calls of a window are known, or were counted with the window before it."""
        end = self.client.reach(LISTS).end
        if not at_seam:
            met = self.plan.known | self.found
            return sum(window_of(call, end).intersection(window) is not None for call in met.values())
        known = sum(window.start <= call.created_ts <= window.end for call in self.plan.known.values())
        there = await self._first_page(Window(window.start, window.start))
        return known + _total(there) - sum(call.created_ts == window.start for call in there.records)

    async def _first_page(self, window: Window) -> Page[Call]:
        pages = self.client.calls(window.start, window.end + 1).pages()
        try:
            return await anext(pages)
        finally:
            await pages.aclose()


@frozen
class _Price:
    """The requests that a call takes, without those whose answers an interrupted visit has brought."""

    client: AsyncAgora
    plan: WorkPlan

    def sessions(self, call: Call) -> int:
        """Return the requests for sessions."""
        brought = self._goes_on_with(call) and call.call_id in self.plan.units.pending["sessions"]
        return 0 if brought else self._requests(call, _PAGE)

    def metrics(self, call: Call) -> int:
        """Return the requests for metrics."""
        brought = self.plan.pending_metrics(call.call_id) if self._goes_on_with(call) else ()
        return max(0, self._requests(call, MAX_SIDS) - len(brought))

    def _goes_on_with(self, call: Call) -> bool:
        return call.finished and call.call_id not in self.plan.units.pending["calls"]

    def _requests(self, call: Call, at_once: int) -> int:
        """Return the requests of a call that ask for so many sessions at once."""
        reach, limits = self.client.reach(METRICS), self.client.limits(METRICS)
        whole = window_of(call, reach.end)
        stored = self.plan.stored.get(call.call_id)
        since = whole.start if stored is None else min(max(whole.start, stored.destroyed_ts), whole.end)
        windows = split(Window(since, whole.end), limits)
        users = call.call_acu or 1
        staying = (
            users if call.call_pcu is None else call.call_pcu
        )  # the most that two windows have in common
        in_each = min(users, math.ceil((users + (len(windows) - 1) * staying) / len(windows)))
        in_reach = sum(window.intersection(reach) is not None for window in windows)
        return in_reach * max(1, math.ceil(in_each / at_once))


def _total(page: Page[Call]) -> int:
    return page.meta.total or len(page.records)
