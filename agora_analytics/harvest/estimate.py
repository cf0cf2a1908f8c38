"""The cost of a harvest before it starts: the units to fetch, and the requests and seconds that they take."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attrs import define, evolve, field, frozen

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.operations import LISTS, METRICS, SESSIONS
from agora_analytics.agora.records import Call
from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.apsaravideo.spec import INTERACTION_METRICS
from agora_analytics.core.record import Record
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.engine import Quota
from agora_analytics.engine.pages import Page
from agora_analytics.engine.quota_reserve import reserving, usable
from agora_analytics.errors import AgoraAnalyticsError, WindowOutOfReach
from agora_analytics.harvest.call_costs import PAGE_SIZE, CallCosts
from agora_analytics.harvest.call_queue import quotas_left
from agora_analytics.harvest.call_value import ValueName, ValueRule, value_rule
from agora_analytics.harvest.job_order import Job, plan_spending
from agora_analytics.harvest.meetings import meeting_units, project_day_units
from agora_analytics.harvest.metric_days import metric_day_units, utc_days
from agora_analytics.harvest.points import PointsUnit, is_stored
from agora_analytics.harvest.report import CallSkipped
from agora_analytics.harvest.run import HarvestClient, HarvestStore, check_reserve, writer_of
from agora_analytics.harvest.units import call_window
from agora_analytics.harvest.work_plan import ListingTask, WorkPlan, is_too_recent
from agora_analytics.instants import Instant
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.opentok.spec import PROJECT_DATA, SESSION_DATA
from agora_analytics.store import Units, open_existing
from agora_analytics.store.harvest_writer import HarvestWriter


@frozen(kw_only=True)
class Estimate(Record):
    """The cost of a harvest of `window`.

    Attributes:
        window: the part of the requested time range that would be harvested.
        calls: calls to fetch; for other vendors: meetings and project days, or days of a metric.
        known: those that are in the store already and cost nothing.
        requests: requests by endpoint, without retries. `estimate` documents which numbers are exact.
        quotas: the daily quota left by endpoint, after the requests that this estimate has sent.
        seconds: duration at the vendor's rate limits, if the quota lasts.
        skipped: what cannot be listed, with the reason; the harvest will skip it too.
        lost: about how many of the calls leave the plan's reach before the daily quota can pay for them.
        lost_value: the share of the value of all calls to fetch that is lost with them.
    """

    window: Window
    calls: int
    known: int
    requests: Mapping[str, int]
    quotas: Mapping[str, Quota]
    seconds: float
    skipped: Sequence[CallSkipped] = ()
    lost: int = 0
    lost_value: float = 0.0

    _IN_JSON = ("enough",)

    @property
    def enough(self) -> bool:
        """True if the daily quota that is left suffices, or the vendor has no daily quota."""
        return all(
            count <= self.quotas[name].left or not self.quotas[name].daily
            for name, count in self.requests.items()
        )


async def estimate(
    client: HarvestClient,
    *,
    since: Instant,
    until: Instant = "now",
    store: HarvestStore | None = None,
    reserve: int = 0,
    value: ValueName | ValueRule = "calls",
) -> Estimate:
    """Return the cost of a harvest: requests by endpoint, and their duration. Nothing is stored.

    - `AsyncAgora`: sends one list request for each window that is not listed in the store. It sends another one for
      each boundary between two such windows if the first page does not show all calls of the earlier window. The
      number of calls is the server's count, plus the calls in the store, without duplicates. Requests for sessions
      and metrics are calculated for the calls on those pages, and extrapolated to the others. For a call within one
      window this is the minimum. For longer calls it is the maximum if users join evenly (or stay for the whole call,
      where the server does not report the peak number of users). An ongoing call counts from the end of its snapshot.
    - `AsyncApsaraVideo`: sends nothing. The numbers are exact: one request for each metric and UTC day.
    - `AsyncOpenTok`: lists the session summaries, one request for each 1,000 sessions, which the harvest repeats. The
      numbers of meetings, of days and of the requests for days are exact. A meeting counts as one request, the minimum:
      one of more than an hour, or with more than 125 streams sent or received, takes more.

    Args:
        client: the client of the harvest.
        since: as for `harvest`.
        until: as for `harvest`.
        store: data in it costs nothing; a folder that does not exist counts as empty.
        reserve: as for `harvest`; the quotas that are left and `lost` are without these requests.
        value: as for `harvest`.

    Raises:
        AgoraAnalyticsError: as `harvest`.

    Example:
        cost = await estimate(client, since="1d")
        print(cost.calls, cost.requests, cost.enough)
    """
    rule = value_rule(value)
    check_reserve(client, reserve)
    opened = await asyncio.to_thread(_open_existing, store)
    match client:
        case AsyncAgora():
            with reserving(reserve):
                return await _estimate_calls(client, client.legal_window(LISTS, since, until), opened, rule)
        case AsyncApsaraVideo():
            return await _estimate_metric_days(client, utc_days(client, since, until), opened)
        case AsyncOpenTok():
            return await _estimate_meetings(client, client.window(since, until), opened)


def _open_existing(store: HarvestStore | None) -> HarvestWriter | None:
    if isinstance(store, str | Path):
        store = open_existing(store)
    return None if store is None else writer_of(store)


async def _estimate(
    client: HarvestClient,
    window: Window,
    *,
    calls: int,
    known: int,
    requests: Mapping[str, int],
    in_parallel: bool = False,
    skipped: Sequence[CallSkipped] = (),
    lost: int = 0,
    lost_value: float = 0.0,
) -> Estimate:
    """Return an estimate with the quotas of the client, and the seconds that the requests take at its rate limits."""
    quotas = {
        quota.endpoint: evolve(quota, per_day=usable(quota.per_day)) if quota.endpoint in requests else quota
        for quota in await client.quota()
    }
    seconds = [count * quotas[name].period / quotas[name].requests for name, count in requests.items()]
    return Estimate(
        window=window,
        calls=calls,
        known=known,
        requests=requests,
        quotas=quotas,
        seconds=max(seconds) if in_parallel else sum(seconds),
        skipped=tuple(skipped),
        lost=lost,
        lost_value=lost_value,
    )


async def _estimate_metric_days(
    client: AsyncApsaraVideo, days: Sequence[Window], store: HarvestWriter | None
) -> Estimate:
    stored = Units() if store is None else await asyncio.to_thread(store.units, client.app_id)
    units = [unit async for unit in metric_day_units(client, days, stored.pending["points"])]
    calls, known = _count_units(units, stored)
    window = Window(days[0].start, days[-1].end)
    return await _estimate(client, window, calls=calls, known=known, requests={INTERACTION_METRICS: calls})


async def _estimate_meetings(client: AsyncOpenTok, window: Window, store: HarvestWriter | None) -> Estimate:
    skipped: list[CallSkipped] = []

    def skip(name: str, error: AgoraAnalyticsError) -> None:
        skipped.append(CallSkipped(call_id=name, reason=str(error)))

    stored = Units() if store is None else await asyncio.to_thread(store.units, client.project_id)
    incomplete_units = stored.pending["points"]
    sent_before = client.sent.get(SESSION_DATA, 0)
    units = [unit async for unit in meeting_units(client, window, skip, incomplete_units)]
    listing = client.sent.get(SESSION_DATA, 0) - sent_before
    meetings, known_meetings = _count_units(units, stored)
    days, known_days = _count_units(project_day_units(client, window, incomplete_units), stored)
    return await _estimate(
        client,
        window,
        calls=meetings + days,
        known=known_meetings + known_days,
        requests={SESSION_DATA: listing + meetings, PROJECT_DATA: days},
        skipped=skipped,
    )


def _count_units(units: Iterable[PointsUnit], stored: Units) -> tuple[int, int]:
    """Return the number of units to fetch, and of those that are stored."""
    by_name = {unit.name: unit for unit in units}
    known = sum(is_stored(unit, stored) for unit in by_name.values())
    return len(by_name) - known, known


# ---- the calls of Agora


async def _estimate_calls(
    client: AsyncAgora, window: Window, store: HarvestWriter | None, value: ValueRule
) -> Estimate:
    app_id = client.settings.app_id
    plan = WorkPlan() if store is None else await asyncio.to_thread(WorkPlan.read, store, app_id)
    reach = client.reach(LISTS)
    relist_requests = len(plan.windows_to_relist(window, reach))
    counter = _CallCounter(client, plan)
    for task in plan.listing_tasks(window, reach):
        await counter.add_window(task)
    calls = {
        call.call_id: call for call in (*plan.due_calls(window, reach), *plan.ongoing_calls(window, reach))
    }
    calls |= {call_id: call for call_id, call in counter.seen.items() if not plan.is_complete(call)}
    due = [call for call in calls.values() if not is_too_recent(call, client.reach(METRICS))]
    sample = [call for call in due if call.call_id in counter.seen] or due

    def extrapolate(requests_of: Callable[[Call], int]) -> int:
        unseen = counter.unseen * sum(map(requests_of, sample)) / len(sample) if sample else counter.unseen
        return math.ceil(sum(map(requests_of, due)) + unseen)

    per_call = CallCosts(client, plan)
    requests = {
        LISTS.name: relist_requests + counter.pages,
        SESSIONS.name: extrapolate(per_call.sessions),
        METRICS.name: extrapolate(per_call.metrics),
    }
    lost, lost_value = await _lost(client, [per_call.job(call, value) for call in due], counter, due)
    return await _estimate(
        client,
        window,
        calls=len(due) + counter.unseen,
        known=plan.count_complete(window),
        requests=requests,
        in_parallel=True,  # each endpoint has a rate limit of its own
        lost=lost,
        lost_value=lost_value,
    )


async def _lost(
    client: AsyncAgora, jobs: Sequence[Job], counter: "_CallCounter", calls: Sequence[Call]
) -> tuple[int, float]:
    """Return how many calls the quotas cannot pay for in time, and their share of the value.

    A call on the first page of a window also stands for those on the other pages.
    """
    copies = [counter.copies.get(call.call_id, 1.0) for call in calls]
    weighted = [
        evolve(job, value=job.value * times, requests={name: n * times for name, n in job.requests.items()})
        for job, times in zip(jobs, copies, strict=True)
    ]
    quotas, midnight = await quotas_left(client)
    lost = plan_spending(weighted, quotas, midnight=midnight).lost
    value = sum(job.value for job in weighted)
    share = sum(weighted[place].value for place in lost) / value if value else 0.0
    return round(sum(copies[place] for place in lost)), share


@define
class _CallCounter:
    """Counts the calls of windows that are not listed yet, without duplicates, from the first page of each.

    `seen` are the calls on these pages, by call id; `pages` is the number of list requests that the windows take;
    `copies` is the number of calls of its window that each call on a page stands for.
    """

    client: AsyncAgora
    plan: WorkPlan
    seen: dict[str, Call] = field(factory=dict)
    pages: int = 0
    copies: dict[str, float] = field(factory=dict)
    _counted: int = 0

    @property
    def unseen(self) -> int:
        """The number of calls that are neither listed in the store nor on a page."""
        return max(0, self._counted - len(self.seen.keys() - self.plan.listed.keys()))

    async def add_window(self, task: ListingTask) -> None:
        """Count the calls of a listing task."""
        previous_was_partial = False
        for window in split(task.window, self.client.limits(LISTS)):
            try:
                page = await self._first_page(window)
            except WindowOutOfReach:  # the local clock is ahead
                return
            total = _total(page)
            duplicates = await self._counted_before(window, at_boundary=previous_was_partial)
            self._counted += max(0, total - duplicates)
            self.copies |= {call.call_id: max(1.0, total / len(page.records)) for call in page.records}
            self.seen |= {call.call_id: call for call in page.records}
            self.pages += max(1, math.ceil(total / PAGE_SIZE) - task.pages)
            previous_was_partial = total > len(page.records)

    async def _counted_before(self, window: Window, *, at_boundary: bool) -> int:
        """Return how many calls of a window are listed in the store, or were counted with the previous window."""
        end = self.client.reach(LISTS).end
        if not at_boundary:
            counted = self.plan.listed | self.seen
            return sum(call_window(call, end).intersection(window) is not None for call in counted.values())
        listed = sum(window.start <= call.created_ts <= window.end for call in self.plan.listed.values())
        boundary = await self._first_page(Window(window.start, window.start))
        return listed + _total(boundary) - sum(call.created_ts == window.start for call in boundary.records)

    async def _first_page(self, window: Window) -> Page[Call]:
        pages = self.client.calls(window.start, window.end + 1).pages()
        try:
            return await anext(pages)
        finally:
            await pages.aclose()


def _total(page: Page[Call]) -> int:
    return page.meta.total or len(page.records)
