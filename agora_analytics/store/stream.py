"""Runs a query over any store, and returns its rows in pieces."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa

from agora_analytics.store import query
from agora_analytics.store.bucket.location import BucketLocation
from agora_analytics.store.layout import Layout
from agora_analytics.store.parquet_store import ParquetStore

if TYPE_CHECKING:
    from agora_analytics.store.bucket.bucket_query import Snapshot
    from agora_analytics.store.bucket.bucket_store import BucketStore

T = TypeVar("T")


def stream(
    store: "ParquetStore | BucketStore", text: str, allow: Sequence[Path] | None = None
) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Run a query; return the schema of its rows, and the rows as tables of some thousand rows.

    Args:
        store: the store.
        text: the query.
        allow: run in a sandbox that reads only the store and these folders; None: no sandbox.

    Raises:
        InvalidRequest: if the statement is wrong, or is not a query.
        StoreError: if the store cannot be read.
    """
    if isinstance(store, ParquetStore):
        return query.stream(Layout(store.path), text, allow)
    return _snapshot(store).stream(text, allow)


def fetch(
    store: "ParquetStore | BucketStore",
    text: str,
    read: Callable[[duckdb.DuckDBPyRelation], T],
    allow: Sequence[Path] | None = None,
) -> T:
    """Return what `read` returns for the relation of a query. Its arguments and errors are those of `stream`."""
    if isinstance(store, ParquetStore):
        return query.fetch(Layout(store.path), text, read, allow)
    return _snapshot(store).fetch(text, read, allow)


def reader(store: "ParquetStore | BucketStore") -> Callable[[str], pa.Table]:
    """Return a function that returns the rows of a query as a table. Its errors are those of `stream`.

    All queries over a bucket read the same snapshot.
    """
    if isinstance(store, ParquetStore):
        layout = Layout(store.path)
        return lambda text: query.fetch(layout, text, lambda relation: relation.to_arrow_table())
    snapshot = _snapshot(store)
    return lambda text: snapshot.fetch(text, lambda relation: relation.to_arrow_table())


def _snapshot(store: "BucketStore") -> "Snapshot":
    from agora_analytics.store.bucket.bucket_query import Snapshot
    from agora_analytics.store.bucket.delta_tables import DeltaTables

    return Snapshot.load(DeltaTables(BucketLocation.parse(store.url)))
