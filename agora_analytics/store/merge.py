"""The rows of a day's many files, written again into a few, with one row group in memory at a time."""

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import field, frozen

from agora_analytics.errors import StoreError
from agora_analytics.schemas import ENCODINGS
from agora_analytics.store import parquet_file
from agora_analytics.store.completeness import Day, distinct_calls
from agora_analytics.store.failures import flush
from agora_analytics.store.layout import COMPACTED, SUFFIX
from agora_analytics.store.reading import translate_read_errors

ROWS_IN_A_FILE = 64 * parquet_file.ROW_GROUP
"""Rows of a compacted file, at most about: some 70 MB of metrics."""


@frozen(kw_only=True)
class Copy:
    """A day of one table, written again: the old folder and files, the new ones, and what they hold."""

    live: Path
    sources: tuple[Path, ...] = field(repr=False)
    folder: Path
    files: tuple[Path, ...] = field(repr=False)
    rows: int
    bytes_before: int
    bytes_after: int


class _Source:
    """The files of a day, read one after the other, and what was seen on the way."""

    def __init__(self, table: str, files: tuple[Path, ...]) -> None:
        self._files = files
        self._text = [name for name in ENCODINGS[table].dictionary if name not in {"mid", "value"}]
        self.promised = 0
        self.calls: set[str] = set()

    def pieces(self) -> Iterator[pa.Table]:
        for path in self._files:
            with (
                translate_read_errors(path),
                pq.ParquetFile(str(path), read_dictionary=self._text, pre_buffer=False) as file,
            ):
                self.promised += file.metadata.num_rows
                for group in range(file.num_row_groups):
                    rows = file.read_row_group(group, use_threads=False)
                    self.calls |= distinct_calls(rows)
                    yield rows


def rewrite(day: Day, table: str, folder: Path) -> Copy:
    """Write the rows of a day of one table into a new folder, in the order of the old names, flushed to the disk.

    Args:
        day: the day.
        table: the table.
        folder: where to; made anew.

    Raises:
        DayIncomplete: if a row belongs to no whole call.
        StoreError: if a file is damaged.
        OSError: if the disk is full or the folder cannot be written.
    """
    sources = tuple(day.files(table))
    sizes = [path.stat().st_size for path in sources]
    stem = f"{COMPACTED}{_fingerprint(sources, sizes)}"
    source = _Source(table, sources)
    folder.mkdir(parents=True)
    files: list[Path] = []
    pieces = source.pieces()
    for first in pieces:
        files.append(folder / f"{stem}~{len(files):05d}{SUFFIX}")
        rows = _up_to(ROWS_IN_A_FILE, chain([first], pieces))
        parquet_file.write(files[-1], table, rows, notes=day.notes() if len(files) == 1 else None)
        flush(files[-1])
    if not files:  # units without rows leave one file without rows: the table keeps its columns
        files.append(folder / f"{stem}~00000{SUFFIX}")
        parquet_file.write(files[0], table, [], notes=day.notes())
        flush(files[0])
    flush(folder)
    day.require_known(table, source.calls)
    return Copy(
        live=day.folder(table),
        sources=sources,
        folder=folder,
        files=tuple(files),
        rows=source.promised,
        bytes_before=sum(sizes),
        bytes_after=sum(path.stat().st_size for path in files),
    )


def verify(copy: Copy) -> None:
    """Check a copy against its sources, read back from the disk, before it takes their place.

    Raises:
        StoreError: if a row is missing or too many, or files came to the live folder meanwhile.
    """
    found = 0
    for path in copy.files:
        with translate_read_errors(path):
            found += pq.read_metadata(path).num_rows
    if found != copy.rows:
        raise StoreError(
            f"compaction of {copy.live} gave {found} rows for {copy.rows}; nothing was changed: please report this"
        )
    if {path.name for path in copy.live.iterdir()} != {path.name for path in copy.sources}:
        raise StoreError(
            f"files came to {copy.live} while it was compacted; nothing was changed: compact when no harvest runs"
        )


def _up_to(limit: int, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    count = 0
    for piece in pieces:
        yield piece
        count += piece.num_rows
        if count >= limit:
            return


def _fingerprint(files: tuple[Path, ...], sizes: list[int]) -> str:
    # of the names that go, so that a new name was never used for other rows: readers tell old and new by the names
    told = "\n".join(f"{path.name} {size}" for path, size in zip(files, sizes, strict=True))
    return hashlib.sha256(told.encode()).hexdigest()[:16]
