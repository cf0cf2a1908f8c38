"""SQL over the tables: DuckDB in memory, one view a table, nothing written anywhere."""

import re
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
from attrs import field, frozen

from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest, StoreError
from agora_analytics.schemas import TABLES, table_schema
from agora_analytics.store import quality, reading
from agora_analytics.store.layout import Layout

_QUERIES = {"SELECT", "EXPLAIN", "PRAGMA", "CALL", "MULTI"}
_WRONG = (
    duckdb.ParserException, duckdb.SyntaxException, duckdb.CatalogException, duckdb.BinderException,
    duckdb.ConversionException, duckdb.TypeMismatchException, duckdb.OutOfRangeException, duckdb.PermissionException,
    duckdb.NotImplementedException, duckdb.ConstraintException,
)  # fmt: skip
_ABOUT_FILES = re.compile("parquet|decompress|snappy|zstd|magic bytes|page", re.IGNORECASE)
_SQL_TYPES = {
    pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN", pa.date32(): "DATE", pa.list_(pa.string()): "VARCHAR[]",
    pa.timestamp("s", "UTC"): "TIMESTAMP WITH TIME ZONE", pa.timestamp("ms", "UTC"): "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


@frozen
class Result:
    """The rows of a query, in memory. Times are aware and in UTC."""

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
            # column by column: a query may give two columns the same name
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def run(layout: Layout, text: str) -> Result:
    """Run one query over the views `calls`, `sessions`, `metrics`, `points` and `quality`.

    Raises:
        InvalidRequest: if the query is wrong, or is no query.
        StoreError: if a file is damaged or cannot be read.
    """
    _check(text)
    try:
        return Result(reading.retry_if_moved(lambda: _attempt(layout, text), _vanished))
    except _WRONG as problem:
        raise InvalidRequest(f"the query is wrong: {_one_line(problem)}") from problem
    except duckdb.Error as problem:
        raise _failed(layout, problem) from problem


def calls(layout: Layout, app_id: str) -> pa.Table:
    """Return all calls of an app: as a table, thousands of small files in about a second.

    Raises:
        StoreError: if a file is damaged or cannot be read.
    """
    glob = f"{_escaped(str(layout.app('calls', app_id)))}/*/*.parquet"
    schema = table_schema("calls")

    def attempt() -> pa.Table:
        with _connected() as connection:
            # nobody has harvested this app yet: DuckDB refuses a pattern that matches nothing
            if not any(
                reading.parquet_names(folder)
                for _, folder in reading.partitions(layout.app("calls", app_id), "day")
            ):
                return schema.empty_table()
            return connection.sql(_select("calls", glob)).to_arrow_table().cast(schema)

    try:
        return reading.retry_if_moved(attempt, _vanished)
    except duckdb.Error as problem:
        raise _failed(layout, problem) from problem


def _attempt(layout: Layout, text: str) -> pa.Table:
    with _connected() as connection:
        for table in TABLES:
            connection.execute(f"CREATE VIEW {table} AS {_view(layout, table)}")
        connection.execute(f"CREATE VIEW quality AS {quality.view()}")
        return connection.sql(text).to_arrow_table()


def _connected() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _view(layout: Layout, table: str) -> str:
    root = layout.table(table)
    for _, app in reading.partitions(root, "app_id"):
        for _, day in reading.partitions(app, "day"):
            if reading.parquet_names(day):
                return _select(table, f"{_escaped(str(root))}/*/*/*.parquet")
    columns = ", ".join(f"NULL::{_SQL_TYPES[column.type]} AS {column.name}" for column in table_schema(table))
    return f"SELECT {columns} WHERE false"


def _select(table: str, glob: str) -> str:
    columns = ", ".join(table_schema(table).names)
    # all files of a format have the same columns: the first one tells, where union_by_name would open every file first
    return (
        f"SELECT {columns} FROM read_parquet('{glob}', hive_partitioning = true, "
        "hive_types = {'app_id': VARCHAR, 'day': DATE})"
    )


def _escaped(path: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", path).replace("'", "''")


def _check(text: str) -> None:
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as problem:
        raise InvalidRequest(f"the query is wrong: {_one_line(problem)}") from problem
    kinds = [statement.type.name for statement in statements]
    if len(kinds) != 1 or kinds[0] not in _QUERIES:
        raise InvalidRequest(
            f"give one query that reads, such as select ... ({', '.join(kinds) or 'nothing'} given); "
            "nothing can be written through it"
        )


def _vanished(problem: Exception) -> bool:
    return isinstance(problem, duckdb.IOException) and (
        "No such file" in str(problem) or "No files found" in str(problem)
    )


def _failed(layout: Layout, problem: Exception) -> AgoraAnalyticsError:
    if isinstance(problem, duckdb.OutOfMemoryException):
        return StoreError(f"the query needs more memory than there is: {_one_line(problem)}")
    # DuckDB has one class for a file that is no Parquet and for a text that is no date
    if isinstance(problem, duckdb.InvalidInputException) and not _ABOUT_FILES.search(str(problem)):
        return InvalidRequest(f"the query is wrong: {_one_line(problem)}")
    return reading.unreadable(layout, tuple(TABLES), problem)


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split("\n\n", 1)[0].split())
