"""The harvest of `points`: each unit is one meeting or one day, whose rows are replaced as a whole."""

import asyncio
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any

import pyarrow as pa
from attrs import field, frozen

from agora_analytics.core.arrow_columns import arrow_table
from agora_analytics.core.lenient_reader import show
from agora_analytics.core.numbers import exact_float
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.core.windows import Window
from agora_analytics.errors import DecodeError, RowsRefused
from agora_analytics.harvest.repair import day_windows, finish_repair, repair_and_read
from agora_analytics.harvest.report import CallSkipped, CallStored, HarvestReport, PointsStored
from agora_analytics.harvest.unit_runner import Outcome, Unit, UnitRunner
from agora_analytics.harvest.unreadable_log import UnreadableLog
from agora_analytics.schemas import POINTS
from agora_analytics.store import Repair, Units
from agora_analytics.store.harvest_writer import HarvestWriter
from agora_analytics.store.layout import stored_id
from agora_analytics.store.quality import map_metric

_TABLE = "points"


@frozen(kw_only=True)
class FetchedPoints:
    """The fetched rows of a unit.

    Attributes:
        rows: in the schema of `points`.
        missing: what the server left out; "" if nothing.
        skipped: the records that could not be read.
    """

    rows: pa.Table = field(repr=False)
    missing: str = ""
    skipped: Sequence[SkippedRecord] = ()


@frozen(kw_only=True)
class PointsUnit:
    """One unit of `points`: an OpenTok meeting, a project day, a UTC day of a metric.

    Attributes:
        name: a pure function of the work, so that a second run writes the same object.
        day: the UTC day of its rows.
        is_final: returns whether its data is final by now, as far as the server's time is known. A unit whose data is
            not final is stored as incomplete, and fetched again by a later run.
        refetch_every_run: whether every run fetches an incomplete unit again; False: only the first run that finds
            its data final.
        fetch: fetches its rows.
    """

    name: str
    day: str
    is_final: Callable[[], bool] = field(repr=False)
    refetch_every_run: bool = True
    fetch: Callable[[], Awaitable[FetchedPoints]] = field(repr=False)


async def harvest_points(
    runner: UnitRunner,
    store: HarvestWriter,
    app_id: str,
    window: Window,
    list_units: Callable[[Collection[str], Sequence[Window]], AsyncIterable[PointsUnit]],
    *,
    reach: Window,
    verify: bool,
) -> HarvestReport:
    """Fetch and store the units of a time range that the store does not have complete.

    `list_units` takes the names of the incomplete units in the store, and the UTC days within the reach that lost rows.
    Both have to be fetched again whatever the time range. It yields the units of the range and of these days, and the
    incomplete ones that can still be fetched.
    """
    repaired, stored = await repair_and_read(
        runner, store, app_id, partial(store.units, app_id), refetch_from=reach.start, verify=verify
    )
    lost = [
        part
        for ends in day_windows(repaired.points_days, reach.start)
        if (part := Window(*ends).intersection(reach))
    ]
    log = await runner.open_log(store, app_id)
    writer = _PointsWriter(runner, store, app_id, log)

    async def batches() -> AsyncGenerator[list[Unit], None]:
        complete = set[str]()
        async for unit in list_units(stored.pending[_TABLE], lost):
            if not is_stored(unit, stored):
                yield [Unit(name=unit.name, run=partial(writer.fetch, unit))]
            elif unit.name not in complete:
                complete.add(unit.name)
                runner.counts.known_before += 1

    await runner.run(batches())
    repaired_points = Repair(points_days=repaired.points_days)
    await finish_repair(runner, store, app_id, repaired_points, refetch_from=reach.start)
    return runner.report(window)


@frozen
class _PointsWriter:
    """Fetches units and commits each with one lock.

    An incomplete unit is also written as an empty pending unit, first: the mark by which the next run knows that it
    has to fetch the unit again. A second write of a unit replaces the first, but incomplete rows never replace complete
    ones. So a process may end at any time.
    """

    _runner: UnitRunner
    _store: HarvestWriter
    _app_id: str
    _log: UnreadableLog

    async def fetch(self, unit: PointsUnit) -> Outcome:
        """Fetch and commit one unit."""
        was_final = unit.is_final()
        fetched = await unit.fetch()
        # The first response of a run may show that the local clock is ahead.
        complete = was_final and unit.is_final() and not fetched.missing
        await self._log.note(unit.name, fetched.skipped)
        if not await asyncio.to_thread(self._commit, unit, fetched.rows, complete=complete):
            return Outcome.ALREADY_STORED
        emit, sessions = self._runner.emit, len(fetched.rows["session_id"].unique().drop_null())
        emit(PointsStored(call_id=unit.name, points=fetched.rows.num_rows))
        emit(CallStored(call_id=unit.name, sessions=sessions, finished=complete))
        if fetched.missing:
            reason = f"incomplete response, the next run fetches it again: {fetched.missing}"
            emit(CallSkipped(call_id=unit.name, reason=reason))
        return Outcome.STORED

    def _commit(self, unit: PointsUnit, rows: pa.Table, *, complete: bool) -> bool:
        with self._store.commit_lock(self._app_id):
            partition: dict[str, Any] = {"app_id": self._app_id, "day": unit.day}
            if not complete:
                marked = self._store.read(_TABLE, unit.name, **partition, pending=True) is not None
                stored = self._store.read(_TABLE, unit.name, **partition, pending=False)
                if stored is not None and stored.num_rows and not marked:
                    return False
                self._store.put(_TABLE, unit.name, POINTS.empty_table(), **partition, pending=True)
            self._store.put(_TABLE, unit.name, rows, **partition, pending=False, incomplete=not complete)
            if complete:
                self._store.discard(**partition, pending=[(_TABLE, unit.name)])
            return True


def is_stored(unit: PointsUnit, stored: Units) -> bool:
    """Return whether this run can rely on the stored rows of a unit."""
    name = stored_id(unit.name)
    if name not in stored.live[_TABLE]:
        return False
    return name not in stored.pending[_TABLE] or not (unit.refetch_every_run or unit.is_final())


def fetched_points(
    vendor: str,
    points: Iterable[Mapping[str, Any]],
    *,
    missing: str = "",
    skipped: Sequence[SkippedRecord] = (),
) -> FetchedPoints:
    """Return points as the rows of a unit; the arguments as `points_table` and `FetchedPoints`.

    A point without a time, or whose `value` is not a number that the table can hold, is skipped. The skipped points of a
    session and metric are named together, because a server that sends one of them usually sends many. A caller passes a
    value that could not be read as it was sent.
    """
    stored, refused = list[Mapping[str, Any]](), defaultdict[str, list[str]](list)
    for point in points:
        ts, value = point["ts"], point["value"]
        if ts is not None and (value is None or exact_float(value) is not None):
            stored.append(point)
        else:
            at = (
                "a time that is missing or cannot be read"
                if ts is None
                else f"{show(value)} at {ts.isoformat()}"
            )
            refused[" ".join(filter(None, (point.get("session_id"), point["source"])))].append(at)
    named = [
        SkippedRecord(
            path="$", key=key, reason=f"{len(found)} points cannot be stored; the first has {found[0]}"
        )
        for key, found in refused.items()
    ]
    return FetchedPoints(rows=points_table(vendor, stored), missing=missing, skipped=[*skipped, *named])


def points_table(vendor: str, points: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return points as rows of the table `points`, in common names and units.

    Each point has `source` (the vendor's metric name), `value`, `ts` (an aware datetime), and values of further columns
    of the table. Its `unit` is used where the metric has no common name.
    """
    rows = []
    for point in points:
        target = map_metric(vendor, point["source"], point.get("unit", ""))
        value = point["value"]
        if value is not None and target.factor != 1:
            value *= target.factor
        common = {"vendor": vendor, "metric": target.metric, "unit": target.unit, "value": value}
        rows.append({**point, **common, "source_metric": point["source"]})
    try:
        return arrow_table(rows, POINTS)
    except DecodeError as problem:
        raise RowsRefused(f"a point has a value that cannot be stored: {problem}") from problem
