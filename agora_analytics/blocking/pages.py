"""A blocking listing: the event loop's thread is entered once a page."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from agora_analytics.blocking.worker import Worker
from agora_analytics.engine.pages import Page
from agora_analytics.engine.pages import Pages as AsyncPages

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
P = TypeVar("P", default=Page[T], bound=Page[Any])

_END: Any = object()


class Pages(Generic[T, P]):
    """A listing of records `T` in pages `P`: iterate over records, over pages, or collect everything.

    No request is sent before the iteration begins. Then up to `prefetch` pages are fetched at the same time and
    returned in order. Each iteration starts from the beginning. Leaving it early cancels the requests in progress.

    Example:
        for page in client.calls("6h", "now").pages():
            print(len(page.records), page.meta.host)
    """

    def __init__(self, worker: Worker[Any], listing: AsyncPages[T, P]) -> None:
        self._worker = worker
        self._listing = listing
        self._process = os.getpid()

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.records

    def pages(self) -> Iterator[P]:
        """Iterate over the pages in order."""
        self._check()
        return iterate(self._worker, self._listing.pages())

    def collect(self) -> list[T]:
        """Return all records."""
        self._check()
        return self._worker.run(self._listing.collect)

    def to_arrow(self) -> "pa.Table":
        """Return all records as one Arrow table, with the schema that the store uses for them.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed; no request was sent.
        """
        self._check()
        return self._worker.run(self._listing.to_arrow)

    def _check(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError("this listing was created before a fork; create a new one in this process")


def iterate(worker: Worker[Any], items: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over an asynchronous iterator, which runs only while the caller waits for the next item."""
    return _iterate(worker, items, process=os.getpid())


def _iterate(worker: Worker[Any], items: AsyncIterator[T], *, process: int) -> Iterator[T]:
    async def next_item() -> T:
        return await anext(items, _END)

    def run_next() -> T:
        if os.getpid() != process:  # its tasks belong to a loop that does not run in this process
            raise RuntimeError("this iteration was begun before a fork; begin a new one in this process")
        return worker.run(next_item)

    try:
        while (item := run_next()) is not _END:
            yield item
    finally:
        if os.getpid() == process:
            worker.drop(items)
