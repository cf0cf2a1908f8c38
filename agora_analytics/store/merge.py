"""Merges the many files of one day of a table into a few. One row group is in memory at a time."""

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from attrs import field, frozen

from agora_analytics.errors import StoreError
from agora_analytics.store import parquet_file
from agora_analytics.store.completeness import Day
from agora_analytics.store.failures import translate_read_errors
from agora_analytics.store.layout import COMPACTED, SUFFIX
from agora_analytics.store.object_writer import flush

ROWS_IN_A_FILE = 64 * parquet_file.ROW_GROUP
"""Approximate maximum of rows in a compacted file: about 70 MB of metrics."""


@frozen(kw_only=True)
class MergedTable:
    """The merged files of one day of a table in a new folder, and the live folder with the files that they replace."""

    live: Path
    sources: tuple[Path, ...] = field(repr=False)
    folder: Path
    files: tuple[Path, ...] = field(repr=False)
    rows: int
    bytes_before: int
    bytes_after: int


class _Source:
    """Reads the files of a day in order; counts their rows and collects the ids of their calls."""

    def __init__(self, table: str, files: tuple[Path, ...]) -> None:
        self._files = files
        self._text = [
            name for name in parquet_file.ENCODINGS[table].dictionary if name not in {"mid", "value"}
        ]
        self.rows = 0
        self.calls: set[str] = set()

    def pieces(self) -> Iterator[pa.Table]:
        for path in self._files:
            with (
                translate_read_errors(path),
                pq.ParquetFile(str(path), read_dictionary=self._text, pre_buffer=False) as file,
            ):
                self.rows += file.metadata.num_rows
                for group in range(file.num_row_groups):
                    piece = file.read_row_group(group, use_threads=False)
                    self.calls |= set(pc.unique(piece.column("call_id")).to_pylist())
                    yield piece


def merge(day: Day, table: str, folder: Path) -> MergedTable:
    """Write the rows of a day of one table into a new folder, in the order of the old names, and flush them.

    Args:
        day: the day.
        table: the table.
        folder: the new folder; it must not exist.

    Raises:
        DayIncomplete: if a row belongs to a call that is not complete.
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
        parquet_file.write(files[-1], table, rows, metadata=day.metadata() if len(files) == 1 else None)
        flush(files[-1])
    if not files:  # units without rows become one file without rows, so that the table keeps its columns
        files.append(folder / f"{stem}~00000{SUFFIX}")
        parquet_file.write(files[0], table, [], metadata=day.metadata())
        flush(files[0])
    flush(folder)
    day.require_complete_calls(table, source.calls)
    return MergedTable(
        live=day.folder(table),
        sources=sources,
        folder=folder,
        files=tuple(files),
        rows=source.rows,
        bytes_before=sum(sizes),
        bytes_after=sum(path.stat().st_size for path in files),
    )


def verify(merged: MergedTable) -> None:
    """Check the merged files, read back from the disk, against their sources before they replace them.

    Raises:
        StoreError: if the row counts differ, or files were added to the live folder meanwhile.
    """
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
