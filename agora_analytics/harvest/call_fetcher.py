"""Fetches one call into the store: its sessions, its metrics, then the call's own row."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from attrs import define, field, frozen

from agora_analytics.agora import arrow
from agora_analytics.agora.listings import MetricsPage, in_order
from agora_analytics.agora.operations import METRICS, SESSIONS
from agora_analytics.agora.records import Call, Session, Uid
from agora_analytics.core.columns import MetricColumns
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.decode.arrow_table import columns_table
from agora_analytics.engine.pages import Meta, Pages
from agora_analytics.errors import IncompleteListing, QuotaExhausted, WindowOutOfReach
from agora_analytics.harvest.call_costs import CallCosts
from agora_analytics.harvest.listing_slots import ListingSlots
from agora_analytics.harvest.report import CallStored, HarvestObserver, PointsStored
from agora_analytics.harvest.unit_runner import Outcome
from agora_analytics.harvest.units import (
    MetricsUnit,
    call_day,
    covered_until,
    expired_units,
    metrics_units,
)
from agora_analytics.harvest.unreadable_log import UnreadableLog
from agora_analytics.harvest.usable_records import last_second, require_whole_window
from agora_analytics.harvest.work_plan import StoredCall, WorkPlan, is_too_recent
from agora_analytics.store.harvest_writer import HarvestWriter
from agora_analytics.store.records import Published

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

MAX_METRICS_REQUESTS = 32
"""Waiting, in flight or being written: enough for a response of three seconds at 10 requests a second."""
MAX_WRITES = 2
"""Metrics responses that are converted and written concurrently; each takes memory and a core."""
SESSION_OVERLAP = 600
"""Seconds of an earlier snapshot whose sessions are listed again, because the server reports leave times late."""

R = TypeVar("R")


@frozen(kw_only=True)
class PriorState:
    """The stored state of a call before it is fetched.

    Attributes:
        published: the snapshot that readers see, if any.
        fetched_units: metrics units that an interrupted run fetched for the same state of the call.
    """

    published: Published | None
    fetched_units: frozenset[str] = frozenset()

    @property
    def published_units(self) -> Sequence[str]:
        """The metrics units of the snapshot."""
        return self.published.metrics if self.published else ()


@define
class CallFetcher:
    """Fetches calls. Committed data is not fetched again.

    Every response is committed as a pending unit. Once all units of a call are stored they are published, the call's
    own row last. For an ongoing call, only data after the last snapshot is fetched. Data from an
    interrupted run is discarded, because the session list may have changed; a pending row of the call marks the
    pending units as data of an ongoing call.

    Another harvest may fetch the same call at the same time, with another session list. The name of a metrics unit
    contains its sessions, and a call is published with the session list that determined its metrics units. So a
    published call never mixes the data of two lists.
    """

    client: "AsyncAgora"
    store: HarvestWriter
    plan: WorkPlan
    emit: HarvestObserver
    log: UnreadableLog
    costs: CallCosts
    _listing_slots: ListingSlots = field(init=False)
    _metrics_slots: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(MAX_METRICS_REQUESTS))
    _write_slots: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(MAX_WRITES))

    def __attrs_post_init__(self) -> None:
        limits = self.client.limits(SESSIONS)
        self._listing_slots = ListingSlots(limits.requests / limits.period)

    async def fetch(self, call: Call) -> Outcome:
        """Fetch one call and publish it.

        Raises:
            StoreConflict: another harvest changed the call in the store meanwhile.
        """
        if is_too_recent(call, self.client.reach(METRICS)):
            return Outcome.TOO_RECENT
        call_row = arrow.calls_table([[call]])
        prior = await self._prepare(call, call_row)
        if prior is None:
            return Outcome.ALREADY_STORED
        try:
            rows, until = await self._fetch_sessions(call, prior)
        except (IncompleteListing, WindowOutOfReach):
            # the first response showed that the local clock is ahead
            if is_too_recent(call, self.client.reach(METRICS)):
                return Outcome.TOO_RECENT
            raise
        sessions = in_order(_sessions_from_rows(rows))
        limits, reach = self.client.limits(METRICS), self.client.reach(METRICS)
        until = min(until, self._complete_until(call))
        since = covered_until(call, prior.published_units) + 1
        units = metrics_units(call, sessions, limits, reach, since=since, until=until)
        names, stored = [unit.name for unit in units], prior.fetched_units
        expired = expired_units(
            call, sessions, since=since, until=reach.start - 1, stored=stored, names=names
        )
        await self._discard_metrics(call, sorted(stored.difference(names, expired)))
        await self._fetch_all_metrics(call, [unit for unit in units if unit.name not in stored])
        await self._in_store(
            self.store.publish,
            call,
            metrics=[*prior.published_units, *expired, *names],
            sessions=rows,
            call=call.call_id,
            row=call_row,
            before=prior.published,
        )
        self.plan.stored[call.call_id] = StoredCall(call.finished, call.destroyed_ts)
        if not call.finished:
            await self._discard(call, [("calls", call.call_id)])
        self.emit(CallStored(call_id=call.call_id, sessions=len(sessions), finished=call.finished))
        return Outcome.STORED

    async def _prepare(self, call: Call, row: pa.Table) -> PriorState | None:
        """Return the stored state of a call, after discarding data that was fetched while it was ongoing.

        None means that another harvest has stored the complete call since this one started.
        """
        call_id, plan = call.call_id, self.plan
        published = await self._in_store(self.store.published, call, call_id)
        if published is not None and published.finished:
            return None
        pending, live = plan.metrics_of(call, pending=True), plan.metrics_of(call, pending=False)
        fetched_while_ongoing = plan.has_unit("calls", call, pending=True)
        if call.finished and not fetched_while_ongoing:
            fetched = frozenset(pending).union(live).difference(published.metrics if published else ())
            return PriorState(published=published, fetched_units=fetched)
        await self._unpublish(call, live)
        await self._discard(call, [*(("metrics", unit) for unit in pending), ("sessions", call_id)])
        if not call.finished:
            await self._put("calls", call_id, row, call)
        elif fetched_while_ongoing:
            await self._discard(call, [("calls", call_id)])
        return PriorState(published=published)

    def _complete_until(self, call: Call) -> int:
        """Return the last second for which sessions and metrics are both available."""
        if call.finished:
            return max(call.created_ts, call.destroyed_ts)
        return min(self.client.reach(endpoint).end for endpoint in (SESSIONS, METRICS))

    async def _fetch_sessions(self, call: Call, prior: PriorState) -> tuple[pa.Table, int]:
        """Return the rows of all sessions of a call, and the last second for which they are complete.

        The list of a finished call is committed, so that a later run, or another harvest, continues with the same
        batches.
        """
        until = self._complete_until(call)
        committed = await self._read_sessions(call, pending=True) if call.finished else None
        if committed is not None:
            return _with_others(committed, await self._read_sessions(call, pending=False)), until
        listed, until = await self._collect_sessions(call, prior, until)
        rows = arrow.sessions_table([in_order(listed)], call_id=call.call_id)
        # the snapshot has sessions that ended before the listed window, or are outside the plan's retention by now
        rows = _with_others(rows, await self._read_sessions(call, pending=False))
        if call.finished:
            # another harvest may have committed sessions that were not listed yet when this one requested the list
            rows = _with_others(rows, await self._read_sessions(call, pending=True))
            await self._put("sessions", call.call_id, rows, call)
        return rows, until

    async def _collect_sessions(self, call: Call, prior: PriorState, until: int) -> tuple[list[Session], int]:
        """List the sessions up to `until`; return them, and the last second that the requests included.

        The first response of a run may show that the local clock is ahead. The window of an ongoing call then ends
        earlier than planned, and so does the snapshot.
        """
        sessions, skipped, sent = list[Session](), list[SkippedRecord](), list[Meta]()
        waiting = max(1, self.costs.sessions(call))
        await self._listing_slots.acquire(waiting)
        try:
            async for page in self._list_sessions(call, prior, until).pages():
                self._listing_slots.observe(page.meta.elapsed)
                if waiting > 1:
                    waiting -= 1
                    self._listing_slots.release(1)
                sent.append(page.meta)
                sessions += page.records
                skipped += page.skipped
        finally:
            self._listing_slots.release(waiting)
        if not call.finished:
            until = last_second(sent, until)
        require_whole_window(sent, until)
        if is_too_recent(call, self.client.reach(METRICS)):
            raise IncompleteListing("the call is too recent; the next run fetches it")
        await self.log.note(call.call_id, skipped)
        return sessions, until

    def _list_sessions(self, call: Call, prior: PriorState, until: int) -> Pages[Session]:
        if not prior.published_units:
            return self.client.sessions(call, exclude_server_user=False)
        since = min(covered_until(call, prior.published_units), until) - SESSION_OVERLAP
        since = max(call.created_ts, since)
        return self.client.sessions(call.call_id, since, until + 1, exclude_server_user=False)

    async def _fetch_all_metrics(self, call: Call, units: Sequence[MetricsUnit]) -> None:
        spent = list[QuotaExhausted]()

        async def fetch(unit: MetricsUnit) -> None:
            try:
                await self._fetch_metrics(call, unit)
            except QuotaExhausted as error:  # the other requests are charged, so their responses are stored
                spent.append(error)

        async with asyncio.TaskGroup() as group:
            for unit in units:
                group.create_task(fetch(unit))
        if spent:
            raise spent[0]

    async def _fetch_metrics(self, call: Call, unit: MetricsUnit) -> None:
        async with self._metrics_slots:
            window = unit.window
            sent = list[Meta]()
            listing = self.client.metrics(call.call_id, window.start, window.end + 1, sids=unit.sids)
            async for page in listing.pages():
                sent.append(page.meta)
                if isinstance(page, MetricsPage):
                    require_whole_window([page.meta], window.end)
                    await self.log.note(call.call_id, page.skipped)
                    async with self._write_slots:
                        points = await asyncio.to_thread(self._store_metrics, call, unit.name, page.columns)
                    self.emit(PointsStored(call_id=call.call_id, points=points))
            require_whole_window(sent, window.end)

    def _store_metrics(self, call: Call, unit: str, columns: MetricColumns) -> int:
        rows = columns_table(columns, call_id=call.call_id)
        app_id = self.client.settings.app_id
        return self.store.put("metrics", unit, rows, app_id=app_id, day=call_day(call), pending=True)

    async def _discard_metrics(self, call: Call, units: Sequence[str]) -> None:
        """Discard fetched units of other windows or other sessions: the plan or the session list has changed."""
        if units:
            await self._unpublish(call, units)
            await self._discard(call, [("metrics", unit) for unit in units])

    async def _read_sessions(self, call: Call, *, pending: bool) -> pa.Table | None:
        return await self._in_store(self.store.read, call, "sessions", call.call_id, pending=pending)

    async def _put(self, table: str, unit: str, rows: pa.Table, call: Call) -> None:
        await self._in_store(self.store.put, call, table, unit, rows, pending=True)

    async def _unpublish(self, call: Call, units: Sequence[str]) -> None:
        if units:
            await self._in_store(self.store.unpublish, call, call.call_id, units)

    async def _discard(self, call: Call, units: Sequence[tuple[str, str]]) -> None:
        await self._in_store(self.store.discard, call, pending=units)

    async def _in_store(self, operation: Callable[..., R], call: Call, /, *args: Any, **options: Any) -> R:
        """Run a store operation on the objects of a call, in a worker thread."""
        app_id = self.client.settings.app_id
        return await asyncio.to_thread(operation, *args, app_id=app_id, day=call_day(call), **options)


def _with_others(rows: pa.Table, stored: pa.Table | None) -> pa.Table:
    """Return rows of sessions, after the stored ones of other sessions."""
    if stored is None:
        return rows
    others = stored.filter(pc.invert(pc.is_in(stored["sid"], value_set=rows["sid"].combine_chunks())))
    return pa.concat_tables([others.select(rows.column_names).cast(rows.schema), rows])


def _sessions_from_rows(rows: pa.Table) -> list[Session]:
    """Return stored sessions, with only the fields that the batches need."""
    return [
        Session(
            sid=row["sid"],
            uid=Uid(row["uid"]),
            join_ts=int(row["join_ts"].timestamp()),
            leave_ts=int(row["leave_ts"].timestamp()),
            finished=row["finished"],
        )
        for row in rows.select(["sid", "uid", "join_ts", "leave_ts", "finished"]).to_pylist()
    ]
