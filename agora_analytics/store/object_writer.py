"""Writes the objects of a store atomically: each file is written in `_staging` and then renamed."""

import itertools
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

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
            except BaseException:
                with suppress(OSError):
                    staged.unlink()
                raise
        return written

    def publish(self, pending: Path, live: Path) -> None:
        """Move an object from `_pending` to its table. Does nothing if it was moved before."""
        with translate_os_errors("cannot write", live), suppress(FileNotFoundError):
            self._rename(pending, live)

    def _rename(self, source: Path, target: Path) -> None:
        try:
            source.replace(target)
        except FileNotFoundError:
            # Create the folder only now, because most renames find it. Test for the source and not for the folder,
            # because another thread may have created the folder since.
            if not source.exists():
                raise
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        if self.durable:
            flush(target.parent)


def flush(path: Path | str) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if os.name == "nt" and Path(path).is_dir():
        return  # Windows cannot open folders, and writes their names to the disk itself
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
