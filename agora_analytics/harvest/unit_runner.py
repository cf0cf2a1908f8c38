"""What the harvests of `points` have in common: units of values, each brought into the store once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

import pyarrow as pa
from attrs import field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.errors import AgoraAnalyticsError
from agora_analytics.harvest.circuit_breaker import FATAL_ERRORS, CircuitBreaker, first_failure
from agora_analytics.harvest.events import (
    CallSkipped,
    CallsListed,
    CallStored,
    HarvestEvent,
    HarvestObserver,
    PointsStored,
)
from agora_analytics.harvest.report import Counts, HarvestReport
from agora_analytics.store import Store, Units
from agora_analytics.store.layout import decode, encode
from agora_analytics.store.quality import common
from agora_analytics.store.schemas import POINTS

_TABLE = "points"

IncompleteUnits = Collection[str]
"""The names of the units that have to be fetched again, whatever the time range: what is there is not whole."""


@frozen(kw_only=True)
class FetchedPoints:
    """What came of a unit: rows in the schema of `points`, and what the server could not tell; "" if that is nothing."""

    rows: pa.Table = field(repr=False)
    missing: str = ""


@frozen(kw_only=True)
class PointsUnit:
    """One unit of work: an OpenTok meeting, a day of one of ApsaraVideo's metrics.

    Attributes:
        name: a pure function of the work.
        day: the UTC day that it lies in, as `2026-11-20`.
        whole: whether nothing will be added to it any more; what is not whole is fetched again.
        refetch_every_run: whether every run fetches again what is not whole; False: only the one that finds it whole.
        fetch: asks for it.
    """

    name: str
    day: str
    complete: bool
    refetch_every_run: bool = True
    fetch: Callable[[], Awaitable[FetchedPoints]] = field(repr=False)


class Sender(Protocol):
    """What a runner needs of a client."""

    @property
    def sent(self) -> Mapping[str, int]:
        """How many requests were sent, by endpoint."""
        ...


class UnitRunner:
    """Brings units into one app's `points`. What is whole there is not asked for again.

    A unit that is not whole is marked as pending before its rows are shown, and the mark goes when it is: so
    whenever the process ends, what the next run finds there is either whole or will be fetched again, and a second
    write replaces the first; but what is whole is not replaced by less.
    """

    def __init__(
        self,
        client: Sender,
        store: Store,
        app_id: str,
        *,
        window: Window,
        observer: HarvestObserver | None,
        concurrency: int,
    ) -> None:
        self._client = client
        self._store = store
        self._app_id = app_id
        self._window = window
        self._observer = observer or (lambda _: None)
        self._slots = asyncio.Semaphore(concurrency)
        self._counts = Counts()
        self._breaker = CircuitBreaker()

    async def run(self, units: Callable[[IncompleteUnits], AsyncIterable[PointsUnit]]) -> HarvestReport:
        """Fetch and store what is missing of the units.

        Args:
            units: told what is marked in the store, it yields the units of the time range and, of the marked ones,
                those that can still be asked for. One that it yields twice is fetched once.

        Raises:
            AuthenticationError, AccessDenied: nothing can be asked for.
            StoreError: the store cannot be written; everything committed is safe.
            TransportError, ServerError: several units in a row failed, however often each was tried.
        """
        start, sent = asyncio.get_running_loop().time(), Counter(self._client.sent)
        stored = await asyncio.to_thread(self._store.units, self._app_id)
        seen: set[str] = set()
        try:
            async with asyncio.TaskGroup() as group:
                async for unit in units(stored.pending[_TABLE]):
                    if unit.name in seen:
                        continue
                    seen.add(unit.name)
                    if is_stored(unit, stored):
                        self._counts.known_before += 1
                        continue
                    self._counts.listed += 1
                    self._emit(CallsListed(calls=self._counts.listed, more=True))
                    await self._slots.acquire()
                    group.create_task(self._run_unit(unit))
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None
        self._emit(CallsListed(calls=self._counts.listed, more=False))
        seconds = asyncio.get_running_loop().time() - start
        return self._counts.report(self._window, dict(Counter(self._client.sent) - sent), seconds)

    async def _run_unit(self, unit: PointsUnit) -> None:
        try:
            fetched = await unit.fetch()
            complete = unit.complete and not fetched.missing
            written = await asyncio.to_thread(self._commit, unit, fetched.rows, complete=complete)
        except FATAL_ERRORS:
            raise
        except AgoraAnalyticsError as error:
            self.skip(unit.name, error)
        else:
            self._breaker.record_success()
            if not written:
                self._counts.known_before += 1
                return
            sessions = len(fetched.rows["session_id"].unique().drop_null())
            self._emit(PointsStored(call_id=unit.name, points=fetched.rows.num_rows))
            self._emit(CallStored(call_id=unit.name, sessions=sessions, finished=complete))
            if fetched.missing:
                self._emit(CallSkipped(call_id=unit.name, reason=f"came in part: {fetched.missing}"))
        finally:
            self._slots.release()

    def skip(self, name: str, error: AgoraAnalyticsError) -> None:
        """Leave work for the next run, and tell why; where everything fails, raise the error instead."""
        self._emit(self._breaker.record_failure(name, error))

    def _commit(self, unit: PointsUnit, rows: pa.Table, *, complete: bool) -> bool:
        with self._store.commit_lock():
            if not complete:
                if self._was_stored_meanwhile(unit):
                    return False
                self._put(unit, POINTS.empty_table(), pending=True)
            self._put(unit, rows, pending=False)
            if complete:
                self._store.discard(app_id=self._app_id, day=unit.day, pending=[(_TABLE, unit.name)])
            return True

    def _was_stored_meanwhile(self, unit: PointsUnit) -> bool:
        # Another harvest, which began later, may have it whole by now. A mark has no rows, and is read before them.
        rows = self._store.read(_TABLE, unit.name, app_id=self._app_id, day=unit.day)
        return rows is not None and rows.num_rows > 0

    def _put(self, unit: PointsUnit, rows: pa.Table, *, pending: bool) -> None:
        self._store.put(_TABLE, unit.name, rows, app_id=self._app_id, day=unit.day, pending=pending)

    def _emit(self, event: HarvestEvent) -> None:
        self._counts.add(event)
        self._observer(event)


def is_stored(unit: PointsUnit, stored: Units) -> bool:
    """Return whether a unit is in the store and this run need not fetch it again."""
    name = decode(encode(unit.name))
    if name not in stored.live[_TABLE]:
        return False
    return name not in stored.pending[_TABLE] or not (unit.refetch_every_run or unit.complete)


def points_table(vendor: str, points: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return points as rows of the table `points`, in common names and units.

    Args:
        vendor: whose.
        points: each with `source` (the vendor's name of the metric), `value`, `ts` (an aware datetime), and what else
            the table has columns for; `unit` counts where the metric has no common name.
    """
    rows: dict[str, list[Any]] = {name: [] for name in POINTS.names}
    for point in points:
        target = common(vendor, point["source"], point.get("unit", ""))
        value = point["value"]
        row = dict(point) | {
            "vendor": vendor,
            "metric": target.metric,
            "unit": target.unit,
            "value": None if value is None else value * target.factor,
            "source_metric": point["source"],
        }
        for name, column in rows.items():
            column.append(row.get(name))
    return pa.table(rows, schema=POINTS)
