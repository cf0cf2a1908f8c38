"""The harvest of Agora's calls: lists the calls of a time range and fetches each."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from agora_analytics.agora import arrow
from agora_analytics.agora.operations import LISTS, METRICS, SESSIONS
from agora_analytics.agora.records import Call
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.pages import Meta, Page
from agora_analytics.errors import (
    DecodeError,
    IncompleteListing,
    InvalidRequest,
    QuotaExhausted,
    WindowOutOfReach,
)
from agora_analytics.harvest.call_costs import CallCosts
from agora_analytics.harvest.call_fetcher import CallFetcher
from agora_analytics.harvest.call_queue import CallQueue, quotas_left
from agora_analytics.harvest.call_value import ValueRule
from agora_analytics.harvest.job_order import plan_spending
from agora_analytics.harvest.repair import finish_repair, repair_and_read
from agora_analytics.harvest.report import HarvestObserver, HarvestReport
from agora_analytics.harvest.unit_runner import Unit, UnitRunner
from agora_analytics.harvest.unreadable_log import UnreadableLog
from agora_analytics.harvest.usable_records import split_calls
from agora_analytics.harvest.work_plan import ListingTask, WorkPlan, calls_from_rows
from agora_analytics.store import FileDamaged
from agora_analytics.store.harvest_writer import HarvestWriter

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.agora.client import AsyncAgora

MAX_CONCURRENT_CALLS = 64
_PAGE_UNIT = re.compile(r"listing\.(-?\d+)-(-?\d+)\.\d+")


async def harvest_calls(
    client: "AsyncAgora",
    store: HarvestWriter,
    window: Window,
    observer: HarvestObserver | None,
    *,
    verify: bool,
    value: ValueRule,
) -> HarvestReport:
    """Store every call that was active at any time in a window, with its sessions and samples."""
    runner = UnitRunner(client, observer, concurrency=MAX_CONCURRENT_CALLS)
    app_id = client.settings.app_id
    refetch_from = max(client.reach(endpoint).start for endpoint in (LISTS, SESSIONS, METRICS))
    repaired, plan = await repair_and_read(
        runner, store, app_id, partial(WorkPlan.read, store, app_id), refetch_from=refetch_from, verify=verify
    )
    plan.repaired = repaired
    for listing in plan.unusable:
        await asyncio.to_thread(store.remove_listing, app_id, listing.start, listing.end)
        path = f"_listing/app_id={app_id}/{listing.start}-{listing.end}.*.parquet"
        runner.emit(FileDamaged(path=path, reason="a value is out of range"))
    runner.counts.known_before = plan.count_complete(window)
    log = await runner.open_log(store, app_id)
    costs = CallCosts(client, plan)
    fetcher = CallFetcher(client, store, plan, runner.emit, log, costs)
    queue = CallQueue(client)
    lister = _CallLister(client, store, plan, runner, window, log, queue)

    async def units() -> AsyncGenerator[list[Unit], None]:
        async for calls in lister.calls():
            yield [
                Unit(name=call.call_id, run=partial(fetcher.fetch, call), job=costs.job(call, value))
                for call in calls
            ]

    await runner.run(units(), queue)
    runner.counts.lost = plan.count_lost(client.reach(METRICS))
    if runner.counts.left:
        jobs = [costs.job(call, value) for call in plan.due_calls(lister.window, client.reach(LISTS))]
        quotas, midnight = await quotas_left(client)
        runner.counts.expiring = len(plan_spending(jobs, quotas, midnight=midnight).lost)
    repaired_calls = evolve(repaired, points_days=frozenset())
    await finish_repair(runner, store, app_id, repaired_calls, refetch_from=refetch_from)
    return runner.report(lister.window)


@define
class _CallLister:
    """Lists the calls to fetch, and commits every page of a listing before its calls are used.

    Attributes:
        window: the time range to harvest; shortened while listing if the local clock turns out to be ahead.
        total: the calls of the window that is being listed, as the server counts them.
    """

    client: "AsyncAgora"
    store: HarvestWriter
    plan: WorkPlan
    runner: UnitRunner
    window: Window
    log: UnreadableLog
    queue: CallQueue
    total: int = field(default=0, init=False)

    async def calls(self) -> AsyncGenerator[list[Call], None]:
        """Yield the calls to fetch in batches, those that an earlier run listed first."""
        reach = self.client.reach(LISTS)
        parts = [
            ListingTask(part, task.pages, task.resume)
            for task in self.plan.listing_tasks(self.window, reach)
            for part in ([task.window] if task.resume else split(task.window, self.client.limits(LISTS)))
        ]
        seconds = sum(part.window.length + 1 for part in parts)
        self.queue.listed = 1 - seconds / max(seconds, self.window.length + 1)
        # finished calls do not change, so that they need not wait for the listing of the others
        yield [call for call in self.plan.due_calls(self.window, reach) if call.finished]
        async for calls in self._relist_ongoing():
            yield calls
        yield await self._relist_unreadable(reach)
        yield self.plan.due_calls(self.window, reach)
        for part in parts:
            before, seen = self.queue.listed, 0
            share = (part.window.length + 1) / max(seconds, self.window.length + 1)
            async for page in self._list_window(part):
                reach, seen = self.client.reach(LISTS), seen + len(page)
                self.queue.listed = before + share * min(1.0, seen / max(1, self.total))
                yield [
                    call
                    for call in page
                    if not (self.plan.is_complete(call) or self.plan.has_recent_snapshot(call, reach))
                ]
            self.queue.listed = before + share

    async def _relist_ongoing(self) -> AsyncGenerator[list[Call], None]:
        """Yield the current state of calls that were ongoing when listed, as far as the daily quota allows."""
        try:
            for part in self.plan.windows_to_relist(self.window, self.client.reach(LISTS)):
                with suppress(WindowOutOfReach):  # it left the retention while this loop ran
                    calls, _ = split_calls(await self.client.calls(part.start, part.end + 1).collect())
                    known = {call.call_id: call for call in calls if call.call_id in self.plan.listed}
                    self.plan.add_calls(calls)
                    yield [call for call in known.values() if not self.plan.is_complete(call)]
        except QuotaExhausted as error:  # the quotas of sessions and metrics may still allow known calls
            self.runner.stop_listing(error)
        except DecodeError as error:
            self.runner.skip("listing of ongoing calls", error)

    async def _relist_unreadable(self, reach: Window) -> list[Call]:
        """List the pages again that earlier runs could not read completely; return the calls that can be read now.

        Each page takes one request. Its calls are committed as listings of the second in which they began, which the
        listing of the page covers already.
        """
        found = dict[str, Call]()
        for unit, resume in sorted({(record.unit, record.resume) for record in self.log.of("listing.")}):
            match = _PAGE_UNIT.fullmatch(unit)
            if not match or not Window(int(match[1]), int(match[2])).intersection(reach):
                continue
            pages = self.client.calls(int(match[1]), int(match[2]) + 1, resume=resume or None).pages()
            try:
                page = await anext(pages)
            except (DecodeError, InvalidRequest):  # another version wrote the token, or it is out of reach
                continue
            except QuotaExhausted as error:
                self.runner.stop_listing(error)
                break
            finally:
                await pages.aclose()
            calls, skipped = split_calls(page.records)
            new = [call for call in calls if call.call_id not in self.plan.listed]
            for created_ts in sorted({call.created_ts for call in new}):
                rows = arrow.calls_table([[call for call in new if call.created_ts == created_ts]])
                await self._commit(Window(created_ts, created_ts), 0, rows, "")
            found |= {call.call_id: call for call in new}
            if not (page.skipped or skipped):
                await self.log.resolve(unit, whole=False)
        return list(found.values())

    async def _commit(self, window: Window, seq: int, rows: "pa.Table", resume: str) -> None:
        app_id = self.client.settings.app_id
        await asyncio.to_thread(self.store.put_listing, app_id, window.start, window.end, seq, rows, resume)
        self.plan.add_calls(calls_from_rows(rows))

    async def _list_window(self, task: ListingTask) -> AsyncGenerator[list[Call], None]:
        """List a window page by page, starting after the last committed page.

        Pages are ordered from newest to oldest. So the listing ends where the rest of the window is outside the
        retention. Only the calls that can be stored are committed and returned.
        """
        window = listed = task.window
        seq, token = task.pages, task.resume
        started = asyncio.get_running_loop().time()
        listing = self.client.calls(window.start, window.end + 1, resume=token or None)
        try:
            async with aclosing(listing.pages()) as pages:
                async for page in pages:
                    self.total = page.meta.total or len(page.records)
                    if seq == 0:
                        listed = self._listed_part(window, started, page.meta)
                        if listed != window and page.resume_token:  # its other pages are of the cut window
                            break
                    yield await self._commit_page(listed, seq, token, page)
                    seq, token = seq + 1, page.resume_token
                else:
                    return
        except WindowOutOfReach as error:
            if self.window.start > error.legal[1]:  # the local clock is ahead of the whole window
                raise
            self._end_window_at(error.legal[1])
            return
        except InvalidRequest:
            if not token or seq > task.pages:
                raise
            # Another version wrote the token, so the window is listed again.
            app_id = self.client.settings.app_id
            await asyncio.to_thread(self.store.remove_listing, app_id, window.start, window.end)
        except (DecodeError, IncompleteListing) as error:
            # not remembered as unreadable: the window is not listed, so every run must say that something is missing
            self.runner.skip(f"listing {window.start}-{window.end}", error)
            return
        async for calls in self._list_window(ListingTask(listed)):
            yield calls

    async def _commit_page(self, window: Window, seq: int, token: str, page: Page[Call]) -> list[Call]:
        """Commit the calls of a page that can be stored, note the others, and return the calls."""
        calls, skipped = split_calls(page.records)
        unit = f"listing.{window.start}-{window.end}.{seq}"
        await self.log.note(unit, (*page.skipped, *skipped), resume=token)
        await self._commit(window, seq, arrow.calls_table([calls]), page.resume_token)
        return calls

    def _listed_part(self, window: Window, started: float, meta: Meta) -> Window:
        """Return the part of a window that the first page covers; the listing started at the loop's time `started`.

        The client learns the server's clock from its first response. If the local clock is ahead, the end of the
        window was still in the future, and must not be recorded as listed. Neither must what was cut off when the
        request was sent.
        """
        elapsed = asyncio.get_running_loop().time() - started
        end, reach_end = window.end, self.client.reach(LISTS).end
        if meta.window is not None:
            end = min(end, meta.window.end)
        if end > reach_end - math.floor(elapsed):
            end = reach_end - math.ceil(elapsed)
        end = max(window.start, end)
        if end < window.end:
            self._end_window_at(end)
        return Window(window.start, end)

    def _end_window_at(self, end: int) -> None:
        self.window = Window(self.window.start, min(self.window.end, end))
