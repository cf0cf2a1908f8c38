"""Objects of a folder that are whole or not there: written aside, then renamed."""

import itertools
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agora_analytics.store import parquet_file
from agora_analytics.store.failures import flush, store_error, translate_os_errors
from agora_analytics.store.parquet_file import Rows


class ObjectWriter:
    """Writes and moves the objects of a store. Thread-safe; compaction must be kept out meanwhile.

    Attributes:
        durable: whether every object is flushed to the disk before it counts as written.
    """

    def __init__(self, staging: Path, *, durable: bool) -> None:
        self.durable = durable
        self._aside = staging / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._numbers = itertools.count()

    def write(self, target: Path, table: str, rows: Rows, notes: Mapping[str, str] | None = None) -> int:
        """Write an object in place of what was there; return the number of rows.

        Raises:
            StoreError: if the rows do not fit, the disk is full, or the folder cannot be written.
        """
        aside = self._aside / f"{next(self._numbers)}.parquet"
        with translate_os_errors("cannot write", target):
            try:
                # a compaction between two writes may have cleaned the folder away
                self._aside.mkdir(parents=True, exist_ok=True)
                written = parquet_file.write(aside, table, rows, notes=notes)
                if self.durable:
                    flush(aside)
                self._rename(aside, target)
            except BaseException:
                with suppress(OSError):
                    aside.unlink()
                raise
        return written

    def publish(self, pending: Path, live: Path) -> None:
        """Move an object to where readers look; one that is there already stays.

        Raises:
            StoreError: if the folder cannot be written.
        """
        try:
            self._rename(pending, live)
        except FileNotFoundError:
            return  # shown before
        except OSError as problem:
            raise store_error("cannot write", live, problem) from problem

    def _rename(self, source: Path, target: Path) -> None:
        try:
            source.replace(target)
        except FileNotFoundError:
            # asked only now: most units find their day's folder there; and of the source, for another thread may
            # make that folder between the two
            if not source.exists():
                raise
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        if self.durable:
            flush(target.parent)
