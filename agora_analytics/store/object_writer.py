"""Writes the objects of a store atomically: each file is written in `_staging` and then renamed."""

import itertools
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from agora_analytics.errors import RowsRefused
from agora_analytics.store import parquet_file
from agora_analytics.store.failures import translate_os_errors
from agora_analytics.store.parquet_file import Rows


class ObjectWriter:
    """Writes and moves the objects of a store. Thread-safe. The caller must keep compaction out.

    Attributes:
        durable: whether every object is flushed to the disk before it counts as written.
    """

    def __init__(self, staging: Path, *, durable: bool) -> None:
        self.durable = durable
        self._staging = staging / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._numbers = itertools.count()

    def write(self, target: Path, table: str, rows: Rows, metadata: Mapping[str, str] | None = None) -> int:
        """Write an object, or replace it; return the number of rows."""
        staged = self._staging / f"{next(self._numbers)}.parquet"
        with translate_os_errors("cannot write", target):
            try:
                # a compaction since the last write may have removed the folder
                self._staging.mkdir(parents=True, exist_ok=True)
                written = parquet_file.write(staged, table, rows, metadata=metadata)
                if self.durable:
                    flush(staged)
                self._rename(staged, target)
            except BaseException as error:
                with suppress(OSError):
                    staged.unlink()
                if isinstance(error, pa.ArrowException | OverflowError) and not isinstance(error, OSError):
                    raise RowsRefused(f"cannot write {target}: {error}") from error
                raise
        return written

    def publish(self, moves: Iterable[tuple[Path, Path]]) -> None:
        """Move objects from `_pending` to their tables, in this order. An object that was moved before is ignored.

        The names of a folder are flushed once, before the objects of the next folder are moved.
        """
        for folder, group in groupby(moves, key=lambda move: move[1].parent):
            with translate_os_errors("cannot write", folder):
                for pending, live in group:
                    with suppress(FileNotFoundError):
                        self._rename(pending, live, flushed=False)
                if self.durable:
                    flush(folder)

    def _rename(self, source: Path, target: Path, *, flushed: bool = True) -> None:
        try:
            source.replace(target)
        except FileNotFoundError:
            # Create the folder only now, because most renames find it. Test for the source and not for the folder,
            # because another thread may have created the folder since.
            if not source.exists():
                raise
            make_folder(target.parent, durable=self.durable)
            source.replace(target)
        if self.durable and flushed:
            flush(target.parent)


def write_text(target: Path, text: str, *, durable: bool) -> None:
    """Write a small text file atomically. Creates its folder."""
    make_folder(target.parent, durable=durable)
    staged = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        staged.write_text(text, "utf-8")
        if durable:
            flush(staged)
        staged.replace(target)
        if durable:
            flush(target.parent)
    finally:
        staged.unlink(missing_ok=True)


def make_folder(folder: Path, *, durable: bool) -> None:
    """Create a folder and its parents. `durable` flushes their names to the disk, which flushing a file does not."""
    created = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if durable:
        for path in created:
            flush(path.parent)


def flush(path: Path | str) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if os.name == "nt" and Path(path).is_dir():
        return  # Windows cannot open folders, and writes their names to the disk itself
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
