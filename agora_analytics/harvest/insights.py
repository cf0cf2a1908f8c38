"""The harvest of Agora's Data Insights: quality metrics of an app by hour, above all join success, into `points`."""

from collections.abc import AsyncGenerator, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from agora_analytics.agora.enums import Granularity, QualityMetric
from agora_analytics.agora.operations import LISTS
from agora_analytics.agora.query_operations import INSIGHT_QUALITY
from agora_analytics.core.windows import Window
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.harvest.harvest_log import log_run
from agora_analytics.harvest.points import FetchedPoints, PointsUnit, fetched_points, harvest_points
from agora_analytics.harvest.report import HarvestObserver, HarvestReport
from agora_analytics.harvest.run import HarvestStore, committing, open_or_create
from agora_analytics.harvest.unit_runner import UnitRunner
from agora_analytics.instants import DAY, Instant, epoch_seconds, utc_day

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

VENDOR = "agora"
_CONCURRENCY = 4
_PREFIX = "insight."
_RECOMPUTED_FOR = 2 * DAY
"""Seconds after a day's end during which the server recomputes its values (see docs/limits.md)."""


async def harvest_insights(
    client: "AsyncAgora",
    metrics: Sequence[QualityMetric | str] = (QualityMetric.JOIN_SUCCESS_RATE,),
    *,
    since: Instant,
    until: Instant = "now",
    store: HarvestStore,
    observer: HarvestObserver | None = None,
    verify: bool = False,
) -> HarvestReport:
    """Store quality metrics of each UTC day of a range, hour by hour, with one request for each metric and day.

    Calls and their samples do not include users who failed to join; these metrics do. A day is fetched once it is
    available completely, 6 hours after its end. The server recomputes the values of a day for 2 days after its end. A
    day that was fetched earlier is fetched once more by the first run after that, whatever the range and metrics of
    the run. A plan allows 40 to 60 of these requests a day; a metric that is harvested every day takes two of them.

    Args:
        client: the client.
        metrics: a `QualityMetric` or a raw name, or several.
        since: an aware datetime, ISO 8601, epoch seconds, or a relative time (`6h`, `2d`).
        until: likewise.
        store: a store, or the folder of one, which is created if it does not exist.
        observer: called with every `HarvestEvent`.
        verify: read every page of the store, as for `harvest`.

    Returns:
        The report. Its `calls` are days of a metric; `ongoing` are those whose values may still change.

    Raises:
        InvalidRequest: the plan does not include Data Insights; milliseconds, naive datetimes, `until` not after `since`.
        WindowOutOfReach: the range ends before the plan's retention.
        AgoraAnalyticsError: as `harvest`.

    Example:
        async with AsyncAgora.from_env() as client:
            await harvest_insights(client, since="7d", store="calls.store")
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    with log_run(client, since, until):
        window = _window(client, since, until)
        opened = await open_or_create(store)
        runner = UnitRunner(client, observer, concurrency=_CONCURRENCY)
        async with committing(opened):
            return await harvest_points(
                runner,
                opened,
                client.settings.app_id,
                window,
                partial(_units, client, names, window),
                reach=client.reach(INSIGHT_QUALITY),
                verify=verify,
            )


def _window(client: "AsyncAgora", since: Instant, until: Instant) -> Window:
    """Return the part of a range within the reach; the last second of the reach if the range is too recent."""
    try:
        return client.legal_window(INSIGHT_QUALITY, since, until)
    except WindowOutOfReach as error:
        _, last = error.legal
        if epoch_seconds(since, now=client.reach(LISTS).end, name="since") <= last:
            raise
        return Window(int(last), int(last))


async def _units(
    client: "AsyncAgora",
    metrics: Sequence[str],
    window: Window,
    incomplete_units: Collection[str],
    lost: Sequence[Window],
) -> AsyncGenerator[PointsUnit, None]:
    reach = client.reach(INSIGHT_QUALITY)
    for name in sorted(incomplete_units):
        if name.startswith(_PREFIX):
            metric, _, day = name.removeprefix(_PREFIX).rpartition(".")
            start = int(epoch_seconds(day, now=0))
            unit = _unit(client, metric, start)
            if unit.is_final() and reach.start <= start:
                yield unit
    starts = {*range(window.start // DAY * DAY, window.end + 1, DAY), *(day.start for day in lost)}
    for start in sorted(starts):
        if reach.start <= start and start + DAY - 1 <= reach.end:
            for metric in metrics:
                yield _unit(client, metric, start)


def _unit(client: "AsyncAgora", metric: str, start: int) -> PointsUnit:
    async def fetch() -> FetchedPoints:
        values = await client.insights.quality(metric, start, start + DAY, granularity=Granularity.HOUR)
        points = (
            {
                "ts": point.at,
                "source": point.metric,
                "value": point.extra.get(metric) if point.value is None else point.value,
            }
            for point in values
        )
        return fetched_points(VENDOR, points, skipped=values.skipped)

    day = utc_day(start)
    return PointsUnit(
        name=f"{_PREFIX}{metric}.{day}",
        day=day,
        is_final=lambda: start + DAY + _RECOMPUTED_FOR <= client.reach(INSIGHT_QUALITY).end,
        refetch_every_run=False,
        fetch=fetch,
    )
