"""The visit of one call: its sessions, its metrics, and then the call itself, into the store."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from attrs import define, field

from agora_analytics.agora import arrow
from agora_analytics.agora.endpoints import METRICS
from agora_analytics.agora.listings import MetricsPage
from agora_analytics.agora.records import Call, Session, Uid
from agora_analytics.core.columns import MetricColumns
from agora_analytics.decode.arrow import metrics_table
from agora_analytics.harvest.agenda import Agenda
from agora_analytics.harvest.events import CallStored, HarvestObserver, PointsStored
from agora_analytics.harvest.units import MetricsUnit, call_of, day_of, in_batch_order, metrics_units
from agora_analytics.store.contract import Store

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

SESSIONS_AT_ONCE = 8
METRICS_AT_ONCE = 16
WRITES_AT_ONCE = 2
"""Answers of metrics that are turned to rows and written at the same time: each takes memory, and a core."""


@define
class Visitor:
    """Visits calls. What is committed already is not asked for again.

    Every answer is committed as a pending unit at once; when the call is whole, its units are shown, metrics first,
    the call's own row last. A call that goes on changes between two visits: its pending units are good only
    together with the row that they were fetched for, which is kept beside them.
    """

    client: "AsyncAgora"
    store: Store
    agenda: Agenda
    tell: HarvestObserver
    _sessions_gate: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(SESSIONS_AT_ONCE))
    _metrics_gate: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(METRICS_AT_ONCE))
    _writing_gate: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(WRITES_AT_ONCE))

    @property
    def app_id(self) -> str:
        """The app that is harvested."""
        return self.client.settings.app_id

    async def visit(self, call: Call) -> None:
        """Bring one call into the tables."""
        row = arrow.calls_table([call])
        done = await self._begin(call, row)
        sessions = await self._sessions(call, done)
        units = metrics_units(call, sessions, self.client.limits(METRICS), self.client.reach(METRICS))
        async with asyncio.TaskGroup() as group:
            for unit in units:
                if ("metrics", unit.name) not in done:
                    group.create_task(self._metrics(call, unit))
        await asyncio.to_thread(
            self.store.promote,
            app_id=self.app_id,
            day=day_of(call),
            metrics=self._out_of_reach(call, units) + [unit.name for unit in units],
            sessions=call.call_id,
            call=call.call_id,
            row=row,
        )
        if not call.finished:
            await self._forget(call, [("calls", call.call_id)])
        self.tell(CallStored(call_id=call.call_id, sessions=len(sessions), finished=call.finished))

    async def _begin(self, call: Call, row: pa.Table) -> set[tuple[str, str]]:
        """Return the units of the call that are good; drop those that were fetched when the call was shorter."""
        units, call_id = self.agenda.units, call.call_id
        mine = [("sessions", call_id)] if call_id in units.pending["sessions"] else []
        mine += [("metrics", unit) for unit in self.agenda.pending_metrics(call_id)]
        kept_row = None
        if call_id in units.pending["calls"]:
            kept_row = await asyncio.to_thread(
                self.store.read, "calls", call_id, app_id=self.app_id, day=day_of(call)
            )
        same = kept_row.equals(row) if kept_row is not None else call.finished
        if not same:
            await self._forget(call, [*mine, ("calls", call_id)])
            mine = []
            if not call.finished:
                await self._put("calls", call_id, row, call)
        if (
            call_id not in self.agenda.stored
        ):  # what is visible already was shown by a run that was interrupted
            mine += [("sessions", call_id)] if call_id in units.live["sessions"] else []
            mine += [("metrics", unit) for unit in self.agenda.live_metrics(call_id)]
        return set(mine)

    async def _sessions(self, call: Call, done: set[tuple[str, str]]) -> list[Session]:
        if ("sessions", call.call_id) in done:
            rows = await self._stored_sessions(call)
            return _sessions_of(rows) if rows is not None else []
        async with self._sessions_gate:
            listed = await self.client.sessions(call, exclude_server_user=False).collect()
        before = await self._stored_sessions(call) if call.call_id in self.agenda.stored else None
        known = before["sid"].to_pylist() if before is not None else []
        sessions = in_batch_order(listed, known)
        rows = arrow.sessions_table(sessions, call_id=call.call_id)
        if before is not None:  # those that have gone out of the plan's reach since
            gone = before.filter(pc.invert(pc.is_in(before["sid"], value_set=rows["sid"].combine_chunks())))
            rows = pa.concat_tables([rows, gone.select(rows.column_names).cast(rows.schema)])
        await self._put("sessions", call.call_id, rows, call)
        return sessions

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

    def _out_of_reach(self, call: Call, units: Sequence[MetricsUnit]) -> list[str]:
        """Return the units of earlier visits whose windows the plan does not reach any more."""
        first = min((call_of(unit.name)[1] for unit in units), default=None)
        visible = self.agenda.live_metrics(call.call_id)
        return [unit for unit in visible if first is None or call_of(unit)[1] < first]

    async def _stored_sessions(self, call: Call) -> pa.Table | None:
        return await asyncio.to_thread(
            self.store.read, "sessions", call.call_id, app_id=self.app_id, day=day_of(call)
        )

    async def _put(self, table: str, unit: str, rows: pa.Table, call: Call) -> int:
        return await asyncio.to_thread(
            self.store.put, table, unit, rows, app_id=self.app_id, day=day_of(call), pending=True
        )

    async def _forget(self, call: Call, units: Sequence[tuple[str, str]]) -> None:
        await asyncio.to_thread(self.store.forget, app_id=self.app_id, day=day_of(call), pending=units)


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
