"""Reading the folder: what is done, which files a table has, and the table itself."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from agora_analytics.errors import StoreError
from agora_analytics.schemas import PARTITIONS, TABLES, table_schema
from agora_analytics.store.failures import damaged, store_error, translate_os_errors
from agora_analytics.store.layout import COMPACTED, SUFFIX, Layout, decode_id
from agora_analytics.store.protocol import Units

T = TypeVar("T")

_ATTEMPTS = 12
_FIRST_PAUSE = 0.005


def retry_if_moved(read: Callable[[], T], vanished: Callable[[Exception], bool]) -> T:
    """Read again while files go away under the reader: a compaction has put others in their place.

    Args:
        read: lists the files anew and reads them.
        vanished: whether an exception of `read` says that a file is gone.

    Raises:
        Exception: what `read` raised, if it is about something else or does not end within some seconds.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return read()
        except Exception as problem:
            if not vanished(problem) or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_FIRST_PAUSE * 2**attempt if attempt < 8 else 1.0)
    raise AssertionError


@contextmanager
def translate_read_errors(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged or unreadable file into a `StoreError`; a missing file stays as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise store_error("cannot read", path, problem) from problem
        raise damaged(path, problem) from problem


def partitions(parent: Path | str, key: str) -> Iterator[tuple[str, str]]:
    """Yield the value and path of each folder `key=value` in a folder, sorted; none if the folder is not there."""
    try:
        with os.scandir(parent) as entries:
            found = sorted(entry.name for entry in entries if entry.name.startswith(f"{key}="))
    except FileNotFoundError:
        return
    for name in found:
        yield name[len(key) + 1 :], f"{parent}{os.sep}{name}"


def parquet_names(folder: Path | str) -> list[str]:
    """Return the names of the Parquet files in a folder, sorted; none if the folder is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


def units(layout: Layout, app_id: str) -> Units:
    """Return which units of an app are done; pending ones are listed first, so that none is missed on its way."""
    with translate_os_errors("cannot list", layout.folder):
        pending = {table: _days(layout.app(table, app_id, pending=True)) for table in TABLES}
        live = {table: _days(layout.app(table, app_id)) for table in TABLES}
    return Units(live=live, pending=pending)


def _days(app: Path) -> dict[str, str]:
    cut = -len(SUFFIX)
    return {
        decode_id(name[:cut]): day
        for day, folder in partitions(app, "day")
        for name in parquet_names(folder)
        if not name.startswith(COMPACTED)
    }


def files(layout: Layout, table: str) -> list[Path]:
    """Return the files of a table, sorted."""
    with translate_os_errors("cannot list", root := layout.table(table)):
        return [
            Path(folder, name)
            for _, app in partitions(root, "app_id")
            for _, folder in partitions(app, "day")
            for name in parquet_names(folder)
        ]


def dataset(layout: Layout, table: str) -> ds.Dataset:
    """Return a table as a dataset of the files of this moment."""
    return ds.dataset(
        [str(path) for path in files(layout, table)],
        schema=table_schema(table),
        format="parquet",
        partitioning=ds.partitioning(PARTITIONS, flavor="hive"),
        partition_base_dir=str(layout.table(table)),
    )


def table(layout: Layout, name: str) -> pa.Table:
    """Return a whole table in memory."""
    try:
        return retry_if_moved(
            lambda: dataset(layout, name).to_table(), lambda e: isinstance(e, FileNotFoundError)
        )
    except (pa.ArrowException, OSError) as problem:
        raise unreadable(layout, (name,), problem) from problem


def unreadable(layout: Layout, tables: Iterable[str], problem: Exception) -> StoreError:
    """Return the error for a reader's failure that is about a file, with the file that caused it if one can be found."""
    return first_broken(layout, tables) or damaged(layout.folder, problem)


def first_broken(layout: Layout, tables: Iterable[str]) -> StoreError | None:
    """Return the error for the first damaged or unreadable file of some tables; reads all of them if it must."""
    # footers first: nearly every damage is a file that was cut off, and all footers are read in a second
    for whole in (False, True):
        for table in tables:
            for path in files(layout, table):
                try:
                    with translate_read_errors(path):
                        _try(path, whole=whole)
                except FileNotFoundError:
                    continue
                except StoreError as broken:
                    return broken
    return None


def _try(path: Path, *, whole: bool) -> None:
    with pq.ParquetFile(str(path)) as file:
        for group in range(file.num_row_groups if whole else 0):
            file.read_row_group(group, use_threads=False)
