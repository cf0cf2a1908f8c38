"""Reads the tables of a store: with SQL (DuckDB in memory, one view per table), or as pyarrow datasets."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from attrs import field, frozen

from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest, StoreError
from agora_analytics.schemas import PARTITIONS, TABLES, table_schema
from agora_analytics.store import quality
from agora_analytics.store.failures import damaged, retry_if_moved, translate_read_errors
from agora_analytics.store.layout import Layout, parquet_names, partitions
from agora_analytics.store.sql_guard import check_statement, escaped_glob, lock, quoted, spellings

_QUERY_ERRORS = (
    duckdb.ParserException, duckdb.SyntaxException, duckdb.CatalogException, duckdb.BinderException,
    duckdb.ConversionException, duckdb.TypeMismatchException, duckdb.OutOfRangeException, duckdb.PermissionException,
    duckdb.NotImplementedException, duckdb.ConstraintException,
)  # fmt: skip
_PARTITION_SQL = {
    "app_id": "url_decode(substr(parse_path(filename)[-3], 8)) AS app_id",
    "day": "substr(parse_path(filename)[-2], 5)::DATE AS day",
}
_FORBIDDEN_FILE = re.compile('Cannot access file "(.*)" - ')
_NAMED_FILE = re.compile("""(?:open|match|read|file)[^"']*["'][^"']+["']""", re.IGNORECASE)
_FILE_PROBLEM = re.compile("parquet|decompress|snappy|zstd|magic bytes|page", re.IGNORECASE)


@frozen
class Result:
    """The rows of a query, in memory. Times are timezone-aware, in UTC."""

    _table: pa.Table = field(repr=False)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._table.column_names)

    def arrow(self) -> pa.Table:
        """Return the rows as a pyarrow table."""
        return self._table

    def df(self) -> Any:
        """Return the rows as a pandas DataFrame; needs pandas."""
        return self._table.to_pandas()

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the rows as tuples."""
        return list(self)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for batch in self._table.to_batches(max_chunksize=10_000):
            # column by column, because two columns of a query may have the same name
            with python_values():
                columns = [column.to_pylist() for column in batch.columns]
            yield from zip(*columns, strict=True)


@contextmanager
def python_values() -> Iterator[None]:
    """Raise `InvalidRequest` if a value of a query has no Python type, such as a date in the year 20000."""
    try:
        yield
    except InvalidRequest:
        raise
    except (OverflowError, ValueError) as problem:
        raise InvalidRequest(
            f"a value of the result cannot be converted: {problem}; cast its column to VARCHAR"
        ) from problem


def run(layout: Layout, text: str, allow: Sequence[Path] | None = None) -> Result:
    """Run one query over the views `calls`, `sessions`, `metrics`, `points` and `quality`.

    Args:
        layout: of the store.
        text: the query.
        allow: run in a sandbox that reads only the store and these folders; None: no sandbox.

    Raises:
        InvalidRequest: if the statement is wrong, or is not a query.
    """
    if allow is not None and (missing := [folder for folder in allow if not folder.is_dir()]):
        raise InvalidRequest(f"cannot allow {missing[0]}: it is not a folder")
    try:
        return Result(
            retry_if_moved(lambda: _attempt(layout, text, allow), partial(_is_missing_file, layout))
        )
    except _QUERY_ERRORS as problem:
        if forbidden := _FORBIDDEN_FILE.search(str(problem)):
            raise InvalidRequest(
                f"cannot read {forbidden[1]}: the query reads files only in the store and in allowed folders; "
                "name the folder with allow, on the command line with --allow DIR"
            ) from problem
        raise InvalidRequest(f"the query is wrong: {_one_line(problem)}") from problem
    except duckdb.Error as problem:
        raise _translate(layout, problem) from problem


def calls(layout: Layout, app_id: str) -> pa.Table:
    """Return the rows of all published calls of an app. DuckDB reads thousands of small files in about a second."""
    glob = f"{escaped_glob(str(layout.app('calls', app_id)))}/*/*.parquet"
    schema = table_schema("calls")

    def attempt() -> pa.Table:
        with _connect() as connection:
            # DuckDB raises an error if no file matches the pattern
            if not any(parquet_names(folder) for _, folder in partitions(layout.app("calls", app_id), "day")):
                return schema.empty_table()
            return connection.sql(_select("calls", glob)).to_arrow_table().cast(schema)

    try:
        return retry_if_moved(attempt, partial(_is_missing_file, layout))
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as problem:
        raise _unreadable(layout, ("calls",), problem) from problem


def check_file(path: Path) -> None:
    """Raise `StoreDamaged` if DuckDB cannot read a file. It refuses some footers that pyarrow accepts."""
    try:
        with _connect() as connection:
            file = quoted(escaped_glob(str(path)))
            connection.sql(f"FROM read_parquet({file}, hive_partitioning = false)").to_arrow_table()
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as problem:
        raise damaged(path, problem) from problem


def dataset(layout: Layout, table: str) -> ds.Dataset:
    """Return a table as a dataset of its current files."""
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
        raise _unreadable(layout, (name,), problem) from problem


def _attempt(layout: Layout, text: str, allow: Sequence[Path] | None) -> pa.Table:
    with _connect() as connection:
        query = check_statement(connection, text, sandboxed=allow is not None)
        for table in TABLES:
            if _has_files(layout.table(table)):
                glob = f"{escaped_glob(str(layout.table(table)))}/*/*/*.parquet"
                connection.execute(f"CREATE VIEW {table} AS {_select(table, glob)}")
            else:  # DuckDB raises an error if no file matches the pattern
                connection.register(table, table_schema(table).empty_table())
        connection.execute(f"CREATE VIEW quality AS {quality.view_sql()}")
        if allow is None:
            return connection.sql(query).to_arrow_table()
        with TemporaryDirectory(prefix="agora-analytics-", ignore_cleanup_errors=True) as scratch:
            # The folder of a table may be a link to another disk.
            lock(connection, (layout.folder, *map(layout.table, TABLES), *allow), scratch)
            rows = connection.sql(query).to_arrow_table()
            connection.close()  # before its temporary files are removed
            return rows


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _has_files(table: Path) -> bool:
    days = (day for _, app in partitions(table, "app_id") for _, day in partitions(app, "day"))
    return any(map(parquet_names, days))


def _select(table: str, glob: str) -> str:
    columns = ", ".join(_PARTITION_SQL.get(name, name) for name in table_schema(table).names)
    # All files have the same columns, so DuckDB reads them from the first file. `union_by_name` would open every file.
    # Hive partitioning would also take the folders above the store for columns, and they would win over ours. DuckDB
    # skips the files that a condition on the name excludes.
    return f"SELECT {columns} FROM read_parquet({quoted(glob)}, hive_partitioning = false, filename = true)"


def _is_missing_file(layout: Layout, problem: Exception) -> bool:
    text = str(problem)
    return (
        isinstance(problem, duckdb.IOException)
        and ("No such file" in text or "No files found" in text)
        and not _names_other_file(layout, text)
    )


def _names_other_file(layout: Layout, message: str) -> bool:
    """Return whether a message names a file that is not in the store: compaction does not move such files."""
    folders = (layout.folder, *map(layout.table, TABLES))
    store = {path for folder in folders for path in spellings(folder)}
    return _NAMED_FILE.search(message) is not None and not any(path in message for path in store)


def _translate(layout: Layout, problem: Exception) -> AgoraAnalyticsError:
    if isinstance(problem, duckdb.OutOfMemoryException):
        return StoreError(f"the query ran out of memory: {_one_line(problem)}; select fewer rows or columns")
    # DuckDB raises the same class for a file that is not Parquet and for a text that is not a date
    if isinstance(problem, duckdb.InvalidInputException) and not _FILE_PROBLEM.search(str(problem)):
        return InvalidRequest(f"the query is wrong: {_one_line(problem)}")
    if isinstance(problem, duckdb.IOException | duckdb.InvalidInputException) and _names_other_file(
        layout, str(problem)
    ):
        return InvalidRequest(f"cannot read a file that the query names: {_one_line(problem)}")
    if isinstance(problem, duckdb.InvalidInputException):  # such as `read_text` of a Parquet file
        return _first_damaged(layout, TABLES) or InvalidRequest(f"the query is wrong: {_one_line(problem)}")
    return _unreadable(layout, TABLES, problem)


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split("\n\n", 1)[0].split())


def _unreadable(layout: Layout, tables: Iterable[str], problem: Exception) -> StoreError:
    return _first_damaged(layout, tables) or damaged(layout.folder, problem)


def _first_damaged(layout: Layout, tables: Iterable[str]) -> StoreError | None:
    """Return the error for the first file of some tables that cannot be read; None if all can."""
    # footers first: most damaged files are truncated, and reading all footers takes about a second
    for with_rows in (False, True):
        for name in tables:
            for path in layout.files(name):
                try:
                    with (
                        translate_read_errors(path),
                        pq.ParquetFile(str(path), page_checksum_verification=True) as file,
                    ):
                        for group in range(file.num_row_groups if with_rows else 0):
                            file.read_row_group(group, use_threads=False)
                except FileNotFoundError:
                    continue
                except StoreError as error:
                    return error
    return None
