"""Merges the files of closed days in a bucket, and deletes objects that no reader and no publisher needs."""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from agora_analytics.logs import logger_of
from agora_analytics.schemas import CALL_TABLES, TABLES
from agora_analytics.store.bucket import keys
from agora_analytics.store.bucket.bucket_errors import bucket_errors
from agora_analytics.store.bucket.delta_tables import (
    FILE_SIZE,
    DeltaTables,
    FencedTable,
    Overtaken,
    call_of_unit,
    condition,
    day_scalar,
    files_of,
)
from agora_analytics.store.bucket.objects import Objects
from agora_analytics.store.compaction import CompactedDay, CompactReport, SkippedDay, log_report
from agora_analytics.store.layout import short_id, unit_name, validate_day

_log = logger_of("store")

KEPT_HOURS = 7 * 24
"""Hours for which objects that are not in a log are kept: for readers with an older snapshot, and commits in progress."""

_UNFINISHED = "{} of its calls had not ended when they were stored; they are fetched again"
_READY = "it has calls that are not committed yet; a later compaction merges it"


def compact(
    objects: Objects,
    tables: DeltaTables,
    *,
    closed_before: str,
    app_id: str | None = None,
    calls_expired_before: float = -math.inf,
) -> CompactReport:
    """Merge the files of each closed day, and delete unused objects. See `HarvestWriter.compact`.

    A day with calls that are ready is skipped, because a publisher may have committed a part of them. The next one needs
    the names of their units to see that. They are listed after `metrics` and before `calls` is loaded: a call of this
    version of `metrics` that is not ready any more is in `calls`.
    """
    validate_day(closed_before)
    loaded = {table: tables.load_fenced(table) for table in ("points", "metrics")}
    ready = {(keys.app_of(key), keys.day_of(key)) for key in objects.list(keys.READY_CALLS)}
    loaded |= {table: tables.load_fenced(table) for table in ("sessions", "calls")}
    unfinished = _unfinished_days(loaded["calls"], calls_expired_before)
    skipped = {day: _UNFINISHED.format(count) for day, count in unfinished.items()}
    skipped |= dict.fromkeys(ready, _READY)
    report = defaultdict[tuple[str, str], list[_Change]](list)
    for table, fenced in loaded.items():
        kept = skipped if table in CALL_TABLES else ()
        for day, sizes in _compact_table(fenced, closed_before, app_id, kept).items():
            report[day].append(sizes)
    if report or app_id is None:  # it lists the whole store, which is too much for each harvest of each app
        _delete_unused(objects, tables, calls_expired_before)
    compacted = [_compacted_day(app, day, sizes) for (app, day), sizes in sorted(report.items())]
    outcome = CompactReport(
        compacted=tuple(compacted),
        skipped=tuple(
            SkippedDay(app_id=app, day=day, reason=reason)
            for (app, day), reason in sorted(skipped.items())
            if day < closed_before and app_id in {None, app}
        ),
    )
    log_report(outcome)
    return outcome


def _compact_table(
    fenced: FencedTable, closed_before: str, app_id: str | None, kept: Collection[tuple[str, str]]
) -> dict[tuple[str, str], "_Change"]:
    """Compact the days of one table; return the changed days."""
    before = _sizes(fenced, app_id)
    merged = list[tuple[str, str]]()
    for (app, day), size in sorted(before.items()):
        if day < closed_before and size.small > 1 and (app, day) not in kept:
            try:
                fenced.compact(app, day)
                merged.append((app, day))
            except Overtaken:
                _log.info("%s of %s has changed meanwhile; the next compaction merges it", day, app)
    if not merged:
        return {}
    with bucket_errors("cannot read", fenced.delta.table_uri):
        fenced.delta.update_incremental()
    after = _sizes(fenced, app_id)
    return {day: _Change(before[day], after[day]) for day in merged}


def _sizes(fenced: FencedTable, app_id: str | None) -> dict[tuple[str, str], "_Size"]:
    files = files_of(fenced.delta, app_id=app_id)
    small = pc.less(files.column("size_bytes"), FILE_SIZE // 2).cast(pa.int64())
    groups = (
        files.append_column("small", small)
        .group_by(["app_id", "day"])
        .aggregate([("size_bytes", "count"), ("size_bytes", "sum"), ("num_records", "sum"), ("small", "sum")])
    )
    return {
        (row["app_id"], row["day"]): _Size(
            row["size_bytes_count"], row["size_bytes_sum"], row["num_records_sum"] or 0, row["small_sum"]
        )
        for row in groups.to_pylist()
    }


def _unfinished_days(calls: FencedTable, expired_before: float) -> dict[tuple[str, str], int]:
    """Return the number of snapshots in each app's day that can be fetched again."""
    with bucket_errors("cannot read", calls.delta.table_uri):
        rows = calls.delta.to_pyarrow_dataset().to_table(
            columns=["app_id", "day", "destroyed_ts"], filter=condition(finished=False)
        )
    if expired_before > -math.inf:
        limit = pa.scalar(
            datetime.fromtimestamp(0, UTC) + timedelta(seconds=expired_before), pa.timestamp("us", "UTC")
        )
        rows = rows.filter(pc.greater_equal(rows.column("destroyed_ts"), limit))
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows.to_pylist():
        counts[row["app_id"], row["day"].isoformat()] += 1
    return counts


def _delete_unused(objects: Objects, tables: DeltaTables, calls_expired_before: float) -> None:
    """Delete objects of the tables that have not been in a log for seven days, and that no commit will add.

    These are replaced files, files of commits that were refused or interrupted, and units of `metrics` that a call does
    not have in its final state. Units of other calls are kept, because a harvest may publish them at any time.

    `calls` is loaded first. If it has the final state of a call, all units of the call have been added to `metrics`.
    """
    calls = tables.load("calls")
    for table in TABLES:
        delta = tables.load(table)
        with bucket_errors("cannot list", delta.table_uri):
            # The mode `lite` finds the replaced files in the log, but a checkpoint forgets them after seven days.
            unused = delta.vacuum(KEPT_HOURS, dry_run=True, enforce_retention_duration=False, full=True)
        found = [f"{table}/{path}" for path in unused]
        objects.delete(_of_final_calls(found, calls, calls_expired_before) if table == "metrics" else found)


def _of_final_calls(unused: Sequence[str], calls: DeltaTable, expired_before: float) -> list[str]:
    """Return the keys without the units of calls that a harvest may still publish."""
    by_app = defaultdict[str, dict[str, str | None]](dict)
    for key in unused:
        by_app[keys.app_of(key)][key] = call_of_unit(unit_name(keys.file_name(key)))
    deleted = list[str]()
    for app_id, units in by_app.items():
        days = [day_scalar(day) for day in sorted({keys.day_of(key) for key in units})]
        with bucket_errors("cannot read", calls.table_uri):
            rows = calls.to_pyarrow_dataset().to_table(
                columns=["call_id", "finished", "destroyed_ts"], filter=condition(app_id=app_id, day=days)
            )
        final = {
            short_id(row["call_id"])
            for row in rows.to_pylist()
            if row["finished"] or row["destroyed_ts"].timestamp() < expired_before
        }
        deleted += [key for key, call in units.items() if call is None or call in final]
    return deleted


def _compacted_day(app_id: str, day: str, changes: Sequence["_Change"]) -> CompactedDay:
    return CompactedDay(
        app_id=app_id,
        day=day,
        rows=sum(change.after.rows for change in changes),
        files_before=sum(change.before.files for change in changes),
        files_after=sum(change.after.files for change in changes),
        bytes_before=sum(change.before.bytes for change in changes),
        bytes_after=sum(change.after.bytes for change in changes),
    )


class _Size(NamedTuple):
    """The files of one day of a table; `rows` only counts those of compacted files.

    A day is merged again if it has several small files. Only the last file of a merged day is small.
    """

    files: int
    bytes: int
    rows: int
    small: int


class _Change(NamedTuple):
    """The files of a day before and after its compaction."""

    before: _Size
    after: _Size
