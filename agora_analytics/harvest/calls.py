"""The harvest of Agora: list the calls of a time range, visit each, and say what was done."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING

from agora_analytics.agora import arrow
from agora_analytics.agora.endpoints import LISTS
from agora_analytics.agora.records import Call
from agora_analytics.core.paging import Step, read_token, write_token
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.pages import Page
from agora_analytics.errors import AgoraAnalyticsError, QuotaExhausted, WindowOutOfReach
from agora_analytics.harvest.call_fetcher import CallFetcher
from agora_analytics.harvest.circuit_breaker import FATAL_ERRORS, CircuitBreaker, first_failure
from agora_analytics.harvest.events import CallsListed, HarvestEvent, HarvestObserver
from agora_analytics.harvest.report import Counts, HarvestReport
from agora_analytics.harvest.work_plan import ListingTask, WorkPlan, calls_from_rows
from agora_analytics.instants import Instant
from agora_analytics.store import Store

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

MAX_CONCURRENT_CALLS = 32
_QUEUE_SIZE = 1_000


async def harvest_calls(
    client: "AsyncAgora",
    *,
    since: Instant,
    until: Instant,
    store: Store,
    observer: HarvestObserver | None = None,
) -> HarvestReport:
    """Bring every call of a time range, its sessions and its samples, into a store.

    Calls that went on at some moment of `since <= t < until` are stored whole, as far as the plan reaches. A call that
    still goes on is stored as far as it went, and visited again by the next harvest.
    """
    return await _Harvest(client, store, client.legal_window(LISTS, since, until), observer).run()


class _Harvest:
    def __init__(
        self, client: "AsyncAgora", store: Store, wanted: Window, observer: HarvestObserver | None
    ) -> None:
        self._client = client
        self._store = store
        self._wanted = wanted
        self._observer = observer or (lambda _: None)
        self._counts = Counts()
        self._breaker = CircuitBreaker()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_CALLS)
        self._queue: asyncio.Queue[Call | None] = asyncio.Queue(_QUEUE_SIZE)

    async def run(self) -> HarvestReport:
        start, sent = asyncio.get_running_loop().time(), Counter(self._client.sent)
        self._plan = await asyncio.to_thread(WorkPlan.read, self._store, self._client.settings.app_id)
        self._fetcher = CallFetcher(self._client, self._store, self._plan, self._emit)
        self._counts.known_before = self._plan.count_complete(self._wanted)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._enqueue_calls())
                while call := await self._queue.get():
                    await self._slots.acquire()
                    group.create_task(self._run_call(call))
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None
        seconds = asyncio.get_running_loop().time() - start
        return self._counts.report(self._wanted, dict(Counter(self._client.sent) - sent), seconds)

    # ---- which calls

    async def _enqueue_calls(self) -> None:
        queued: set[str] = set()
        try:
            async for calls, more in self._calls():
                new = [call for call in calls if call.call_id not in queued]
                queued.update(call.call_id for call in new)
                self._emit(CallsListed(calls=self._counts.listed + len(new), more=more))
                for call in new:
                    await self._queue.put(call)
        except QuotaExhausted as error:
            self._stop_listing(error)
        self._emit(CallsListed(calls=self._counts.listed, more=False))
        await self._queue.put(None)

    def _stop_listing(self, error: QuotaExhausted) -> None:
        self._counts.listing_left = True
        self._counts.quota_spent(error.retry_at)

    async def _calls(self) -> AsyncGenerator[tuple[list[Call], bool], None]:
        """Give the calls to visit, a few at a time: first those that are known already."""
        unlisted = self._plan.listing_tasks(self._wanted)
        yield await self._relist_ongoing(), True
        yield self._plan.due_calls(self._wanted), bool(unlisted)
        for part in unlisted:
            windows = [part.window] if part.resume else split(part.window, self._client.limits(LISTS))
            for window in windows:
                async for page in self._list_window(ListingTask(window, part.pages, part.resume)):
                    reach = self._client.reach(LISTS)
                    yield (
                        [
                            call
                            for call in page.records
                            if not (self._plan.is_complete(call) or self._plan.was_just_seen(call, reach))
                        ],
                        True,
                    )

    async def _relist_ongoing(self) -> list[Call]:
        """Return the calls that went on when they were listed, as they are now: as many as the day's quota allows."""
        again: dict[str, Call] = {}
        try:
            for window in self._plan.windows_to_relist(self._wanted, self._client.reach(LISTS)):
                with suppress(WindowOutOfReach):  # it was when the harvest started
                    listed = await self._client.calls(window.start, window.end + 1).collect()
                    again |= {call.call_id: call for call in listed if call.call_id in self._plan.listed}
                    self._plan.add_calls(listed)
        except QuotaExhausted as error:  # sessions and metrics of known calls may be asked for still
            self._stop_listing(error)
        return [call for call in again.values() if not self._plan.is_complete(call)]

    async def _list_window(self, part: ListingTask) -> AsyncGenerator[Page[Call], None]:
        """List a window page by page, each committed before it is used, from where an earlier run stood.

        Ends where what is left is out of reach: pages come from the newest to the oldest, so nothing behind is in it.
        """
        window, seq, app_id = part.window, part.pages, self._client.settings.app_id
        started = asyncio.get_running_loop().time()
        try:
            resume = self._split_resume_token(part.resume) if part.resume else None
            listing = self._client.calls(window.start, window.end + 1, resume=resume)
            async for page in listing.pages():
                if seq == 0:
                    window = self._listed_part(window, started)
                rows = arrow.calls_table(page.records)
                await asyncio.to_thread(
                    self._store.put_listing, app_id, window.start, window.end, seq, rows, page.resume_token
                )
                seq += 1
                self._plan.add_calls(calls_from_rows(rows))
                yield page
        except WindowOutOfReach as error:
            if self._wanted.start > error.legal[1]:  # our clock is ahead of all of it
                raise
            self._limit_window(error.legal[1])

    def _split_resume_token(self, resume: str) -> str:
        """Return the token of what is left of a listing, in windows of this plan's span: another one may have begun it."""
        limits = self._client.limits(LISTS)
        steps = list[Step]()
        for step in read_token(resume):
            parts = split(step.window, limits)
            steps += [step] if len(parts) == 1 else [Step(part) for part in reversed(parts)]
        return write_token(steps)

    def _listed_part(self, window: Window, started: float) -> Window:
        """Return what of a window was asked for, given its first page and the loop's time when it was begun.

        That is less than all of it if our clock is ahead, which the first answer of a client tells; a window must not
        be kept as listed beyond the moment at which it was.
        """
        elapsed = asyncio.get_running_loop().time() - started
        end = self._client.reach(LISTS).end
        if window.end <= end - math.floor(elapsed):
            return window
        end = max(window.start, end - math.ceil(elapsed))
        self._limit_window(end)
        return Window(window.start, end)

    def _limit_window(self, end: int) -> None:
        """Leave out of the wanted range what has not come yet, though our clock said so."""
        self._wanted = Window(self._wanted.start, min(self._wanted.end, end))

    # ---- each call

    async def _run_call(self, call: Call) -> None:
        try:
            if not await self._fetcher.fetch(call):
                self._counts.too_recent += 1
            self._breaker.record_success()
        except* FATAL_ERRORS:
            raise
        except* QuotaExhausted as error:
            self._counts.left += 1
            self._counts.quota_spent(max(_retry_times(error)))
        except* AgoraAnalyticsError as failures:
            self._emit(self._breaker.record_failure(call.call_id, first_failure(failures)))
        finally:
            self._slots.release()

    def _emit(self, event: HarvestEvent) -> None:
        self._counts.add(event)
        self._observer(event)


def _retry_times(failures: BaseException) -> list[float]:
    if isinstance(failures, BaseExceptionGroup):
        return [time for failure in failures.exceptions for time in _retry_times(failure)]
    return [failures.retry_at] if isinstance(failures, QuotaExhausted) else []
