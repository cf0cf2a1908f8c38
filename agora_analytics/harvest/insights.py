"""What Data Insights tells of an app's quality, hour by hour, into `points`: join success above all."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agora_analytics.agora.enums import Granularity, QualityMetric
from agora_analytics.agora.operations import INSIGHT_QUALITY, LISTS
from agora_analytics.core.windows import Window
from agora_analytics.errors import WindowOutOfReach
from agora_analytics.harvest.events import HarvestObserver
from agora_analytics.harvest.report import HarvestReport
from agora_analytics.harvest.unit_runner import Fetched, IncompleteUnits, PointsUnit, UnitRunner, rows_of
from agora_analytics.instants import DAY, Instant, epoch_seconds, utc_day
from agora_analytics.store import Store, open_store

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

VENDOR = "agora"
_AT_ONCE = 4
_NAME = "insight."
_CHANGES = 2 * DAY
"""Seconds behind a day's end for which its numbers are computed again (`reference/agora-analytics-api.md`)."""


async def harvest_insights(
    client: "AsyncAgora",
    metrics: Sequence[QualityMetric | str] = (QualityMetric.JOIN_SUCCESS_RATE,),
    *,
    since: Instant,
    until: Instant = "now",
    store: Store | str | Path,
    observer: HarvestObserver | None = None,
) -> HarvestReport:
    """Bring quality metrics of each UTC day of a range, hour by hour, into a store, one request each.

    Calls and their samples do not tell who failed to join; these do. A day is asked for when all of it is there, 6
    hours after its end. The server computes its numbers again until 2 days later: so one that was asked for before is
    asked for once more by the first run after that, whatever its range and metrics. A plan has 40 to 60 of these
    requests a day: a metric that is kept every day takes two of them.

    Args:
        client: who asks.
        metrics: a `QualityMetric`, or a raw name, or several.
        since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
        until: likewise.
        store: a `Store`, or the folder of one, which is made if it is not there.
        observer: called with every `HarvestEvent`.

    Returns:
        What was done, with days of a metric as its `calls`; `ongoing` are those whose numbers may still change.

    Raises:
        InvalidRequest: the plan has no Data Insights; milliseconds, naive datetimes, `until` not after `since`.
        WindowOutOfReach: the range ends before the plan's reach.
        As `harvest`.

    Example:
        async with AsyncAgora.from_env() as client:
            await harvest_insights(client, since="7d", store="calls.store")
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    wanted = _wanted(client, since, until)
    opened = (
        await asyncio.to_thread(open_store, store, create=True) if isinstance(store, str | Path) else store
    )
    runner = UnitRunner(
        client, opened, client.settings.app_id, window=wanted, observer=observer, at_once=_AT_ONCE
    )
    return await runner.bring(partial(_units, client, names, wanted))


def _wanted(client: "AsyncAgora", since: Instant, until: Instant) -> Window:
    """Return what of a range can be asked for; the last moment that can, if all of the range is too recent."""
    try:
        return client.legal_window(INSIGHT_QUALITY, since, until)
    except WindowOutOfReach as out:
        _, last = out.legal
        if epoch_seconds(since, now=client.reach(LISTS).end, name="since") <= last:
            raise
        return Window(int(last), int(last))


async def _units(
    client: "AsyncAgora", metrics: Sequence[str], wanted: Window, marked: IncompleteUnits
) -> AsyncGenerator[PointsUnit, None]:
    reach = client.reach(INSIGHT_QUALITY)
    for metric, start in _marked_days(marked):
        if reach.start <= start and _is_final(start, reach):
            yield _unit(client, metric, start, whole=True)
    for start in range(wanted.start // DAY * DAY, wanted.end + 1, DAY):
        if reach.start <= start and start + DAY - 1 <= reach.end:
            for metric in metrics:
                yield _unit(client, metric, start, whole=_is_final(start, reach))


def _marked_days(marked: IncompleteUnits) -> Iterator[tuple[str, int]]:
    """Yield the metric of each marked unit, and when its day begins."""
    for name in sorted(marked):
        if name.startswith(_NAME):
            metric, _, day = name.removeprefix(_NAME).rpartition(".")
            yield metric, int(epoch_seconds(day, now=0))


def _is_final(start: int, reach: Window) -> bool:
    return start + DAY + _CHANGES <= reach.end


def _unit(client: "AsyncAgora", metric: str, start: int, *, whole: bool) -> PointsUnit:
    async def fetch() -> Fetched:
        rows = await client.insights.quality(metric, start, start + DAY, granularity=Granularity.HOUR)
        points = ({"ts": row.at, "source": row.metric, "value": row.value} for row in rows)
        return Fetched(rows=rows_of(VENDOR, points))

    day = utc_day(start)
    return PointsUnit(name=f"{_NAME}{metric}.{day}", day=day, whole=whole, every_run=False, fetch=fetch)
