"""Closed days, from a file for each unit to a few files for each table, under the eyes of any reader.

The new files of a day are built aside, counted, flushed to the disk, and then the whole folder of the day changes places
with the new one in a single step. A reader that listed the old names finds them gone (and lists again), or still has
them open; it never meets old and new rows together, because no name is ever used for both.
"""

import secrets
import shutil
import time
from collections.abc import Iterator

from attrs import field, frozen

from agora_analytics.store import atomic_exchange, merge
from agora_analytics.store.completeness import CallsDay, Day, DayIncomplete, PointsDay
from agora_analytics.store.failures import flush, translate_os_errors
from agora_analytics.store.layout import COMPACTED, Layout, decode_id, encode_id, validate_day
from agora_analytics.store.locks import FolderLock
from agora_analytics.store.reading import parquet_names, partitions

LISTED_WITHIN = 60.0
"""Seconds after which nobody lists a folder any more that was replaced; then the next compaction removes it."""

_BUSY = "a harvest is writing to the store; compact when it has ended"
_NO_EXCHANGE = (
    "this file system cannot exchange two folders in one step; the files stay as they are and are all valid"
)


@frozen(kw_only=True)
class CompactedDay:
    """One app's day that was compacted: its rows, and its files and bytes before and after.

    Over `calls`, `sessions` and `metrics`, or over `points`: these are compacted for themselves.
    """

    app_id: str
    day: str
    rows: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


@frozen(kw_only=True)
class SkippedDay:
    """One app's day that was left as it is, and why."""

    app_id: str
    day: str
    reason: str


@frozen(kw_only=True)
class CompactReport:
    """What a compaction did.

    Attributes:
        compacted: the days that have a few files now.
        skipped: the days that still have many, each with the reason. Days that had nothing to compact are in neither.
    """

    compacted: tuple[CompactedDay, ...] = field(default=())
    skipped: tuple[SkippedDay, ...] = field(default=())


def compact(
    layout: Layout, lock: FolderLock, *, closed_before: str, app_id: str | None = None
) -> CompactReport:
    """Compact each closed day that has units. Days with something that is not whole are left alone.

    Args:
        layout: the store's paths.
        lock: the store's lock; taken for one day at a time, so that a waiting harvest soon goes on.
        closed_before: days before this UTC day are closed.
        app_id: only this app.

    Raises:
        StoreError: if the disk is full, a file is damaged, or a copy is not equal; that day's tables are as before.
    """
    validate_day(closed_before)
    _sweep(layout)
    done: list[CompactedDay] = []
    skipped: list[SkippedDay] = []
    with translate_os_errors("cannot list", layout.folder):
        days = list(_days_with_units(layout, closed_before, app_id))
    for day in days:
        with (
            lock.exclusive() as alone,
            translate_os_errors("cannot compact", f"{layout.folder} ({day.app_id}, {day.day})"),
        ):
            outcome = _compact_day(layout, day) if alone else _BUSY
        if isinstance(outcome, str):
            skipped.append(SkippedDay(app_id=day.app_id, day=day.day, reason=outcome))
        else:
            done.append(outcome)
    return CompactReport(compacted=tuple(done), skipped=tuple(skipped))


def _sweep(layout: Layout) -> None:
    """Remove the folders that were replaced a while ago."""
    # A reader that lists a folder while its files are removed would find some of them, and miss rows in silence.
    with translate_os_errors("cannot list", layout.replaced):
        for folder in layout.replaced.glob("*"):
            if time.time() - folder.stat().st_ctime > LISTED_WITHIN:
                shutil.rmtree(folder, ignore_errors=True)


def _days_with_units(layout: Layout, closed_before: str, app_id: str | None) -> Iterator[Day]:
    wanted = None if app_id is None else encode_id(app_id)
    for kind in (CallsDay, PointsDay):
        found = {
            (app, day)
            for table in kind.tables
            for app, app_folder in partitions(layout.table(table), "app_id")
            if wanted in {None, app}
            for day, folder in partitions(app_folder, "day")
            if day < closed_before and any(not name.startswith(COMPACTED) for name in parquet_names(folder))
        }
        for app, day in sorted(found):
            yield kind(layout, app_id=decode_id(app), day=day)


def _compact_day(layout: Layout, day: Day) -> CompactedDay | str:
    # alone: whatever is being written aside belongs to a process that ended in the middle
    shutil.rmtree(layout.staging, ignore_errors=True)
    try:
        if not atomic_exchange.works_in(layout.staging):
            return _NO_EXCHANGE
        day.require_whole()
        rewritten = [
            merge.rewrite(day, table, layout.staging / table) for table in day.tables if day.units(table)
        ]
        for copy in rewritten:
            merge.verify(copy)
        for copy in rewritten:
            atomic_exchange.exchange(copy.folder, copy.live)
            flush(copy.live.parent)
            layout.replaced.mkdir(exist_ok=True)
            copy.folder.rename(layout.replaced / secrets.token_hex(8))
    except DayIncomplete as reason:
        return str(reason)
    finally:
        shutil.rmtree(layout.staging, ignore_errors=True)
    return CompactedDay(
        app_id=day.app_id,
        day=day.day,
        rows=sum(copy.rows for copy in rewritten),
        files_before=sum(len(copy.sources) for copy in rewritten),
        files_after=sum(len(copy.files) for copy in rewritten),
        bytes_before=sum(copy.bytes_before for copy in rewritten),
        bytes_after=sum(copy.bytes_after for copy in rewritten),
    )
