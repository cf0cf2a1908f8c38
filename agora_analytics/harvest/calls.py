"""The harvest of Agora: list the calls of a time range, visit each, and say what was done."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING

from agora_analytics.agora import arrow
from agora_analytics.agora.operations import LISTS
from agora_analytics.agora.records import Call
from agora_analytics.core.paging import Step, read_token, write_token
from agora_analytics.core.windows import Window, split
from agora_analytics.engine.pages import Page
from agora_analytics.errors import AgoraAnalyticsError, QuotaExhausted, WindowOutOfReach
from agora_analytics.harvest.call_fetcher import CallFetcher
from agora_analytics.harvest.circuit_breaker import FATAL_ERRORS, CircuitBreaker, first_of
from agora_analytics.harvest.events import CallsListed, HarvestEvent, HarvestObserver
from agora_analytics.harvest.report import Counts, HarvestReport
from agora_analytics.harvest.work_plan import Unlisted, WorkPlan, calls_of
from agora_analytics.instants import Instant
from agora_analytics.store import Store

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

CALLS_AT_ONCE = 32
_LISTED_AHEAD = 1_000


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
        self._trouble = CircuitBreaker()
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)
        self._queue: asyncio.Queue[Call | None] = asyncio.Queue(_LISTED_AHEAD)

    async def run(self) -> HarvestReport:
        start, sent = asyncio.get_running_loop().time(), Counter(self._client.sent)
        self._plan = await asyncio.to_thread(WorkPlan.read, self._store, self._client.settings.app_id)
        self._fetcher = CallFetcher(self._client, self._store, self._plan, self._tell)
        self._counts.known_before = self._plan.done(self._wanted)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._list())
                while call := await self._queue.get():
                    await self._places.acquire()
                    group.create_task(self._visit(call))
        except BaseExceptionGroup as failures:
            raise first_of(failures) from None
        seconds = asyncio.get_running_loop().time() - start
        return self._counts.report(self._wanted, dict(Counter(self._client.sent) - sent), seconds)

    # ---- which calls

    async def _list(self) -> None:
        queued: set[str] = set()
        try:
            async for calls, more in self._calls():
                new = [call for call in calls if call.call_id not in queued]
                queued.update(call.call_id for call in new)
                self._tell(CallsListed(calls=self._counts.listed + len(new), more=more))
                for call in new:
                    await self._queue.put(call)
        except QuotaExhausted as spent:
            self._listing_spent(spent)
        self._tell(CallsListed(calls=self._counts.listed, more=False))
        await self._queue.put(None)

    def _listing_spent(self, spent: QuotaExhausted) -> None:
        self._counts.listing_left = True
        self._counts.closed(spent.retry_at)

    async def _calls(self) -> AsyncGenerator[tuple[list[Call], bool], None]:
        """Give the calls to visit, a few at a time: first those that are known already."""
        unlisted = self._plan.unlisted(self._wanted)
        yield await self._listed_again(), True
        yield self._plan.due(self._wanted), bool(unlisted)
        for part in unlisted:
            windows = [part.window] if part.resume else split(part.window, self._client.limits(LISTS))
            for window in windows:
                async for page in self._listing(Unlisted(window, part.pages, part.resume)):
                    reach = self._client.reach(LISTS)
                    yield (
                        [
                            call
                            for call in page.records
                            if not (self._plan.is_done(call) or self._plan.is_fresh(call, reach))
                        ],
                        True,
                    )

    async def _listed_again(self) -> list[Call]:
        """Return the calls that went on when they were listed, as they are now: as many as the day's quota allows."""
        again: dict[str, Call] = {}
        try:
            for window in self._plan.reopened(self._wanted, self._client.reach(LISTS)):
                with suppress(WindowOutOfReach):  # it was when the harvest began
                    listed = await self._client.calls(window.start, window.end + 1).collect()
                    again |= {call.call_id: call for call in listed if call.call_id in self._plan.known}
                    self._plan.learn(listed)
        except QuotaExhausted as spent:  # sessions and metrics of known calls may be asked for still
            self._listing_spent(spent)
        return [call for call in again.values() if not self._plan.is_done(call)]

    async def _listing(self, part: Unlisted) -> AsyncGenerator[Page[Call], None]:
        """List a window page by page, each committed before it is used, from where an earlier run stood.

        Ends where what is left is out of reach: pages come from the newest to the oldest, so nothing behind is in it.
        """
        window, seq, app_id = part.window, part.pages, self._client.settings.app_id
        began = asyncio.get_running_loop().time()
        try:
            resume = self._cut_anew(part.resume) if part.resume else None
            listing = self._client.calls(window.start, window.end + 1, resume=resume)
            async for page in listing.pages():
                if seq == 0:
                    window = self._asked(window, began)
                rows = arrow.calls_table(page.records)
                await asyncio.to_thread(
                    self._store.put_listing, app_id, window.start, window.end, seq, rows, page.resume_token
                )
                seq += 1
                self._plan.learn(calls_of(rows))
                yield page
        except WindowOutOfReach as gone:
            if self._wanted.start > gone.legal[1]:  # our clock is ahead of all of it
                raise
            self._came_until(gone.legal[1])

    def _cut_anew(self, resume: str) -> str:
        """Return the token of what is left of a listing, in windows of this plan's span: another one may have begun it."""
        limits = self._client.limits(LISTS)
        steps = list[Step]()
        for step in read_token(resume):
            parts = split(step.window, limits)
            steps += [step] if len(parts) == 1 else [Step(part) for part in reversed(parts)]
        return write_token(steps)

    def _asked(self, window: Window, began: float) -> Window:
        """Return what of a window was asked for, given its first page and the loop's time when it was begun.

        That is less than all of it if our clock is ahead, which the first answer of a client tells; a window must not
        be kept as listed beyond the moment at which it was.
        """
        passed = asyncio.get_running_loop().time() - began
        end = self._client.reach(LISTS).end
        if window.end <= end - math.floor(passed):
            return window
        end = max(window.start, end - math.ceil(passed))
        self._came_until(end)
        return Window(window.start, end)

    def _came_until(self, end: int) -> None:
        """Leave out of the wanted range what has not come yet, though our clock said so."""
        self._wanted = Window(self._wanted.start, min(self._wanted.end, end))

    # ---- each call

    async def _visit(self, call: Call) -> None:
        try:
            if not await self._fetcher.visit(call):
                self._counts.too_recent += 1
            self._trouble.none()
        except* FATAL_ERRORS:
            raise
        except* QuotaExhausted as spent:
            self._counts.left += 1
            self._counts.closed(max(_retry_times(spent)))
        except* AgoraAnalyticsError as failures:
            self._tell(self._trouble.skip(call.call_id, first_of(failures)))
        finally:
            self._places.release()

    def _tell(self, event: HarvestEvent) -> None:
        self._counts.take(event)
        self._observer(event)


def _retry_times(failures: BaseException) -> list[float]:
    if isinstance(failures, BaseExceptionGroup):
        return [moment for failure in failures.exceptions for moment in _retry_times(failure)]
    return [failures.retry_at] if isinstance(failures, QuotaExhausted) else []
