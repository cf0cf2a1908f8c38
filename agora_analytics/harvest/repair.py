"""Repairs the store at the start and the end of a harvest."""

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

from attrs import evolve

from agora_analytics.errors import StoreDamaged
from agora_analytics.harvest.harvest_log import log_event
from agora_analytics.harvest.report import CallSkipped, HarvestEvent, HarvestObserver, HarvestReport
from agora_analytics.harvest.unit_runner import UnitRunner
from agora_analytics.instants import DAY, epoch_seconds
from agora_analytics.store.harvest_writer import HarvestWriter
from agora_analytics.store.records import FileDamaged, Repair

T = TypeVar("T")


async def repair_and_read(
    runner: UnitRunner,
    store: HarvestWriter,
    app_id: str,
    read: Callable[[], T],
    *,
    refetch_from: float,
    verify: bool,
) -> tuple[Repair, T]:
    """Repair the store, report the damaged files, and read what a harvest has to know about the stored rows.

    The first repair reads the footers of most files. If the read finds other damage, a second repair reads every page.
    """

    async def repair(*, verify: bool) -> Repair:
        repaired = await asyncio.to_thread(store.repair, app_id, refetch_from=refetch_from, verify=verify)
        for file in repaired.files:
            runner.emit(file)
        return repaired

    repaired = await repair(verify=verify)
    try:
        return repaired, await asyncio.to_thread(read)
    except StoreDamaged:
        repaired = await repair(verify=True)
        return repaired, await asyncio.to_thread(read)


async def finish_repair(
    runner: UnitRunner, store: HarvestWriter, app_id: str, repaired: Repair, *, refetch_from: float
) -> None:
    """Delete the damaged files whose rows this run fetched again. Files that could not be replaced are kept.

    If a unit found another damaged file, repair the store for the next run.
    """
    if runner.damage_found:
        again = await asyncio.to_thread(store.repair, app_id, refetch_from=refetch_from, verify=True)
        for file in again.files:
            runner.emit(file)
    elif runner.counts.complete:
        fetched = evolve(
            repaired,
            call_days=frozenset(whole_days(repaired.call_days, refetch_from)),
            points_days=frozenset(whole_days(repaired.points_days, refetch_from)),
        )
        if fetched.call_days or fetched.points_days or fetched.listings:
            await asyncio.to_thread(store.forget_repair, app_id, fetched)


def whole_days(days: Collection[str], since: float) -> list[str]:
    """Return the UTC days that begin at a second or later, sorted."""
    return [day for day in sorted(days) if _start(day) >= since]


def day_windows(days: Collection[str], since: float) -> list[tuple[int, int]]:
    """Return the first and last second of each UTC day that begins at a second or later."""
    return [(_start(day), _start(day) + DAY - 1) for day in whole_days(days, since)]


def _start(day: str) -> int:
    return int(epoch_seconds(day, now=0))


def with_damage(
    report: HarvestReport, files: Collection[FileDamaged], observer: HarvestObserver | None
) -> HarvestReport:
    """Return a report with the damaged files that were found after the harvest; the next run fetches them again."""
    skipped = [
        CallSkipped(call_id=file.path, reason=f"{file.reason}; the next run fetches its rows again")
        for file in files
    ]
    events: list[HarvestEvent] = [*files, *skipped]
    for event in events:
        log_event(event)
        if observer is not None:
            observer(event)
    return evolve(report, damaged=(*report.damaged, *files), skipped=(*report.skipped, *skipped))
