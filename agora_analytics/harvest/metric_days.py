"""The harvest of ApsaraVideo: each metric of each UTC day of a time range, into `points`."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from agora_analytics.apsaravideo.facts import DAY, OPEN_FOR, Metric
from agora_analytics.core.windows import Window
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.harvest.events import HarvestObserver
from agora_analytics.harvest.report import HarvestReport
from agora_analytics.harvest.unit_runner import (
    FetchedPoints,
    IncompleteUnits,
    PointsUnit,
    UnitRunner,
    points_table,
)
from agora_analytics.instants import Instant, epoch_seconds, utc_day
from agora_analytics.store import Store

if TYPE_CHECKING:
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo

VENDOR = "apsaravideo"
_CONCURRENCY = 16


async def harvest_metric_days(
    client: "AsyncApsaraVideo",
    *,
    since: Instant,
    until: Instant,
    store: Store,
    observer: HarvestObserver | None = None,
) -> HarvestReport:
    """Bring all metrics of an app, over all of its users, into a store.

    UTC days are fetched whole, also where the range begins or ends within one: one request for each metric and day.
    The day that still goes on, or has just ended, is fetched again by the next run, whatever its range.
    """
    days = utc_days(client, since, until)
    runner = UnitRunner(
        client,
        store,
        client.app_id,
        window=Window(days[0].start, days[-1].end),
        observer=observer,
        concurrency=_CONCURRENCY,
    )
    return await runner.run(partial(_units, client, days))


def utc_days(client: "AsyncApsaraVideo", since: Instant, until: Instant) -> list[Window]:
    """Return what can be asked for of each UTC day that a time range touches.

    Raises:
        WindowOutOfReach: nothing of the range.
        InvalidRequest: milliseconds, naive datetimes, `until` not after `since`.
    """
    reach = client.reach()
    first = epoch_seconds(since, now=reach.end, name="since")
    wanted = Window.half_open(first, epoch_seconds(until, now=reach.end, name="until"))
    starts = range(wanted.start // DAY * DAY, wanted.end + 1, DAY)
    days = [part for start in starts if (part := Window(start, start + DAY - 1).intersection(reach))]
    if not days:
        raise WindowOutOfReach("the time range is out of reach", legal=(reach.start, reach.end))
    return days


async def _units(
    client: "AsyncApsaraVideo", days: Sequence[Window], incomplete_units: IncompleteUnits
) -> AsyncGenerator[PointsUnit, None]:
    for unit in metric_day_units(client, days, incomplete_units):
        yield unit


def metric_day_units(
    client: "AsyncApsaraVideo", days: Sequence[Window], incomplete_units: IncompleteUnits = ()
) -> Iterator[PointsUnit]:
    """Yield each metric of each day, and what is marked of others, one request each."""
    for day in dict.fromkeys([*_incomplete_days(client, incomplete_units), *days]):
        for metric in Metric:
            unit = _unit(client, metric, day)
            if day in days or unit.name in incomplete_units:
                yield unit


def _incomplete_days(client: "AsyncApsaraVideo", incomplete_units: IncompleteUnits) -> Iterator[Window]:
    reach = client.reach()
    for day in sorted({name.rpartition(".")[2] for name in incomplete_units}):
        start = int(epoch_seconds(day, now=reach.end))
        # of a day that is not all in reach any more, less would come than is there
        if reach.start <= start <= reach.end:
            yield Window(start, min(start + DAY - 1, reach.end))


def _unit(client: "AsyncApsaraVideo", metric: Metric, window: Window) -> PointsUnit:
    async def fetch() -> FetchedPoints:
        points_found = await client.interaction_metrics(metric, window.start, window.end + 1).collect()
        points = ({"ts": point.at, "source": point.metric, "value": point.value} for point in points_found)
        return FetchedPoints(rows=points_table(VENDOR, points))

    day = utc_day(window.start)
    ends = window.start // DAY * DAY + DAY
    complete = client.reach().end >= ends + OPEN_FOR
    return PointsUnit(name=f"{metric}.{day}", day=day, complete=complete, fetch=fetch)
