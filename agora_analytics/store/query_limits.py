"""Limits the time, the memory and the temporary files of queries, so that a query of somebody else ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import duckdb
from attrs import define, field, frozen

from agora_analytics.errors import InvalidRequest

_REPEAT_EVERY = 0.05  # s; DuckDB ignores an interrupt between two queries


@frozen(kw_only=True)
class QueryLimits:
    """What the queries of a block may take.

    Attributes:
        seconds: how long all of them together may take.
        memory: the memory of one query, as DuckDB writes it. Values of many megabytes are not counted.
        temporary_files: the temporary files of one query, likewise.
    """

    seconds: float
    memory: str = "2GB"
    temporary_files: str = "4GB"


@define
class _Watched:
    """The queries of one block."""

    limits: QueryLimits
    is_late: bool = False
    running: set[duckdb.DuckDBPyConnection] = field(factory=set)
    lock: threading.Lock = field(factory=threading.Lock)


_watched: ContextVar[_Watched | None] = ContextVar("watched queries", default=None)


@contextmanager
def limited_queries(limits: QueryLimits) -> Iterator[None]:
    """Apply limits to all queries that this thread sends to a store in the block.

    Args:
        limits: the limits.

    Raises:
        InvalidRequest: the time is up. DuckDB stops a query between two batches of rows.

    Example::

        with limited_queries(QueryLimits(seconds=20)):
            rows = store.table("quality")
    """
    watched = _Watched(limits)
    ended = threading.Event()
    watcher = threading.Thread(target=_interrupt_late, args=(watched, ended), daemon=True)
    token = _watched.set(watched)
    watcher.start()
    try:
        yield
    except Exception as problem:
        if watched.is_late:
            raise InvalidRequest(
                f"the query was stopped after {limits.seconds:g} s; select fewer days, calls or columns"
            ) from problem
        raise
    finally:
        ended.set()
        _watched.reset(token)


@contextmanager
def running(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Apply the limits of the enclosing block, if there is one, to the queries of a connection in this block."""
    watched = _watched.get()
    if watched is None:
        yield
        return
    connection.execute(f"SET memory_limit = '{watched.limits.memory}'")
    connection.execute(f"SET max_temp_directory_size = '{watched.limits.temporary_files}'")
    with watched.lock:
        watched.running.add(connection)
    try:
        yield
    finally:
        with watched.lock:
            watched.running.discard(connection)


def _interrupt_late(watched: _Watched, ended: threading.Event) -> None:
    wait = watched.limits.seconds
    while not ended.wait(wait):
        wait = _REPEAT_EVERY
        watched.is_late = True
        with watched.lock:
            for connection in watched.running:
                connection.interrupt()
