"""Reads the tables of a store: with SQL (DuckDB in memory, one view per table), or as pyarrow datasets."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa

from agora_analytics.errors import InvalidRequest
from agora_analytics.schemas import PARTITIONS, TABLES, table_schema
from agora_analytics.store import duckdb_connection, query_limits
from agora_analytics.store.failures import damaged, retry_if_moved
from agora_analytics.store.layout import Layout, parquet_names, partitions
from agora_analytics.store.query_errors import (
    READ_ERRORS,
    duckdb_error,
    is_missing_file,
    translate_query_errors,
    unreadable,
)
from agora_analytics.store.rollups import views as rollup_views
from agora_analytics.store.sql_guard import check_statement, escaped_glob, lock, quoted
from agora_analytics.store.views import create_views, queries, select_files

if TYPE_CHECKING:
    import pyarrow.dataset as ds

T = TypeVar("T")

_BATCH_ROWS = 20_000


def fetch(
    layout: Layout,
    text: str,
    read: Callable[[duckdb.DuckDBPyRelation], T],
    allow: Sequence[Path] | None = None,
    *,
    use_rollups: bool = True,
) -> T:
    """Return what `read` returns for the relation of a query. Retries if a compaction replaces files meanwhile.

    The relation keeps its own connection open, and closes it when the last relation that was made from it is deleted.

    Args:
        layout: of the store.
        text: the query.
        read: reads rows of the relation.
        allow: run in a sandbox that reads only the store and these folders; None: no sandbox.
        use_rollups: read the files of the roll-ups, where they are valid; False: aggregate all samples again.

    Raises:
        InvalidRequest: if the statement is wrong, or is not a query.
        StoreError: if a file is damaged or cannot be read.
    """
    require_folders(allow)

    def attempt() -> T:
        connection = duckdb_connection.connect()
        with query_limits.running(connection):
            return read(_relation(connection, layout, text, allow, use_rollups))

    with translate_query_errors(layout):
        return retry_if_moved(attempt, partial(is_missing_file, layout))


def stream(
    layout: Layout, text: str, allow: Sequence[Path] | None = None
) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Run a query; return the schema of its rows, and the rows as tables of some thousand rows.

    The errors are those of `fetch`. After the first table, a query is not run again if a compaction replaces files.
    """

    return batches(partial(fetch, layout, text, allow=allow), lambda: translate_query_errors(layout))


def batches(
    fetch: Callable[[Callable[[duckdb.DuckDBPyRelation], Any]], Any],
    translate: Callable[[], AbstractContextManager[None]],
) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Return the schema of a query's rows, and the rows as tables of some thousand rows.

    `fetch` returns what a function returns for the relation of the query; `translate` translates errors of later reads.
    """

    def start(made: duckdb.DuckDBPyRelation) -> tuple[pa.RecordBatchReader, pa.RecordBatch | None]:
        reader = made.to_arrow_reader(_BATCH_ROWS)
        return reader, _next_batch(reader)

    reader, first = fetch(start)

    def tables() -> Iterator[pa.Table]:
        batch = first
        while batch is not None:
            yield pa.Table.from_batches([batch])
            with translate():
                batch = _next_batch(reader)

    return reader.schema, tables()


def require_folders(allow: Sequence[Path] | None) -> None:
    """Raise `InvalidRequest` if one of the folders that a query may read does not exist."""
    if allow is not None and (missing := [folder for folder in allow if not folder.is_dir()]):
        raise InvalidRequest(f"cannot allow {missing[0]}: it is not a folder")


def _next_batch(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    try:
        return next(reader, None)
    except (pa.ArrowException, OSError) as problem:
        raise duckdb_error(str(problem)) from problem


def calls(layout: Layout, app_id: str) -> pa.Table:
    """Return the rows of all published calls of an app. DuckDB reads thousands of small files in about a second."""
    glob = f"{escaped_glob(str(layout.app('calls', app_id)))}/*/*.parquet"
    schema = table_schema("calls")

    def attempt() -> pa.Table:
        # DuckDB raises an error if no file matches the pattern
        if not any(parquet_names(folder) for _, folder in partitions(layout.app("calls", app_id), "day")):
            return schema.empty_table()
        with duckdb_connection.connect() as connection:
            return connection.sql(select_files("calls", glob)).to_arrow_table().cast(schema)

    try:
        return retry_if_moved(attempt, partial(is_missing_file, layout))
    except READ_ERRORS as problem:
        raise unreadable(layout, ("calls",), problem) from problem


def check_file(path: Path) -> None:
    """Raise `StoreDamaged` if DuckDB cannot read a file. It refuses some footers that pyarrow accepts."""
    try:
        with duckdb_connection.connect() as connection:
            file = quoted(escaped_glob(str(path)))
            connection.sql(f"FROM read_parquet({file}, hive_partitioning = false)").to_arrow_table()
    except READ_ERRORS as problem:
        raise damaged(path, problem) from problem


def dataset(layout: Layout, table: str) -> "ds.Dataset":
    """Return a table as a dataset of its current files."""
    import pyarrow.dataset as ds  # imports pandas, if it is installed

    return ds.dataset(
        [str(path) for path in layout.files(table)],
        schema=table_schema(table),
        format="parquet",
        partitioning=ds.partitioning(PARTITIONS, flavor="hive"),
        partition_base_dir=str(layout.table(table)),
    )


def table(layout: Layout, name: str) -> pa.Table:
    """Return a whole table in memory."""
    try:
        return retry_if_moved(lambda: dataset(layout, name).to_table())
    except (pa.ArrowException, OSError) as problem:
        raise unreadable(layout, (name,), problem) from problem


def _relation(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    text: str,
    allow: Sequence[Path] | None,
    use_rollups: bool,
) -> duckdb.DuckDBPyRelation:
    try:
        query = check_statement(connection, text, sandboxed=allow is not None)
        try:
            create_views(connection, queries(layout), text)
            if views := rollup_views.used_views(text):
                rows = rollup_views.queries(layout, views, use_files=use_rollups)
                rollup_views.create_views(connection, views, rows, text)
        except READ_ERRORS as problem:  # not of the query, even if a column is not found
            if is_missing_file(layout, problem) or isinstance(problem, duckdb.InterruptException):
                raise
            raise unreadable(layout, TABLES, problem) from problem
        duckdb_connection.spill_outside_of_store(connection)
        if allow is not None:
            # The folder of a table may be a link to another disk.
            lock(connection, (layout.folder, *map(layout.table, TABLES), *allow))
        return connection.sql(query)
    except BaseException:
        connection.close()
        raise
