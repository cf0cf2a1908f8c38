"""A store in a bucket. `BucketStore` reads it; its `writer` is for harvests."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from agora_analytics.errors import InvalidRequest, StoreError
from agora_analytics.schemas import TABLES, VIEWS
from agora_analytics.store import format_version
from agora_analytics.store.bucket import keys
from agora_analytics.store.bucket.bucket_query import Snapshot
from agora_analytics.store.bucket.bucket_writer import BucketWriter
from agora_analytics.store.bucket.delta_tables import DeltaTables, call_of_unit
from agora_analytics.store.bucket.location import BucketLocation
from agora_analytics.store.bucket.objects import Objects
from agora_analytics.store.layout import PENDING, short_id, unit_name, validate_table
from agora_analytics.store.overview import completeness_table
from agora_analytics.store.views import view_schema

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from agora_analytics.store.harvest_writer import HarvestWriter


def open_bucket(location: BucketLocation, *, create: bool = False) -> "BucketStore":
    """Open a store in a bucket. See `open_store`."""
    objects, tables = Objects.open(location), DeltaTables(location)
    if objects.get(keys.FORMAT_KEY) is None and create:
        tables.create()
        # last, so that a store with a format has its tables
        objects.create(keys.FORMAT_KEY, format_version.new_text().encode())
    if (store := find_bucket(location)) is None:
        raise StoreError(
            f"the store {location.url} does not exist; "
            "give the URL of an existing store, or harvest into this one first"
        )
    return store


def find_bucket(location: BucketLocation) -> "BucketStore | None":
    """Return the store in a bucket; None if there is none."""
    objects = Objects.open(location)
    content = objects.get(keys.FORMAT_KEY)
    if content is None:
        return None
    format_version.check(location.url, content.decode("utf-8", "replace"))
    return BucketStore(objects, DeltaTables(location))


class BucketStore:
    """A prefix in a bucket with calls, sessions, metrics and points. Created by `open_store`.

    It is read as a `ParquetStore`. Each method reads the latest committed snapshot. Methods block and are thread-safe.

    Attributes:
        url: the URL, such as `s3://bucket/calls`.
        writer: the methods that harvests write through. A reader does not need them.
    """

    def __init__(self, objects: Objects, tables: DeltaTables) -> None:
        self.url = tables.location.url
        self._objects = objects
        self._tables = tables
        self.writer: HarvestWriter = BucketWriter(objects, tables)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        """The tables and views of `sql`: name -> columns. Each column has a description in its metadata."""
        return MappingProxyType({name: view_schema(name) for name in (*TABLES, *VIEWS)})

    def sql(self, text: str, *, allow: Sequence[str | Path] | None = None) -> duckdb.DuckDBPyRelation:
        """Return a SQL query (DuckDB) over the tables and views of a store. See `tables`.

        It is used as the method of `ParquetStore`. The relation reads the snapshot that was the latest when it was
        made, for seven days after a compaction.

        Args:
            text: one statement that only reads: `select`, `describe`, `summarize`, or `explain` of a `select`.
            allow: for queries of other people. The query runs in a sandbox that reads the store and the files in these
                local folders only. None: no sandbox.

        Raises:
            InvalidRequest: if the statement is wrong, is not a query, or reads a file that is not allowed.
            StoreError: if the bucket cannot be read.
            duckdb.Error: raised by the methods of the relation.

        Example::

            store.sql("select metric, unit, avg(value) as mean from metrics group by all").df()
        """
        return self._snapshot().fetch(text, lambda relation: relation, allowed_folders(allow))

    def _snapshot(self) -> Snapshot:
        return Snapshot.load(self._tables)

    def table(self, table: str) -> pa.Table:
        """Return a whole table in memory, in `table_schema(table)`; or a view, such as `quality`.

        Raises:
            StoreError: if there is no such table, or the bucket cannot be read.
        """
        if table in VIEWS:
            return self._snapshot().fetch(f"from {table}", lambda relation: relation.to_arrow_table())
        return self._snapshot().rows(validate_table(table))

    def dataset(self, table: str) -> "ds.Dataset":
        """Return the latest version of a table as a pyarrow dataset. `points` has the column `harvest_unit` too.

        Raises:
            StoreError: if there is no such table, or the bucket cannot be read.
        """
        return self._snapshot().dataset(validate_table(table))

    def files(self, table: str) -> list[str]:
        """Return the URLs of the files in the latest version of a table, sorted.

        Raises:
            StoreError: if there is no such table, or the bucket cannot be read.
        """
        return sorted(self._tables.load(validate_table(table)).file_uris())

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table.

        Raises:
            StoreError: if the bucket cannot be read.
        """
        return self._snapshot().counts()

    def completeness(self) -> pa.Table:
        """Return which days a harvest still has to complete. See `ParquetStore.completeness`.

        Raises:
            StoreError: if the bucket cannot be read.
        """
        snapshot = self._snapshot()
        calls: dict[tuple[str, str], tuple[int, int]] = {}
        finished: set[tuple[str, str]] = set()
        days: set[tuple[str, str]] = set()
        for table in TABLES:
            days.update((row["app_id"], row["day"]) for row in snapshot.partitions(table))
        for row in snapshot.call_states():
            key = (row["app_id"], row["day"].isoformat())
            count, ongoing = calls.get(key, (0, 0))
            calls[key] = (count + 1, ongoing + (not row["finished"]))
            if row["finished"]:
                finished.add((row["app_id"], short_id(row["call_id"])))
        return completeness_table(days, calls, self._count_pending(snapshot, finished))

    def _count_pending(
        self, snapshot: Snapshot, finished: set[tuple[str, str]]
    ) -> "Counter[tuple[str, str]]":
        live = snapshot.metrics_units()
        pending: Counter[tuple[str, str]] = Counter()
        for key in self._objects.list("metrics"):
            unit = unit_name(keys.file_name(key))
            call = call_of_unit(unit)
            if "/_delta_log/" in key or call is None:
                continue
            app_id = keys.app_of(key)
            if (app_id, unit) not in live and (app_id, call) not in finished:
                pending[app_id, keys.day_of(key)] += 1
        for root in (PENDING, keys.READY_CALLS, keys.READY_POINTS):
            for key in self._objects.list(root):
                if day := keys.day_of(key):
                    pending[keys.app_of(key), day] += 1
        return pending


def allowed_folders(allow: Sequence[str | Path] | None) -> list[Path] | None:
    """Return the folders that a query may read; None without a sandbox."""
    if isinstance(allow, str):
        raise InvalidRequest(f"allow={allow!r} is a string; pass a list, [{allow!r}]")
    return None if allow is None else [Path(folder).expanduser() for folder in allow]
