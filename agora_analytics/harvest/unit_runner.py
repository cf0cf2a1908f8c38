"""Runs the units of work of a harvest: bounded concurrency, error handling, counts and events, for every vendor."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.errors import (
    AccessDenied,
    AgoraAnalyticsError,
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    FencedOff,
    LedgerUnavailable,
    QuotaExhausted,
    RateLimited,
    RowsRefused,
    ServerError,
    StoreDamaged,
    StoreError,
    TransportError,
)
from agora_analytics.harvest.harvest_log import log_end, log_event
from agora_analytics.harvest.job_order import FREE_JOB, Job
from agora_analytics.harvest.report import (
    CallSkipped,
    CallsListed,
    Counts,
    HarvestEvent,
    HarvestObserver,
    HarvestReport,
)
from agora_analytics.harvest.unreadable_log import UnreadableLog
from agora_analytics.store.harvest_writer import HarvestWriter
from agora_analytics.store.records import Unreadable

if TYPE_CHECKING:
    from agora_analytics.harvest.run import HarvestClient

ABORTING_ERRORS = (
    AuthenticationError,
    AccessDenied,
    ConfigurationError,
    FencedOff,
    LedgerUnavailable,
    StoreError,
)
"""Errors that end a harvest at once, because every other unit would fail as well."""
MAX_FAILURES_IN_A_ROW = 8
"""The circuit breaker: so many units in a row that fail in the server, the rate limit or the network end the harvest."""
_QUEUE_SIZE = 1_000


class Outcome(Enum):
    """The result of a unit that did not fail."""

    STORED = auto()
    ALREADY_STORED = auto()
    TOO_RECENT = auto()


@frozen(kw_only=True)
class Unit:
    """One unit of work: a call, an OpenTok meeting, a UTC day of a metric.

    Events and the report contain its `name`. `run` fetches and commits it, and emits the events about its rows. `job`
    is its cost and value, for queues that look at them.
    """

    name: str
    run: Callable[[], Awaitable[Outcome]] = field(repr=False)
    job: Job = field(default=FREE_JOB, repr=False)


class UnitQueue(Protocol):
    """The units that are listed and wait to be run; decides about their order."""

    async def put(self, units: Sequence[Unit]) -> None:
        """Add units. May wait until others have been run."""
        ...

    async def close(self) -> None:
        """End the listing: no more units are added."""
        ...

    async def get(self) -> Unit | None:
        """Return the next unit to run; None after the last one."""
        ...


@define(eq=False)
class FifoQueue:
    """Runs the units in the order of the listing, which waits while many are queued."""

    _units: asyncio.Queue[Unit | None] = field(factory=lambda: asyncio.Queue(_QUEUE_SIZE), init=False)

    async def put(self, units: Sequence[Unit]) -> None:
        """Add units."""
        for unit in units:
            await self._units.put(unit)

    async def close(self) -> None:
        """End the listing."""
        await self._units.put(None)

    async def get(self) -> Unit | None:
        """Return the next unit; None after the last one."""
        return await self._units.get()


class UnitRunner:
    """Runs units concurrently.

    A unit that fails is skipped and left for the next run. A unit that cannot be read is reported once. A unit that
    finds its daily quota exhausted is counted as left; units that need other endpoints continue.

    Attributes:
        counts: the totals of the run.
        log: remembers what cannot be read; None: it is only reported.
        damage_found: whether a unit failed because a file of the store is damaged.
    """

    def __init__(
        self, client: "HarvestClient", observer: HarvestObserver | None, *, concurrency: int
    ) -> None:
        self.counts = Counts()
        self._client = client
        self._observer = observer
        self._started_at = asyncio.get_running_loop().time()
        self._sent_before = Counter(client.sent)
        self._slots = asyncio.Semaphore(concurrency)
        self._failures_in_a_row = 0
        self.damage_found = False
        self.log: UnreadableLog | None = None

    async def run(self, batches: AsyncIterable[Sequence[Unit]], queue: UnitQueue | None = None) -> None:
        """Run all units of the batches, each name once. Units start while later batches are still being listed.

        Without a queue, they run in the order of the batches.

        Raises the error that ends the harvest: one of `ABORTING_ERRORS`, or the error that opens the circuit breaker.
        """
        queue = queue or FifoQueue()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._enqueue(batches, queue))
                await self._slots.acquire()  # before the choice of a unit, which a later batch may change
                while unit := await queue.get():
                    group.create_task(self._run_unit(unit))
                    await self._slots.acquire()
        except BaseExceptionGroup as failures:
            raise next(flatten(failures)) from None

    def report(self, window: Window) -> HarvestReport:
        """Return the report of this run."""
        seconds = asyncio.get_running_loop().time() - self._started_at
        report = self.counts.report(window, dict(Counter(self._client.sent) - self._sent_before), seconds)
        log_end(report)
        return report

    def emit(self, event: HarvestEvent) -> None:
        """Count an event, log it, and pass it to the observer."""
        self.counts.add(event)
        log_event(event)
        if self._observer is not None:
            self._observer(event)

    def skip(self, name: str, error: BaseException) -> None:
        """Leave a unit for the next run, and report the reason. Raise the error if it opens the circuit breaker."""
        if isinstance(error, TransportError | ServerError | RateLimited):
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                raise error
        self.emit(CallSkipped(call_id=name, reason=str(error)))

    def stop_listing(self, error: QuotaExhausted) -> None:
        """Record that the daily quota ended the listing; units that are already listed are still run."""
        self.counts.listing_left = True
        self.counts.quota_spent(error.retry_at)

    async def open_log(self, store: HarvestWriter, app_id: str) -> UnreadableLog:
        """Remember in a store what cannot be read."""
        self.log = await UnreadableLog.open(store, app_id, self.emit)
        self.counts.unreadable_before = self.log.before
        return self.log

    async def note_unreadable(self, name: str, error: BaseException) -> None:
        """Report that nothing of a unit can be read."""
        if self.log is not None:
            await self.log.note_unit(name, str(error))
        else:
            self.emit(Unreadable(unit=name, record=name, reason=str(error)))

    async def _enqueue(self, batches: AsyncIterable[Sequence[Unit]], queue: UnitQueue) -> None:
        names = set[str]()
        try:
            async for batch in batches:
                new = {unit.name: unit for unit in batch if unit.name not in names}
                names |= new.keys()
                self.emit(CallsListed(calls=len(names), more=True))
                await queue.put(list(new.values()))
        except QuotaExhausted as error:
            self.stop_listing(error)
        self.emit(CallsListed(calls=len(names), more=False))
        await queue.close()

    async def _run_unit(self, unit: Unit) -> None:
        try:
            outcome = await unit.run()
        except* AgoraAnalyticsError as failures:
            await self._handle(unit, list(flatten(failures)))
        else:
            if self.log is not None:
                await self.log.resolve(unit.name)
            self._failures_in_a_row = 0
            self.counts.known_before += outcome is Outcome.ALREADY_STORED
            self.counts.too_recent += outcome is Outcome.TOO_RECENT
        finally:
            self._slots.release()

    async def _handle(self, unit: Unit, errors: Sequence[BaseException]) -> None:
        """Handle the errors of a unit, by the most serious one: what ends the run, then what another run may fetch."""
        for error in errors:
            if isinstance(error, ABORTING_ERRORS) and not isinstance(error, StoreDamaged | RowsRefused):
                raise error
        quota = [error for error in errors if isinstance(error, QuotaExhausted)]
        temporary = [error for error in errors if not isinstance(error, DecodeError | RowsRefused)]
        if quota:
            self.counts.left += 1
            self.counts.quota_spent(max(error.retry_at for error in quota))
        elif temporary:
            self.damage_found |= any(isinstance(error, StoreDamaged) for error in temporary)
            self.skip(unit.name, temporary[0])
        else:
            await self.note_unreadable(unit.name, errors[0])


def flatten(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of an exception group, nested groups included; or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from flatten(member)
    else:
        yield error
