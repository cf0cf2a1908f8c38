"""Pages, read from blocking code: the loop's thread is entered once a page."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agora_analytics.blocking.worker import Worker
from agora_analytics.engine.pages import Page
from agora_analytics.engine.pages import Pages as AsyncPages

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_END: Any = object()


class Pages(Generic[T]):
    """A listing: `for record in listing`, or page by page, or all at once.

    Nothing is asked for before the iteration begins; then up to `prefetch` pages are fetched at the same time,
    and given in order. Each iteration starts anew. Leaving it early cancels what is under way.

    Example:
        for page in client.calls("6h", "now").pages():
            print(len(page.records), page.meta.host)
    """

    def __init__(self, worker: Worker[Any], listing: AsyncPages[T]) -> None:
        self._worker = worker
        self._listing = listing
        self._process = os.getpid()

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.records

    def pages(self) -> Iterator[Page[T]]:
        """Iterate over the pages in order."""
        self._check()
        return iterate(self._worker, self._listing.pages())

    def collect(self) -> list[T]:
        """Return all records."""
        self._check()
        return self._worker.run(self._listing.collect)

    def to_arrow(self) -> "pa.Table":
        """Return all records as one Arrow table, with the schema of the table that the store keeps them in.

        Raises:
            ConfigurationError: if the extra `[arrow]` is not installed; nothing was asked then.
        """
        self._check()
        return self._worker.run(self._listing.to_arrow)

    def _check(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError("this listing was made before a fork; ask the client for it again")


def iterate(worker: Worker[Any], items: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over an asynchronous iterator, which goes on only while the next item is waited for."""
    return _iterate_steps(worker, items, process=os.getpid())


def _iterate_steps(worker: Worker[Any], items: AsyncIterator[T], *, process: int) -> Iterator[T]:
    async def following() -> T:
        return await anext(items, _END)

    def follow() -> T:
        if os.getpid() != process:  # the tasks that it would wait for are of a loop that does not run here
            raise RuntimeError("this iteration was begun before a fork; begin another one here")
        return worker.run(following)

    try:
        while (item := follow()) is not _END:
            yield item
    finally:
        if os.getpid() == process:
            worker.drop(items)
