"""Reads the tables of a store in a bucket: one snapshot of the Delta logs, with SQL (DuckDB) or as pyarrow datasets.

DuckDB reads the snapshot's files through pyarrow. It needs no extension, gets no credentials, and in the sandbox cannot
reach the network.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa
from attrs import field, frozen

from agora_analytics.errors import InvalidRequest, StoreError
from agora_analytics.schemas import TABLES, table_schema
from agora_analytics.store import duckdb_connection, query, query_limits
from agora_analytics.store.bucket.bucket_errors import FAILURES, bucket_error, bucket_errors
from agora_analytics.store.bucket.delta_tables import DeltaTables, files_of, metrics_units
from agora_analytics.store.bucket.objects import concurrently
from agora_analytics.store.query_errors import QUERY_ERRORS, one_line, wrong_query
from agora_analytics.store.rollups import views as rollup_views
from agora_analytics.store.sql_guard import check_statement, lock
from agora_analytics.store.views import create_views

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

T = TypeVar("T")

_OTHERS = ("sessions", "metrics", "points")


@frozen
class Snapshot:
    """One version of each table.

    `calls` is loaded first, and publishers commit it last. So a call in the snapshot has all its sessions and samples.
    Sessions and samples may be visible shortly before their call, as in a folder.
    """

    url: str
    tables: Mapping[str, "DeltaTable"] = field(repr=False)

    @classmethod
    def load(cls, tables: DeltaTables) -> "Snapshot":
        """Load the latest versions."""
        calls = tables.load("calls")
        return cls(tables.location.url, {"calls": calls, **concurrently(tables.load, _OTHERS)})

    def dataset(self, table: str) -> "ds.Dataset":
        """Return a table as a dataset of its files, in the schema of the log."""
        with bucket_errors("cannot read", f"{self.url}/{table}"):
            return self.tables[table].to_pyarrow_dataset()

    def rows(self, table: str) -> pa.Table:
        """Return a whole table in memory, in `table_schema`."""
        schema = table_schema(table)
        with bucket_errors("cannot read", f"{self.url}/{table}"):
            return self.dataset(table).to_table(columns=schema.names).cast(schema)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, from the logs and the footers of the files."""

        def count(table: str) -> int:
            with bucket_errors("cannot read", f"{self.url}/{table}"):
                return int(self.dataset(table).count_rows())

        return dict(concurrently(count, list(TABLES)))

    def partitions(self, table: str) -> list[dict[str, str]]:
        """Return the apps and days of a table, each as `app_id` and `day`."""
        groups: pa.Table = files_of(self.tables[table]).group_by(["app_id", "day"]).aggregate([])
        return list(groups.to_pylist())

    def call_states(self) -> list[dict[str, Any]]:
        """Return `app_id`, `day`, `call_id` and `finished` of each call."""
        with bucket_errors("cannot read", f"{self.url}/calls"):
            columns = ["app_id", "day", "call_id", "finished"]
            rows: list[dict[str, Any]] = self.dataset("calls").to_table(columns=columns).to_pylist()
            return rows

    def metrics_units(self) -> set[tuple[str, str]]:
        """Return the app and the name of each unit of `metrics` that is not compacted."""
        apps = {row["app_id"] for row in self.partitions("metrics")}
        return {(app, unit) for app in apps for unit in metrics_units(self.tables["metrics"], app_id=app)}

    def fetch(
        self,
        text: str,
        read: Callable[[duckdb.DuckDBPyRelation], T],
        allow: Sequence[Path] | None = None,
    ) -> T:
        """Return what `read` returns for the relation of a query. The relation keeps its own connection open.

        Args:
            text: the query.
            read: reads rows of the relation.
            allow: run in a sandbox that reads only this snapshot and these folders; None: no sandbox.

        Raises:
            InvalidRequest: if the statement is wrong, or is not a query.
            StoreError: if a file cannot be read.
        """
        query.require_folders(allow)
        with self.translate_errors():
            connection = duckdb_connection.connect()
            with query_limits.running(connection):
                return read(self._relation(connection, text, allow))

    def stream(self, text: str, allow: Sequence[Path] | None = None) -> tuple[pa.Schema, Iterator[pa.Table]]:
        """Run a query; return the schema of its rows, and the rows as tables of some thousand rows."""
        return query.batches(lambda read: self.fetch(text, read, allow), self.translate_errors)

    def _relation(
        self, connection: duckdb.DuckDBPyConnection, text: str, allow: Sequence[Path] | None
    ) -> duckdb.DuckDBPyRelation:
        try:
            statement = check_statement(connection, text, sandboxed=allow is not None)
            for table in TABLES:
                connection.register(_registered(table), self.dataset(table))
            columns = {table: ", ".join(table_schema(table).names) for table in TABLES}
            rows = {table: f"SELECT {columns[table]} FROM {_registered(table)}" for table in TABLES}
            create_views(connection, rows, text)
            if views := rollup_views.used_views(text):
                scans = rollup_views.scan_queries(rows, views)
                rollup_views.create_views(connection, views, scans, text)
            duckdb_connection.spill_outside_of_store(connection)
            if allow is not None:
                lock(connection, allow)
            return connection.sql(statement)
        except BaseException:
            connection.close()
            raise

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise `InvalidRequest` or `StoreError` in place of the errors of DuckDB and of the bucket in the block."""
        try:
            yield
        except QUERY_ERRORS as problem:
            raise wrong_query(problem) from problem
        except duckdb.OutOfMemoryException as problem:
            raise StoreError(
                f"the query ran out of memory: {one_line(problem)}; select fewer rows or columns"
            ) from problem
        except (duckdb.IOException, *FAILURES) as problem:
            raise bucket_error("cannot read", self.url, problem) from None  # its text may quote credentials
        except (duckdb.Error, UnicodeDecodeError) as problem:
            raise InvalidRequest(f"the query is wrong: {one_line(problem)}") from problem


def _registered(table: str) -> str:
    return f"_files_of_{table}"
