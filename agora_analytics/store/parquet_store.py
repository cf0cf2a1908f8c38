"""The embedded store: a folder of Parquet files. `ParquetStore` reads it; its `writer` is for harvests."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, overload

import duckdb
import pyarrow as pa

from agora_analytics.core.base_url import path_as_url
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.schemas import TABLES, VIEWS
from agora_analytics.store import format_version, query
from agora_analytics.store.bucket.location import BucketLocation, bucket_url
from agora_analytics.store.layout import Layout
from agora_analytics.store.overview import as_html, completeness, contents, count_rows
from agora_analytics.store.parquet_writer import StoreWriter
from agora_analytics.store.views import view_schema
from agora_analytics.store.views_file import write_views_file

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from agora_analytics.store.bucket.bucket_store import BucketStore


@overload
def open_store(path: Path, *, create: bool = ..., durable: bool = ...) -> "ParquetStore": ...
@overload
def open_store(path: str, *, create: bool = ..., durable: bool = ...) -> "ParquetStore | BucketStore": ...
def open_store(
    path: str | Path, *, create: bool = False, durable: bool = True
) -> "ParquetStore | BucketStore":
    """Open a store: a folder, or a prefix in a bucket.

    A bucket needs the extra `bucket`. obstore and deltalake take the credentials and the endpoint from the environment,
    such as `AWS_ACCESS_KEY_ID`; they are never part of the URL.

    Args:
        path: its folder, or a URL: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
        create: create the store if it does not exist. The bucket must exist.
        durable: flush every object and its folder to the disk before it counts as written. Without it, written data
            survives a crash of the process, but the last seconds may be lost in a power failure. A harvest finds such
            files and fetches them again. A bucket is always durable.

    Raises:
        InvalidRequest: if the path is another URL, or a URL with credentials.
        ConfigurationError: if the extra `bucket` is not installed.
        StoreVersionError: if the store has another format version.
        StoreError: if the folder is not a store or contains other files, or cannot be created.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     store = open_store(folder, create=True)
        ...     store.sql("select count(*) from calls").fetchall()
        [(0,)]
    """
    if url := bucket_url(path):
        location = BucketLocation.parse(url)
        with _bucket_libraries():
            from agora_analytics.store.bucket.bucket_store import open_bucket
        return open_bucket(location, create=create)
    folder = local_folder(path)
    format_version.ensure(folder, create=create, durable=durable)
    return ParquetStore(folder, durable=durable)


def open_existing(path: str | Path) -> "ParquetStore | BucketStore | None":
    """Open a store as `open_store`; return None if there is none."""
    if url := bucket_url(path):
        location = BucketLocation.parse(url)
        with _bucket_libraries():
            from agora_analytics.store.bucket.bucket_store import find_bucket
        return find_bucket(location)
    folder = local_folder(path)
    return open_store(folder) if folder.exists() else None


@contextmanager
def _bucket_libraries() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        raise ConfigurationError(
            f"a store in a bucket needs {name}; install agora-analytics[bucket]"
        ) from error


def local_folder(path: str | Path) -> Path:
    """Return the absolute path of a store's folder.

    Raises:
        InvalidRequest: if the path is a URL.

    Example:
        >>> local_folder("/data/calls.store").name
        'calls.store'
    """
    if url := path_as_url(path):
        if bucket_url(url):
            advice = "give the URL as text, because a path changes it"
        elif url.lower().startswith("file:"):
            advice = "give the path without file:"
        else:
            advice = "give the path of a folder, or a bucket: s3://, gs:// or az://"
        raise InvalidRequest(f"cannot open the store {url}: a store is a folder or a bucket; {advice}")
    return Path(path).expanduser().absolute()


class ParquetStore:
    """A folder of Parquet files with calls, sessions, metrics and points. Created by `open_store`.

    Methods block and are thread-safe.

    Attributes:
        path: the folder.
        writer: the methods that harvests write through. A reader does not need them.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self._layout = Layout(path)
        self.writer = StoreWriter(self._layout, durable=durable)

    def __repr__(self) -> str:
        found = contents(self._layout).items()
        texts = (f"files: {text}" if name == "files" else text for name, text in found)
        return f"<{type(self).__name__} {'; '.join((str(self.path), *texts))}>"

    def _repr_html_(self) -> str:
        return as_html(self._layout)

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        """The tables and views of `sql`: name -> columns. Each column has a description in its metadata.

        Example::

            store.tables["metrics"].field("mid").metadata
        """
        return MappingProxyType({name: view_schema(name) for name in (*TABLES, *VIEWS)})

    def sql(self, text: str, *, allow: Sequence[str | Path] | None = None) -> duckdb.DuckDBPyRelation:
        """Return a SQL query (DuckDB) over the tables and views of a store. See `tables`.

        The result is DuckDB's relation. It shows its first rows in a notebook; `show()`, `df()` (pandas), `pl()`
        (polars), `to_arrow_table()`, `to_arrow_reader()` (in batches), `fetchall()`, `to_parquet(path)` and
        `to_csv(path)` return or write all rows. `filter`, `aggregate`, `order` and `limit` return another relation.

        The statement is checked here; it runs when the rows are read, again each time. The relation stays valid without
        the store. It has its own connection, so call `sql` in each thread. Times are in UTC.

        Args:
            text: one statement that only reads: `select`, `describe`, `summarize`, or `explain` of a `select`.
            allow: for queries of other people. The query runs in a sandbox that reads files only in the store and in
                these folders, and cannot reach the network, the environment or Python variables. None: no sandbox; the
                query may read every file that this process may read. Only `text` is checked to read: a method of the
                relation can write into the store and these folders, so never pass it a text of other people.

        Raises:
            InvalidRequest: if the statement is wrong, is not a query, or reads a file that is not allowed.
            StoreError: if a file is damaged or cannot be read.
            duckdb.Error: raised by the methods of the relation, such as `duckdb.ConversionException` for a value that
                cannot be converted; an Arrow reader raises pyarrow's errors. `duckdb.IOException` for a missing file
                means that a compaction has replaced files since the query began; read the relation again.

        Example::

            store.sql("select metric, unit, avg(value) as mean from metrics group by all").df()
        """
        if isinstance(allow, str):
            raise InvalidRequest(f"allow={allow!r} is a string; pass a list, [{allow!r}]")
        folders = None if allow is None else [Path(folder).expanduser() for folder in allow]
        return query.fetch(self._layout, text, lambda relation: relation, folders)

    def table(self, table: str) -> pa.Table:
        """Return a whole table in memory, in `table_schema(table)`; or a view, such as `quality`.

        A table has the columns of its files. `sql` computes `metric` and `unit` of `metrics` in addition.

        Raises:
            StoreError: if there is no such table, or a file is damaged.

        Example::

            store.table("sessions").to_pandas()
        """
        if table in VIEWS:
            return query.fetch(self._layout, f"from {table}", lambda relation: relation.to_arrow_table())
        return query.table(self._layout, table)

    def dataset(self, table: str) -> "ds.Dataset":
        """Return a table as a pyarrow dataset, for example to filter it or to read it in batches.

        It has the columns of the files, as `table` does. The dataset refers to the current files. After a compaction, a
        scan raises `FileNotFoundError` and never returns wrong rows; request a new dataset then.

        Raises:
            StoreError: if there is no such table, or the folder cannot be read.

        Example::

            store.dataset("metrics").to_table(filter=ds.field("mid") == 20003)
        """
        return query.dataset(self._layout, table)

    def files(self, table: str) -> list[Path]:
        """Return the files of a table, sorted.

        Raises:
            StoreError: if there is no such table, or the folder cannot be read.
        """
        return self._layout.files(table)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table, read from the file footers.

        Raises:
            StoreError: if a file is damaged or cannot be read.
        """
        return count_rows(self._layout)

    def completeness(self) -> pa.Table:
        """Return which days a harvest still has to complete: one row for each app and UTC day with data.

        - `calls`: the calls that are stored.
        - `ongoing`: those of them that are snapshots, because they had not ended when they were fetched.
        - `pending`: units of work that are not in the tables yet, or have to be fetched again.
        - `complete`: true if `ongoing` and `pending` are 0.

        A day without data has no row. Which time ranges were harvested is not stored.

        Raises:
            StoreError: if a file is damaged or cannot be read.

        Example::

            store.completeness().to_pandas()
        """
        return completeness(self._layout)

    def write_views(self, path: str | Path) -> None:
        """Write a DuckDB database file with views over the store, for Metabase, Superset, Grafana and others.

        The file has no rows: a query reads the files that the store has at that time, by absolute paths. Write it again
        if the store moves. It has the tables and views of `sql` and the view `completeness`, with comments on all columns.
        Times are `TIMESTAMP` in UTC. The views of the roll-ups aggregate the samples.

        A table without files gets an empty file in a folder of the store, such as `_oints`, because DuckDB reads no pattern without a file.

        Args:
            path: the file. A file that this method wrote is replaced atomically; connections that have it open stay valid.

        Raises:
            InvalidRequest: if the path is another file, or its folder does not exist.
            StoreError: if the file or the placeholder of a table cannot be written.

        Example::

            store.write_views("calls.duckdb")
        """
        write_views_file(self._layout, Path(path))
