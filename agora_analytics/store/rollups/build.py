"""Writes the roll-ups that are missing: of a day after its compaction, or of all days on request."""

import time
from collections.abc import Callable, Iterator

import duckdb
import pyarrow as pa
from attrs import field, frozen

from agora_analytics.core.record import Record
from agora_analytics.logs import logger_of, one_line
from agora_analytics.store.layout import Layout
from agora_analytics.store.locks import FolderLock
from agora_analytics.store.rollups.files import ROLLUPS, Rollup, RollupDay, rollup_days

_log = logger_of("store")
_FAILURES = (OSError, duckdb.Error, pa.ArrowException, UnicodeDecodeError)

_NOT_COMPACTED = "the day is not compacted"


@frozen(kw_only=True)
class BuiltRollup(Record):
    """A roll-up that was written: its kind, app and day, its bytes, and the seconds that this took."""

    name: str
    app_id: str
    day: str
    bytes: int
    seconds: float


@frozen(kw_only=True)
class SkippedRollup(Record):
    """A roll-up that was not written, with the reason. Queries read the samples of that day instead."""

    name: str
    app_id: str
    day: str
    reason: str


@frozen(kw_only=True)
class RollupReport(Record):
    """The result of writing roll-ups.

    Attributes:
        built: the roll-ups that were written.
        valid: the number of roll-ups that were valid already.
        skipped: the roll-ups that were not written, with the reasons.
    """

    built: tuple[BuiltRollup, ...] = field(default=())
    valid: int = 0
    skipped: tuple[SkippedRollup, ...] = field(default=())


def build_rollups(
    layout: Layout,
    lock_of: Callable[[str], FolderLock],
    *,
    app_id: str | None = None,
    day: str | None = None,
    rebuild: bool = False,
) -> RollupReport:
    """Write the roll-ups of compacted days. See `StoreWriter.build_rollups`. `day`: only this day."""
    built: list[BuiltRollup] = []
    skipped: list[SkippedRollup] = []
    valid = 0
    for found in _days(layout, app_id, day):
        # shared, as writers hold it: harvests continue, and no compaction replaces the files
        with lock_of(found.app_id).shared():
            for current in rollup_days(layout, found.rollup, app_id=found.app_id, day=found.day):
                outcome = _build(current, rebuild=rebuild)
                if outcome is None:
                    valid += 1
                elif isinstance(outcome, BuiltRollup):
                    built.append(outcome)
                else:
                    skipped.append(outcome)
    return RollupReport(built=tuple(built), valid=valid, skipped=tuple(skipped))


def _days(layout: Layout, app_id: str | None, day: str | None) -> Iterator[RollupDay]:
    rollups: tuple[Rollup, ...] = ROLLUPS
    for rollup in rollups:
        yield from list(rollup_days(layout, rollup, app_id=app_id, day=day))


def _build(day: RollupDay, *, rebuild: bool) -> BuiltRollup | SkippedRollup | None:
    """Write one roll-up; return None if it is valid already."""
    kind = {"name": day.rollup.name, "app_id": day.app_id, "day": day.day}
    if not day.is_compacted:
        return SkippedRollup(**kind, reason=_NOT_COMPACTED)
    if not rebuild and day.valid_file():
        return None
    begun = time.monotonic()
    try:
        size = day.build().stat().st_size
    except _FAILURES as problem:
        # not an error of the compaction: the tables are complete, and queries read the samples
        reason = one_line(str(problem))
        _log.warning("did not write the roll-up %s of %s: %s", day.rollup.name, day.day, reason)
        return SkippedRollup(**kind, reason=reason)
    return BuiltRollup(**kind, bytes=size, seconds=time.monotonic() - begun)
