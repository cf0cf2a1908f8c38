"""The harvest of ApsaraVideo: each metric of each UTC day of a time range, into `points`."""

from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from agora_analytics.apsaravideo.spec import DAY, OPEN_FOR, Metric
from agora_analytics.core.windows import Window
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.harvest.points import FetchedPoints, PointsUnit, fetched_points, harvest_points
from agora_analytics.harvest.report import HarvestObserver, HarvestReport
from agora_analytics.harvest.unit_runner import UnitRunner
from agora_analytics.instants import Instant, epoch_seconds, utc_day
from agora_analytics.store.harvest_writer import HarvestWriter

if TYPE_CHECKING:
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo

VENDOR = "apsaravideo"
_CONCURRENCY = 16


async def harvest_metric_days(
    client: "AsyncApsaraVideo",
    store: HarvestWriter,
    days: Sequence[Window],
    observer: HarvestObserver | None,
    *,
    verify: bool,
) -> HarvestReport:
    """Store all metrics of an app, aggregated over its users, for whole UTC days."""
    runner = UnitRunner(client, observer, concurrency=_CONCURRENCY)
    window = Window(days[0].start, days[-1].end)
    units = partial(metric_day_units, client, days)
    return await harvest_points(
        runner, store, client.app_id, window, units, reach=client.reach(), verify=verify
    )


def utc_days(client: "AsyncApsaraVideo", since: Instant, until: Instant) -> list[Window]:
    """Return the part within the retention of each UTC day that a time range touches. Raise `WindowOutOfReach` if none is."""
    reach = client.reach()
    first = epoch_seconds(since, now=reach.end, name="since")
    window = Window.half_open(first, epoch_seconds(until, now=reach.end, name="until"))
    starts = range(window.start // DAY * DAY, window.end + 1, DAY)
    days = [part for start in starts if (part := Window(start, start + DAY - 1).intersection(reach))]
    if not days:
        raise WindowOutOfReach(
            "the whole time range is outside the plan's retention", legal=(reach.start, reach.end)
        )
    return days


async def metric_day_units(
    client: "AsyncApsaraVideo",
    days: Sequence[Window],
    incomplete_units: Collection[str],
    lost: Sequence[Window] = (),
) -> AsyncGenerator[PointsUnit, None]:
    """Yield each metric of each day, and the incomplete units of other days; each is one request."""
    days = list(dict.fromkeys([*lost, *days]))
    for day in dict.fromkeys([*_incomplete_days(client, incomplete_units), *days]):
        for metric in Metric:
            unit = _unit(client, metric, day)
            if day in days or unit.name in incomplete_units:
                yield unit


def _incomplete_days(client: "AsyncApsaraVideo", incomplete_units: Collection[str]) -> Iterator[Window]:
    reach = client.reach()
    for day in sorted({name.rpartition(".")[2] for name in incomplete_units}):
        start = int(epoch_seconds(day, now=reach.end))
        # the response for a day partly outside the retention would have fewer rows than the store
        if reach.start <= start <= reach.end:
            yield Window(start, min(start + DAY - 1, reach.end))


def _unit(client: "AsyncApsaraVideo", metric: Metric, window: Window) -> PointsUnit:
    async def fetch() -> FetchedPoints:
        listing = client.interaction_metrics(metric, window.start, window.end + 1)
        pages = [page async for page in listing.pages()]
        values = [point for page in pages for point in page.records]
        points = (
            {
                "ts": point.at,
                "source": point.metric,
                "value": point.raw if point.value is None else point.value,
            }
            for point in values
        )
        skipped = [record for page in pages for record in page.skipped]
        return fetched_points(VENDOR, points, skipped=skipped)

    day = utc_day(window.start)
    day_end = window.start // DAY * DAY + DAY
    return PointsUnit(
        name=f"{metric}.{day}",
        day=day,
        is_final=lambda: client.reach().end >= day_end + OPEN_FOR,
        fetch=fetch,
    )
