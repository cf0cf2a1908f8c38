"""Pages: an ordered listing, fetched ahead, whose tasks belong to the client and never outlive the iteration."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from attrs import define, evolve, field, frozen

from agora_analytics.engine.prefetch_budget import PrefetchBudget
from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
S = TypeVar("S")


@frozen(kw_only=True)
class Meta:
    """How a page came: the good answer's HTTP status, its request id, the host, and what it took.

    `attempts` counts all that were made; `elapsed` is the time in seconds of the one that was answered.
    `total` is how many records the server counts in the page's time range, where it says so.
    """

    status: int
    request_id: str | None
    host: str
    attempts: int
    elapsed: float
    total: int | None = None


@frozen(kw_only=True)
class Page(Generic[T]):
    """One answer of a listing.

    Attributes:
        records: what no earlier page of the listing held, in the server's order.
        meta: how the page came.
        resume_token: pass it as `resume=` to go on behind this page; "" on the last page.
        raw: the body as it was sent.
    """

    records: Sequence[T]
    meta: Meta
    resume_token: str
    raw: bytes = field(repr=False)


class Paginator(Protocol[S, T]):
    """What a listing is made of: its steps, how one is fetched, and what an answer adds."""

    steps: list[S]

    async def fetch(self, step: S) -> Page[T]:
        """Send the request of a step and read the answer. The records may repeat earlier ones."""
        ...

    def answered(self, step: S, page: Page[T]) -> tuple[S, list[S]]:
        """Return the steps that an answer adds, and the step that they come behind."""
        ...

    def deliver(self, page: Page[T], left: Iterable[S]) -> Page[T]:
        """Return the page as users get it, given the steps that are left behind it."""
        ...


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@define(eq=False)
class _PendingPage(Generic[S, T]):
    step: S
    task: "asyncio.Task[None] | None" = None
    page: Page[T] | None = None
    error: Exception | None = None


class Pages(Generic[T]):
    """A listing: `async for record in listing`, or page by page, or all at once.

    Nothing is asked for before the iteration begins; then up to `prefetch` pages are fetched at the same time,
    and given in order. Each iteration starts anew. Leaving it early cancels what is under way.

    Example:
        async for page in client.calls("6h", "now").pages():
            print(len(page.records), page.meta.host)
    """

    def __init__(
        self,
        walk: Callable[[], Awaitable[Paginator[Any, T]]],
        *,
        spawn: Spawn,
        prefetch: int,
        arrow: "Callable[[Sequence[Page[T]]], pa.Table]",
        walk_for_arrow: Callable[[], Awaitable[Paginator[Any, Any]]] | None = None,
        prefetch_budget: PrefetchBudget | None = None,
    ) -> None:
        self._walk = walk
        self._spawn = spawn
        self._prefetch = prefetch
        self._arrow = arrow
        self._walk_for_arrow = walk_for_arrow or walk
        """A walk whose pages only `arrow` sees: what they hold may be less than records."""
        self._prefetch_budget = prefetch_budget

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for record in page.records:
                    yield record

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Iterate over the pages in order."""
        async with aclosing(self._pages_of(self._walk)) as pages:
            async for page in pages:
                yield page

    async def _pages_of(
        self, walk: Callable[[], Awaitable[Paginator[Any, Any]]]
    ) -> AsyncGenerator[Page[Any], None]:
        ahead = _Prefetcher(
            await walk(), self._spawn, self._prefetch, self._prefetch_budget or PrefetchBudget()
        )
        try:
            while ahead.slots:
                yield await ahead.next()
        finally:
            ahead.cancel()

    async def collect(self) -> list[T]:
        """Return all records."""
        return [record async for record in self]

    async def to_arrow(self) -> "pa.Table":
        """Return all records as one Arrow table, with the schema of the table that the store keeps them in.

        Raises:
            ConfigurationError: if the extra `[arrow]` is not installed; nothing was asked then.
        """
        if find_spec("pyarrow") is None:
            raise ConfigurationError("to_arrow() needs pyarrow: pip install 'agora-analytics[arrow]'")
        pages = [evolve(page, raw=b"") async for page in self._pages_of(self._walk_for_arrow)]
        return self._arrow(pages)


class _Prefetcher(Generic[S, T]):
    """The pages that are under way: a window of slots in the order of the listing."""

    def __init__(
        self, walk: Paginator[S, T], spawn: Spawn, prefetch: int, prefetch_budget: PrefetchBudget
    ) -> None:
        self._walk = walk
        self._spawn = spawn
        self._prefetch = prefetch
        self._prefetch_budget = prefetch_budget
        self.slots: list[_PendingPage[S, T]] = [_PendingPage(step) for step in walk.steps]

    async def next(self) -> Page[T]:
        head = self.slots[0]
        if head.task is None:
            await self._prefetch_budget.acquire()
            self._start(head)
        self._launch()
        while head.page is None and head.error is None:
            if head.task is None or head.task.done():
                raise RuntimeError("the client was closed while its pages were read")
            await asyncio.wait([head.task])
        del self.slots[0]
        if head.error is not None:
            raise head.error
        assert head.page is not None  # noqa: S101 - the loop above ends no other way
        self._prefetch_budget.unhold(len(head.page.raw))
        self._launch()
        return self._walk.deliver(head.page, (slot.step for slot in self.slots))

    def cancel(self) -> None:
        for slot in self.slots:
            if slot.task is not None:
                slot.task.cancel()
            if slot.page is not None:
                self._prefetch_budget.unhold(len(slot.page.raw))
        self.slots.clear()

    def _launch(self) -> None:
        for slot in self.slots[: self._prefetch]:
            if slot.task is None:
                if not self._prefetch_budget.try_acquire():
                    return
                self._start(slot)

    def _start(self, slot: _PendingPage[S, T]) -> None:
        try:
            slot.task = self._spawn(self._fill(slot))
        except BaseException:
            self._prefetch_budget.release()
            raise
        slot.task.add_done_callback(lambda _: self._prefetch_budget.release())

    async def _fill(self, slot: _PendingPage[S, T]) -> None:
        try:
            page = await self._walk.fetch(slot.step)
            anchor, added = self._walk.answered(slot.step, page)
        except Exception as error:  # noqa: BLE001 - raised when the slot's turn comes
            slot.error = error
            return
        slot.page = page
        self._prefetch_budget.hold(len(page.raw))
        if added:
            self._insert(anchor, added)
            self._launch()

    def _insert(self, anchor: S, added: list[S]) -> None:
        places = [i for i, slot in enumerate(self.slots) if slot.step == anchor]
        where = places[-1] + 1 if places else 0
        self.slots[where:where] = [_PendingPage(step) for step in added]
