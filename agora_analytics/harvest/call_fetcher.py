"""The visit of one call: its sessions, its metrics, and then the call itself, into the store."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from attrs import define, field, frozen

from agora_analytics.agora import arrow
from agora_analytics.agora.listings import MetricsPage
from agora_analytics.agora.operations import METRICS, SESSIONS
from agora_analytics.agora.records import Call, Session, Uid
from agora_analytics.core.columns import MetricColumns
from agora_analytics.core.windows import Window
from agora_analytics.decode.arrow import metrics_table
from agora_analytics.engine.pages import Pages
from agora_analytics.harvest.events import CallStored, HarvestObserver, PointsStored
from agora_analytics.harvest.units import (
    MetricsUnit,
    call_of,
    covered_until,
    day_of,
    in_order,
    metrics_units,
)
from agora_analytics.harvest.work_plan import WorkPlan, is_too_recent
from agora_analytics.store.protocol import Published, Store

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

SESSIONS_AT_ONCE = 8
METRICS_AT_ONCE = 16
WRITES_AT_ONCE = 2
"""Answers of metrics that are turned to rows and written at the same time: each takes memory, and a core."""
OVERLAP = 600
"""Seconds before the end of a snapshot from which the sessions of a call are listed again: who left is told late."""


@frozen(kw_only=True)
class PriorState:
    """What the store has of a call when a visit begins.

    Attributes:
        published: what readers see of an earlier snapshot; what it tells of is not asked for again.
        done: units of samples that an interrupted visit of the call, as it is now, has brought.
        listed: whether its sessions are there as well.
    """

    published: Published | None
    done: frozenset[str] = frozenset()
    listed: bool = False

    @property
    def kept(self) -> Sequence[str]:
        """The units of samples of the snapshot."""
        return self.published.metrics if self.published else ()


@define
class CallFetcher:
    """Visits calls. What is committed already is not asked for again.

    Every answer is committed as a pending unit at once; when the call is whole, its units are published, metrics first,
    the call's own row last. A call that goes on is asked for from where its snapshot ends; what an interrupted visit
    of it has brought is dropped, for its sessions may have changed. A row that waits beside the pending units says
    that they are of such a visit.
    """

    client: "AsyncAgora"
    store: Store
    plan: WorkPlan
    tell: HarvestObserver
    _sessions_gate: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(SESSIONS_AT_ONCE))
    _metrics_gate: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(METRICS_AT_ONCE))
    _writing_gate: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(WRITES_AT_ONCE))

    @property
    def app_id(self) -> str:
        """The app that is harvested."""
        return self.client.settings.app_id

    async def visit(self, call: Call) -> bool:
        """Bring one call into the tables; return False if it is too recent for that.

        Raises:
            StoreConflict: another harvest changed the call in the store meanwhile.
        """
        if is_too_recent(call, self.client.reach(METRICS)):
            return False
        row = arrow.calls_table([call])
        begun = await self._begin(call, row)
        if begun is None:
            return True
        until = self._known_until(call)
        sessions = await self._sessions(call, begun, until)
        limits, reach = self.client.limits(METRICS), self.client.reach(METRICS)
        if is_too_recent(call, reach):  # our clock was ahead, which the first answer tells
            return False
        until = min(until, self._known_until(call))
        since = covered_until(call, begun.kept) + 1
        units = metrics_units(call, sessions, limits, reach, since=since, until=until)
        names = [unit.name for unit in units]
        gone = await self._out_of_reach(call, begun, names, reach)
        async with asyncio.TaskGroup() as group:
            for unit in units:
                if unit.name not in begun.done:
                    group.create_task(self._metrics(call, unit))
        await asyncio.to_thread(
            self.store.publish,
            app_id=self.app_id,
            day=day_of(call),
            metrics=[*begun.kept, *gone, *names],
            sessions=call.call_id,
            call=call.call_id,
            row=row,
            before=begun.published,
        )
        if not call.finished:
            await self._discard(call, [("calls", call.call_id)])
        self.tell(CallStored(call_id=call.call_id, sessions=len(sessions), finished=call.finished))
        return True

    async def _begin(self, call: Call, row: pa.Table) -> PriorState | None:
        """Return what of the call is good; drop what was fetched when the call was shorter.

        None if all of it is there, for another harvest has brought it since this one began.
        """
        call_id, plan = call.call_id, self.plan
        published = await asyncio.to_thread(
            self.store.published, call_id, app_id=self.app_id, day=day_of(call)
        )
        if published is not None and published.finished:
            return None
        pending, live = plan.pending_metrics(call_id), plan.live_metrics(call_id)
        marked = call_id in plan.units.pending["calls"]
        if call.finished and not marked:
            listed = call_id in plan.units.pending["sessions"]
            listed = listed or (published is None and call_id in plan.units.live["sessions"])
            done = frozenset(pending).union(live).difference(published.metrics if published else ())
            return PriorState(published=published, done=done, listed=listed)
        await self._unpublish(call, live)
        await self._discard(call, [*(("metrics", unit) for unit in pending), ("sessions", call_id)])
        if not call.finished:
            await self._put("calls", call_id, row, call)
        elif marked:
            await self._discard(call, [("calls", call_id)])
        return PriorState(published=published)

    def _known_until(self, call: Call) -> int:
        """Return the last second of which all is known: who was there, and what was measured."""
        if call.finished:
            return max(call.created_ts, call.destroyed_ts)
        return min(self.client.reach(endpoint).end for endpoint in (SESSIONS, METRICS))

    async def _sessions(self, call: Call, begun: PriorState, until: int) -> list[Session]:
        if begun.listed:
            rows = await self._stored_sessions(call)
            return _sessions_of(rows) if rows is not None else []
        async with self._sessions_gate:
            listed = in_order(await self._listing(call, begun, until).collect())
        rows = arrow.sessions_table(listed, call_id=call.call_id)
        before = await self._stored_sessions(call) if begun.published else None
        if before is not None:
            # those who left before the snapshot ended, or are out of the plan's reach by now
            others = before.filter(pc.invert(pc.is_in(before["sid"], value_set=rows["sid"].combine_chunks())))
            rows = pa.concat_tables([others.select(rows.column_names).cast(rows.schema), rows])
        await self._put("sessions", call.call_id, rows, call)
        return listed if before is None else _sessions_of(rows)

    def _listing(self, call: Call, begun: PriorState, until: int) -> Pages[Session]:
        if not begun.kept:
            return self.client.sessions(call, exclude_server_user=False)
        since = max(call.created_ts, min(covered_until(call, begun.kept), until) - OVERLAP)
        return self.client.sessions(call.call_id, since, until + 1, exclude_server_user=False)

    async def _metrics(self, call: Call, unit: MetricsUnit) -> None:
        async with self._metrics_gate:
            window = unit.window
            listing = self.client.metrics(call.call_id, window.start, window.end + 1, sids=unit.sids)
            async for page in listing.pages():
                if isinstance(page, MetricsPage):
                    async with self._writing_gate:
                        points = await asyncio.to_thread(self._put_columns, call, unit.name, page.columns)
                    self.tell(PointsStored(call_id=call.call_id, points=points))

    def _put_columns(self, call: Call, unit: str, columns: MetricColumns) -> int:
        rows = metrics_table(columns, call_id=call.call_id)
        return self.store.put("metrics", unit, rows, app_id=self.app_id, day=day_of(call), pending=True)

    async def _out_of_reach(
        self, call: Call, begun: PriorState, names: Sequence[str], reach: Window
    ) -> list[str]:
        """Return the units that the plan has gone past since they were fetched; drop those of other windows.

        Windows are cut otherwise where the plan has changed between two runs.
        """
        others = sorted(begun.done.difference(names))
        first = covered_until(call, begun.kept) - call.created_ts + 1
        gone = [
            unit
            for unit in others
            for window in [call_of(unit)[1]]
            if window.start >= first and call.created_ts + window.end < reach.start
        ]
        if foreign := [unit for unit in others if unit not in gone]:
            await self._unpublish(call, foreign)
            await self._discard(call, [("metrics", unit) for unit in foreign])
        return gone

    async def _stored_sessions(self, call: Call) -> pa.Table | None:
        return await asyncio.to_thread(
            self.store.read, "sessions", call.call_id, app_id=self.app_id, day=day_of(call)
        )

    async def _put(self, table: str, unit: str, rows: pa.Table, call: Call) -> int:
        return await asyncio.to_thread(
            self.store.put, table, unit, rows, app_id=self.app_id, day=day_of(call), pending=True
        )

    async def _unpublish(self, call: Call, units: Sequence[str]) -> None:
        if units:
            await asyncio.to_thread(
                self.store.unpublish, call.call_id, units, app_id=self.app_id, day=day_of(call)
            )

    async def _discard(self, call: Call, units: Sequence[tuple[str, str]]) -> None:
        await asyncio.to_thread(self.store.discard, app_id=self.app_id, day=day_of(call), pending=units)


def _sessions_of(rows: pa.Table) -> list[Session]:
    """Return as much of the stored sessions as the batches need."""
    return [
        Session(
            sid=row["sid"],
            uid=Uid(row["uid"]),
            join_ts=int(row["join_ts"].timestamp()),
            leave_ts=int(row["leave_ts"].timestamp()),
            finished=row["finished"],
        )
        for row in rows.to_pylist()
    ]
