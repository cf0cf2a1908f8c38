"""The harvest of Agora's calls: lists the calls of a time range and fetches each."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING

from attrs import define

from agora_analytics.agora import arrow
from agora_analytics.agora.operations import LISTS
from agora_analytics.agora.records import Call
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.pages import Page
from agora_analytics.errors import InvalidRequest, QuotaExhausted, WindowOutOfReach
from agora_analytics.harvest.call_fetcher import CallFetcher
from agora_analytics.harvest.report import HarvestObserver, HarvestReport
from agora_analytics.harvest.unit_runner import Unit, UnitRunner
from agora_analytics.harvest.work_plan import ListingTask, WorkPlan, calls_from_rows
from agora_analytics.store import Store

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

MAX_CONCURRENT_CALLS = 32


async def harvest_calls(
    client: "AsyncAgora", store: Store, window: Window, observer: HarvestObserver | None
) -> HarvestReport:
    """Store every call that was active at any time in a window, with its sessions and samples."""
    runner = UnitRunner(client, observer, concurrency=MAX_CONCURRENT_CALLS)
    plan = await asyncio.to_thread(WorkPlan.read, store, client.settings.app_id)
    runner.counts.known_before = plan.count_complete(window)
    fetcher = CallFetcher(client, store, plan, runner.emit)
    lister = _CallLister(client, store, plan, runner, window)

    async def units() -> AsyncGenerator[list[Unit], None]:
        async for calls in lister.calls():
            yield [Unit(name=call.call_id, run=partial(fetcher.fetch, call)) for call in calls]

    await runner.run(units())
    return runner.report(lister.window)


@define
class _CallLister:
    """Lists the calls to fetch, and commits every page of a listing before its calls are used.

    Attributes:
        window: the time range to harvest; shortened while listing if the local clock turns out to be ahead.
    """

    client: "AsyncAgora"
    store: Store
    plan: WorkPlan
    runner: UnitRunner
    window: Window

    async def calls(self) -> AsyncGenerator[list[Call], None]:
        """Yield the calls to fetch in batches, those that an earlier run listed first."""
        tasks = self.plan.listing_tasks(self.window)
        yield await self._relist_ongoing()
        yield self.plan.due_calls(self.window)
        for task in tasks:
            parts = [task.window] if task.resume else split(task.window, self.client.limits(LISTS))
            for part in parts:
                async for page in self._list_window(ListingTask(part, task.pages, task.resume)):
                    reach = self.client.reach(LISTS)
                    yield [
                        call
                        for call in page.records
                        if not (self.plan.is_complete(call) or self.plan.has_recent_snapshot(call, reach))
                    ]

    async def _relist_ongoing(self) -> list[Call]:
        """Return the current state of calls that were ongoing when listed, as far as the daily quota allows."""
        updated: dict[str, Call] = {}
        try:
            for part in self.plan.windows_to_relist(self.window, self.client.reach(LISTS)):
                with suppress(WindowOutOfReach):  # it left the retention while this loop ran
                    calls = await self.client.calls(part.start, part.end + 1).collect()
                    updated |= {call.call_id: call for call in calls if call.call_id in self.plan.listed}
                    self.plan.add_calls(calls)
        except QuotaExhausted as error:  # the quotas of sessions and metrics may still allow known calls
            self.runner.stop_listing(error)
        return [call for call in updated.values() if not self.plan.is_complete(call)]

    async def _list_window(self, task: ListingTask) -> AsyncGenerator[Page[Call], None]:
        """List a window page by page, starting after the last committed page.

        Pages are ordered from newest to oldest. So the listing ends where the rest of the window is outside the
        retention.
        """
        window, seq, app_id = task.window, task.pages, self.client.settings.app_id
        started = asyncio.get_running_loop().time()
        try:
            try:
                listing = self.client.calls(window.start, window.end + 1, resume=task.resume or None)
            except InvalidRequest:
                if not task.resume:
                    raise
                # Another version wrote the token, so the window is listed again.
                await asyncio.to_thread(self.store.remove_listing, app_id, window.start, window.end)
                listing, seq = self.client.calls(window.start, window.end + 1), 0
            async with aclosing(listing.pages()) as pages:
                async for page in pages:
                    if seq == 0:
                        listed = self._listed_part(window, started, page)
                        if listed != window and page.resume_token:  # its other pages are of the cut window
                            window = listed
                            break
                        window = listed
                    rows = arrow.calls_table(page.records)
                    await asyncio.to_thread(
                        self.store.put_listing,
                        *(app_id, window.start, window.end, seq, rows, page.resume_token),
                    )
                    seq += 1
                    self.plan.add_calls(calls_from_rows(rows))
                    yield page
            if seq == 0:
                async for page in self._list_window(ListingTask(window)):
                    yield page
        except WindowOutOfReach as error:
            if self.window.start > error.legal[1]:  # the local clock is ahead of the whole window
                raise
            self._end_window_at(error.legal[1])

    def _listed_part(self, window: Window, started: float, page: Page[Call]) -> Window:
        """Return the part of a window that the first page covers; the listing started at the loop's time `started`.

        The client learns the server's clock from its first response. If the local clock is ahead, the end of the
        window was still in the future, and must not be recorded as listed. Neither must what was cut off when the
        request was sent.
        """
        elapsed = asyncio.get_running_loop().time() - started
        end = self.client.reach(LISTS).end
        sent_end = window.end if page.meta.window is None else page.meta.window.end
        if window.end <= min(sent_end, end - math.floor(elapsed)):
            return window
        end = max(window.start, min(sent_end, end - math.ceil(elapsed)))
        self._end_window_at(end)
        return Window(window.start, end)

    def _end_window_at(self, end: int) -> None:
        self.window = Window(self.window.start, min(self.window.end, end))
