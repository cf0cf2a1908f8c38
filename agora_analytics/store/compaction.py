"""Merges the many files of each closed day into a few, while other processes read the store.

The lock of a day's app is held alone, so writers of other apps continue. The merged files of the day are written to
`_staging`, verified and flushed to the disk. Then the whole folder of the day
is exchanged with the new one in one atomic step. A reader that listed the old names finds them gone and lists again, or
still has the old files open. It never sees old and new rows together, because no file name is used twice.
"""

import hashlib
import math
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from attrs import define, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.errors import StoreDamaged, StoreError
from agora_analytics.logs import logger_of, one_line
from agora_analytics.store import atomic_exchange, parquet_file
from agora_analytics.store.completeness import CallsDay, Day, DayIncomplete, PointsDay
from agora_analytics.store.failures import translate_os_errors, translate_read_errors
from agora_analytics.store.layout import (
    COMPACTED,
    SUFFIX,
    Layout,
    decode_id,
    encode_id,
    parquet_names,
    partitions,
    validate_day,
)
from agora_analytics.store.locks import FolderLock
from agora_analytics.store.object_writer import flush
from agora_analytics.store.rollups.build import build_rollups
from agora_analytics.store.units import compaction_metadata

_log = logger_of("store")

LISTED_WITHIN = 60.0
"""Seconds for which a replaced folder is kept, for readers that are listing it. A later compaction removes it."""

ROWS_IN_A_FILE = 64 * parquet_file.ROW_GROUP
"""Approximate maximum of rows in a compacted file: about 70 MB of metrics."""

_BUSY = "a harvest is writing to the app; compact after it has ended"
_NO_EXCHANGE = (
    "this file system cannot exchange two folders atomically; the files were not merged and remain valid"
)


@frozen(kw_only=True)
class CompactedDay(Record):
    """The result of compacting one app's day: rows, and files and bytes before and after.

    The numbers are sums over `calls`, `sessions` and `metrics`, or those of `points`, which are compacted separately.
    """

    app_id: str
    day: str
    rows: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


@frozen(kw_only=True)
class SkippedDay(Record):
    """One app's day that was not compacted, with the reason; `damaged`: a file of it cannot be read."""

    app_id: str
    day: str
    reason: str
    damaged: bool = False


@frozen(kw_only=True)
class CompactReport(Record):
    """The result of a compaction. It does not include days that had nothing to compact.

    Attributes:
        compacted: the compacted days.
        skipped: the days that could not be compacted, with the reasons.
    """

    compacted: tuple[CompactedDay, ...] = field(default=())
    skipped: tuple[SkippedDay, ...] = field(default=())


def compact(
    layout: Layout,
    lock_of: Callable[[str], FolderLock],
    *,
    closed_before: str,
    app_id: str | None = None,
    calls_expired_before: float = -math.inf,
    points_expired_before: float = -math.inf,
) -> CompactReport:
    """Compact each closed day that has single units. See `StoreWriter.compact`.

    The lock is acquired for one day at a time, so that a waiting harvest can continue soon.
    """
    validate_day(closed_before)
    _remove_replaced(layout)
    compacted: list[CompactedDay] = []
    skipped: list[SkippedDay] = []
    with translate_os_errors("cannot list", layout.folder):
        expired = {CallsDay: calls_expired_before, PointsDay: points_expired_before}
        days = list(_days_with_units(layout, closed_before, app_id, expired))
    for day in days:
        with (
            lock_of(day.app_id).exclusive() as alone,
            translate_os_errors("cannot compact", f"{layout.folder} ({day.app_id}, {day.day})"),
        ):
            try:
                outcome = _compact_day(layout, day) if alone else _BUSY
            except StoreDamaged as error:
                skipped.append(SkippedDay(app_id=day.app_id, day=day.day, reason=str(error), damaged=True))
                continue
        if isinstance(outcome, str):
            skipped.append(SkippedDay(app_id=day.app_id, day=day.day, reason=outcome))
        else:
            compacted.append(outcome)
            build_rollups(layout, lock_of, app_id=day.app_id, day=day.day)
    report = CompactReport(compacted=tuple(compacted), skipped=tuple(skipped))
    log_report(report)
    return report


def log_report(report: CompactReport) -> None:
    """Write a line for each compacted and each skipped day to the log."""
    for done in report.compacted:
        _log.info(
            "compacted %s: %d files into %d, %d rows",
            done.day,
            done.files_before,
            done.files_after,
            done.rows,
        )
    for left in report.skipped:
        _log.info("did not compact %s: %s", left.day, one_line(left.reason))


def _remove_replaced(layout: Layout) -> None:
    # not earlier: a reader that lists a folder while its files are removed would miss rows without an error
    with translate_os_errors("cannot list", layout.replaced):
        for folder in layout.replaced.glob("*"):
            with suppress(FileNotFoundError):  # another compaction removes it
                if time.time() - folder.stat().st_ctime > LISTED_WITHIN:
                    shutil.rmtree(folder, ignore_errors=True)


def _days_with_units(
    layout: Layout, closed_before: str, app_id: str | None, expired_before: Mapping[type[Day], float]
) -> Iterator[Day]:
    wanted = None if app_id is None else encode_id(app_id)
    for kind, second in expired_before.items():
        days = {
            (app, day)
            for table in kind.tables
            for app, app_folder in partitions(layout.table(table), "app_id")
            if wanted in {None, app}
            for day, folder in partitions(app_folder, "day")
            if day < closed_before and any(not name.startswith(COMPACTED) for name in parquet_names(folder))
        }
        for app, day in sorted(days):
            yield kind(layout, app_id=decode_id(app), day=day, expired_before=second)


def _compact_day(layout: Layout, day: Day) -> CompactedDay | str:
    staging = layout.staging(day.app_id)
    # the lock is exclusive, so files in the staging folder of the app were left by an interrupted process
    shutil.rmtree(staging, ignore_errors=True)
    try:
        if not atomic_exchange.works_in(staging):
            return _NO_EXCHANGE
        day.require_complete()
        merged = _merge_tables(day, staging)
        for table in merged:
            _verify(table)
        for table in merged:
            atomic_exchange.exchange(table.folder, table.live)
            flush(table.live.parent)
            layout.replaced.mkdir(exist_ok=True)
            table.folder.rename(layout.replaced / secrets.token_hex(8))
    except DayIncomplete as reason:
        return str(reason)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return CompactedDay(
        app_id=day.app_id,
        day=day.day,
        rows=sum(table.rows for table in merged),
        files_before=sum(len(table.sources) for table in merged),
        files_after=sum(len(table.files) for table in merged),
        bytes_before=sum(table.bytes_before for table in merged),
        bytes_after=sum(table.bytes_after for table in merged),
    )


@frozen(kw_only=True)
class _MergedTable:
    """The merged files of one day of a table in a new folder, and the live folder with the files that they replace."""

    live: Path
    sources: tuple[Path, ...] = field(repr=False)
    folder: Path
    files: tuple[Path, ...] = field(repr=False)
    rows: int
    bytes_before: int
    bytes_after: int


@define
class _Source:
    """Reads the files of a day in order; counts their rows and collects the ids of their calls."""

    table: str
    files: tuple[Path, ...]
    rows: int = 0
    calls: set[str] = field(factory=set)

    def pieces(self) -> Iterator[pa.Table]:
        text = [
            name for name in parquet_file.ENCODINGS[self.table].dictionary if name not in {"mid", "value"}
        ]
        for path in self.files:
            with (
                translate_read_errors(path),
                pq.ParquetFile(
                    str(path), read_dictionary=text, pre_buffer=False, page_checksum_verification=True
                ) as file,
            ):
                parquet_file.check_columns(file.metadata, self.table)
                self.rows += file.metadata.num_rows
                for group in range(file.num_row_groups):
                    piece = file.read_row_group(group, use_threads=False)
                    self.calls |= set(pc.unique(piece.column("call_id")).to_pylist())
                    yield piece


def _merge_tables(day: Day, staging: Path) -> list[_MergedTable]:
    merged: list[_MergedTable] = []
    siblings: list[tuple[str, str]] = []
    for table in day.tables:
        # the file of the calls names the others, so it is written again with them
        if day.units(table) or (table == "calls" and merged and day.files(table)):
            merged.append(_merge(day, table, staging / table, siblings))
            files = merged[-1].files
        else:
            files = tuple(day.files(table))
        siblings += ((table, path.name) for path in files)
    return merged


def _merge(day: Day, table: str, folder: Path, siblings: Sequence[tuple[str, str]]) -> _MergedTable:
    """Write the rows of a day of one table into a new folder, in the order of the old names, and flush them.

    Raises:
        DayIncomplete: if a row belongs to a call that is not complete.
    """
    sources = tuple(day.files(table))
    sizes = [path.stat().st_size for path in sources]
    stem = f"{COMPACTED}{_fingerprint(sources, sizes)}"
    source = _Source(table, sources)
    folder.mkdir(parents=True)
    files: list[Path] = []
    pieces = source.pieces()
    first = next(pieces, None)
    while first is not None or not files:  # units without rows become one file without rows, with all columns
        rows = [] if first is None else _up_to(ROWS_IN_A_FILE, chain([first], pieces))
        path = folder / f"{stem}~{len(files):05d}{SUFFIX}"
        metadata = day.metadata() | compaction_metadata(sources, siblings if table == "calls" else ())
        parquet_file.write(path, table, rows, metadata=None if files else metadata)
        flush(path)
        files.append(path)
        first = next(pieces, None)
    flush(folder)
    day.require_complete_calls(table, source.calls)
    return _MergedTable(
        live=day.folder(table),
        sources=sources,
        folder=folder,
        files=tuple(files),
        rows=source.rows,
        bytes_before=sum(sizes),
        bytes_after=sum(path.stat().st_size for path in files),
    )


def _verify(merged: _MergedTable) -> None:
    """Check the merged files, read back from the disk, against their sources before they replace them."""
    rows = 0
    for path in merged.files:
        with translate_read_errors(path):
            rows += pq.read_metadata(path).num_rows
    if rows != merged.rows:
        raise StoreError(
            f"compaction of {merged.live} produced {rows} rows from {merged.rows}; nothing was changed; please report this"
        )
    if {path.name for path in merged.live.iterdir()} != {path.name for path in merged.sources}:
        raise StoreError(
            f"files were added to {merged.live} during its compaction; nothing was changed; compact when no harvest runs"
        )


def _up_to(limit: int, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    count = 0
    for piece in pieces:
        yield piece
        count += piece.num_rows
        if count >= limit:
            return


def _fingerprint(files: tuple[Path, ...], sizes: list[int]) -> str:
    # A hash of the replaced names, so that a name never stands for other rows: readers distinguish old files from new
    # ones by name.
    names = "\n".join(f"{path.name} {size}" for path, size in zip(files, sizes, strict=True))
    return hashlib.sha256(names.encode()).hexdigest()[:16]
