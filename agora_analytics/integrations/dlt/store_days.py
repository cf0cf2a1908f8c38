"""Reads a store day by day: which files a day has, and its rows with SQL. For a folder and for a bucket."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Protocol, TypeAlias

import duckdb
import pyarrow as pa

from agora_analytics.schemas import TABLES, table_schema
from agora_analytics.store import BucketStore, ParquetStore
from agora_analytics.store.duckdb_connection import connect, spill_outside_of_store
from agora_analytics.store.layout import Layout, decode_id, parquet_names, partitions
from agora_analytics.store.query_errors import READ_ERRORS, unreadable
from agora_analytics.store.sql_guard import escaped_glob, quoted
from agora_analytics.store.views import no_rows, select_files

AnyStore: TypeAlias = "ParquetStore | BucketStore"

_BATCH_ROWS = 20_000


class StoreDays(Protocol):
    """The days of a store. `close` it."""

    def files(self, table: str) -> Iterator[tuple[str, str, str]]:
        """Yield each file of a table as app, day and a text that changes when the file is replaced."""

    def unchanged(self, app_id: str) -> AbstractContextManager[None]:
        """Keep the files of an app from being compacted or moved while the block runs."""

    def rows_sql(self, table: str, *, app_id: str, day: str) -> str:
        """Return the query for the rows of a day, with `app_id` and `day`."""

    def query(self, text: str) -> Iterator[pa.Table]:
        """Yield the rows of a query in batches. Only one query runs at a time."""

    def close(self) -> None:
        """Close the connection to DuckDB."""


def days_of(store: AnyStore) -> StoreDays:
    """Return the days of a store. A bucket is read as it is now."""
    return _FolderDays(store) if isinstance(store, ParquetStore) else _BucketDays(store)


class _FolderDays:
    def __init__(self, store: ParquetStore) -> None:
        self._layout = Layout(store.path)
        self._connection = connect()
        spill_outside_of_store(self._connection)
        self.unchanged = store.writer.writing
        self.close = self._connection.close

    def files(self, table: str) -> Iterator[tuple[str, str, str]]:
        for app, app_folder in partitions(self._layout.table(table), "app_id"):
            for day, folder in partitions(app_folder, "day"):
                with suppress(FileNotFoundError), os.scandir(folder) as entries:
                    for entry in entries:
                        with suppress(FileNotFoundError):
                            status = entry.stat()
                            yield decode_id(app), day, f"{entry.name} {status.st_size} {status.st_mtime_ns}"

    def rows_sql(self, table: str, *, app_id: str, day: str) -> str:
        folder = self._layout.day(table, app_id=app_id, day=day)
        # DuckDB raises an error if no file matches the pattern
        if not parquet_names(folder):
            return no_rows(table)
        return select_files(table, f"{escaped_glob(str(folder))}/*.parquet")

    def query(self, text: str) -> Iterator[pa.Table]:
        try:
            yield from _batches(self._connection, text)
        except READ_ERRORS as problem:
            raise unreadable(self._layout, TABLES, problem) from problem


class _BucketDays:
    """The days of one snapshot. Replaced objects stay in the bucket for its readers."""

    def __init__(self, store: BucketStore) -> None:
        self._snapshot = store._snapshot()  # noqa: SLF001 - same package
        self._connection = connect()
        spill_outside_of_store(self._connection)
        for table in TABLES:
            self._connection.register(f"_{table}", self._snapshot.dataset(table))
        self.close = self._connection.close

    def files(self, table: str) -> Iterator[tuple[str, str, str]]:
        from agora_analytics.store.bucket.delta_tables import files_of

        for file in files_of(self._snapshot.tables[table]).to_pylist():
            yield file["app_id"], file["day"], f"{file['path']} {file['size_bytes']}"

    def unchanged(self, app_id: str) -> AbstractContextManager[None]:
        del app_id
        return nullcontext()

    def rows_sql(self, table: str, *, app_id: str, day: str) -> str:
        columns = ", ".join(table_schema(table).names)
        where = f"app_id = {quoted(app_id)} AND day = DATE {quoted(day)}"
        return f"SELECT {columns} FROM _{table} WHERE {where}"

    def query(self, text: str) -> Iterator[pa.Table]:
        with self._snapshot.translate_errors():
            yield from _batches(self._connection, text)


def _batches(connection: duckdb.DuckDBPyConnection, text: str) -> Iterator[pa.Table]:
    for batch in connection.sql(text).to_arrow_reader(_BATCH_ROWS):
        yield pa.Table.from_batches([batch])
