"""A listing: ordered pages, prefetched in parallel by tasks that never outlive the iteration."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self

from attrs import define, evolve, field, frozen
from typing_extensions import TypeVar

from agora_analytics.core.frames import Tabular, as_pandas, as_polars, require
from agora_analytics.core.record import Record
from agora_analytics.core.record_list import Records
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.core.windows import Window
from agora_analytics.engine.call_options import CallOptions, call_limits
from agora_analytics.engine.prefetch_budget import PrefetchBudget
from agora_analytics.errors import ConfigurationError, WindowOutOfReach

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

T = TypeVar("T")
S = TypeVar("S")


@frozen(kw_only=True)
class Meta(Record):
    """Where a page came from.

    Attributes:
        status: the HTTP status of the successful attempt.
        request_id: the id that the vendor's support asks for.
        host: the base URL that answered.
        attempts: how many attempts were made.
        elapsed: seconds that the successful attempt took.
        window: the time range that was sent, after it was cut to what the plan allows; None if the request had none.
        total: how many records the server counts in the page's time range; None where it does not say.
    """

    status: int
    request_id: str | None
    host: str
    attempts: int
    elapsed: float
    window: Window | None = None
    total: int | None = None


@frozen(kw_only=True, repr=False)
class Page(Record, Tabular, Generic[T]):
    """One page of a listing.

    Attributes:
        records: the records that no earlier page of the listing had, in the server's order.
        meta: where the page came from.
        resume_token: pass it as `resume=`, with the same other arguments, to continue after this page. The listing then
            has the time range of this one, and other arguments raise `InvalidRequest`. "" on the last page.
        raw: the response body; None unless the client has `keep_raw=True`, because a body may have 125 MB.
        skipped: the records of the response that could not be read. They are not among `records`.
    """

    records: Sequence[T]
    meta: Meta
    resume_token: str = ""
    raw: bytes | None = field(default=None, repr=False)
    skipped: tuple[SkippedRecord, ...] = ()
    _table: "Callable[[Sequence[Any]], Any] | None" = field(default=None, repr=False, eq=False)
    _NOT_IN_JSON = frozenset({"raw"})

    def __repr__(self) -> str:
        kind = type(self.records[0]).__name__ if self.records else "record"
        rest = "more pages follow" if self.resume_token else "the last page"
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return (
            f"<{type(self).__name__} of {len(self.records)} x {kind}{skipped} from {self.meta.host}, {rest}>"
        )

    def to_arrow(self) -> "pa.Table":
        """Return the records of the page as an Arrow table with the columns of the listing.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed, or no listing has returned the page.
        """
        require("pyarrow", "to_arrow()")
        if self._table is None:
            raise ConfigurationError("only a page that a listing has returned can become a table")
        return self._table([self])


P = TypeVar("P", bound=Page[Any])
PageT = TypeVar("PageT", default=Page[T], bound=Page[Any])


@frozen(kw_only=True)
class Fetched(Generic[S, P]):
    """What a paginator returns for a step: the page, and the steps that its response adds.

    Attributes:
        page: the page.
        next_steps: further steps.
        after: the step that they follow; None: the one that was fetched.
    """

    page: P
    next_steps: Sequence[S] = ()
    after: S | None = None


class Paginator(Protocol[S, P]):
    """What a listing is made of: its steps, one for each page, and how a step is fetched."""

    @property
    def steps(self) -> Sequence[S]:
        """The steps known at the start, in the order of the pages."""
        ...

    async def fetch(self, step: S) -> Fetched[S, P]:
        """Send the request of a step and read the response. The records may repeat those of other pages."""
        ...

    def finalize(self, page: P, left: Sequence[S]) -> P:
        """Return the page without repeated records and with its resume token, given the steps after it.

        Called once a page, in the order of the pages.
        """
        ...


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@define(eq=False)
class _PendingPage(Generic[S, P]):
    """A page that is not delivered yet. `added_by` is the page whose response named its step, `size` the bytes of the body."""

    step: S
    added_by: "_PendingPage[S, P] | None" = field(default=None, repr=False)
    task: "asyncio.Task[None] | None" = None
    page: P | None = None
    size: int = 0
    error: Exception | None = None


class Pages(Generic[T, PageT]):
    """A listing of records `T` in pages `P`: iterate over records, over pages, or collect everything.

    Creating a listing does nothing. When the iteration begins, the arguments are checked and the requests are planned,
    so a listing that is iterated twice is planned twice. Then up to `prefetch` pages are fetched at the same time and
    returned in order. Leaving the iteration early cancels the requests in progress.

    Example:
        async for page in client.calls("6h", "now").pages():
            print(len(page.records), page.meta.host)
    """

    # Without `__dict__`: FastAPI encodes an object that is not a record by its `vars()`, so a route that returns a listing
    # would answer 200 with the attributes below.
    __slots__ = (
        "_keep_raw",
        "_options",
        "_paginator",
        "_paginator_for_table",
        "_prefetch",
        "_prefetch_budget",
        "_question",
        "_spawn",
        "_table",
    )

    def __init__(
        self,
        paginator: Callable[[], Awaitable[Paginator[Any, PageT]]],
        *,
        spawn: Spawn,
        prefetch: int,
        table: "Callable[[Sequence[PageT]], pa.Table]",
        paginator_for_table: Callable[[], Awaitable[Paginator[Any, Any]]] | None = None,
        prefetch_budget: PrefetchBudget | None = None,
        keep_raw: bool = False,
    ) -> None:
        self._question = ""
        self._paginator = paginator
        self._spawn = spawn
        self._prefetch = prefetch
        self._table = table
        self._paginator_for_table = paginator_for_table or paginator
        """Its pages are passed to `table` only, so they may hold rows in place of records."""
        self._prefetch_budget = prefetch_budget
        self._keep_raw = keep_raw
        self._options: CallOptions = {}

    def _limited(self, options: CallOptions) -> Self:
        """Apply the options of a call to each page, and return the listing."""
        self._options = {**self._options, **options}
        return self

    def _named(self, question: str) -> Self:
        """Note the call that the listing comes from, for its repr, and return the listing."""
        self._question = question
        return self

    def __repr__(self) -> str:
        return (
            f"<Pages of {self._question or 'records'}: nothing requested yet; iterate with `async for`, or await "
            ".collect(), .to_arrow(), .to_pandas() or .to_polars()>"
        )

    if not TYPE_CHECKING:  # type checkers report both uses themselves

        def __iter__(self) -> NoReturn:
            raise TypeError("this listing is asynchronous: use `async for`, or `await listing.collect()`")

        def __await__(self) -> NoReturn:
            raise TypeError("a listing is not awaited: use `async for`, or `await listing.collect()`")

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for record in page.records:
                    yield record

    async def pages(self) -> AsyncGenerator[PageT, None]:
        """Iterate over the pages in order."""
        async with aclosing(self._pages_of(self._paginator, keep_raw=self._keep_raw)) as pages:
            async for page in pages:
                yield evolve(page, table=self._table)

    async def _pages_of(
        self, paginator: Callable[[], Awaitable[Paginator[Any, PageT]]], *, keep_raw: bool
    ) -> AsyncGenerator[PageT, None]:
        budget = self._prefetch_budget or PrefetchBudget()

        async def plan() -> _Prefetcher[Any, PageT]:
            with call_limits(self._options) as limits:
                steps = await paginator()
            # Pages that are fetched at the same time wait for each other's slots.
            prefetch = self._prefetch if limits.max_wait is None else 1
            return _Prefetcher(steps, self._spawn, prefetch, budget, self._options, keep_raw=keep_raw)

        prefetcher, is_first = await plan(), True
        try:
            while prefetcher.pending:
                try:
                    page = await prefetcher.next()
                except WindowOutOfReach:
                    if not is_first:
                        raise
                    # the plan was made with a wrong clock, which the first response has corrected
                    prefetcher.cancel()
                    prefetcher = await plan()
                else:
                    yield page
                is_first = False
        finally:
            prefetcher.cancel()

    async def collect(self) -> Records[T]:
        """Return all records: a list that prints as a table and can become one, see `Records`."""
        return Records([record async for record in self], table=self._table)

    async def to_arrow(self) -> "pa.Table":
        """Return all records as one Arrow table, with the schema that the store uses for them.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed; no request was sent.
        """
        require("pyarrow", "to_arrow()")
        pages = [page async for page in self._pages_of(self._paginator_for_table, keep_raw=False)]
        return self._table(pages)

    async def to_pandas(self) -> "pd.DataFrame":
        """Return all records as one pandas DataFrame; see `Tabular.to_pandas` for the types of its columns.

        Raises:
            ConfigurationError: the extra `[pandas]` is not installed; no request was sent.
        """
        require("pandas", "to_pandas()")
        return as_pandas(await self.to_arrow())

    async def to_polars(self) -> "pl.DataFrame":
        """Return all records as one polars DataFrame.

        Raises:
            ConfigurationError: the extra `[polars]` is not installed; no request was sent.
        """
        require("polars", "to_polars()")
        return as_polars(await self.to_arrow())


class _Prefetcher(Generic[S, P]):
    """The pages that are not delivered yet, in the order of the listing."""

    def __init__(
        self,
        paginator: Paginator[S, P],
        spawn: Spawn,
        prefetch: int,
        prefetch_budget: PrefetchBudget,
        options: CallOptions,
        *,
        keep_raw: bool,
    ) -> None:
        self._paginator = paginator
        self._spawn = spawn
        self._prefetch = prefetch
        self._prefetch_budget = prefetch_budget
        self._keep_raw = keep_raw
        self._options = options
        self.pending: list[_PendingPage[S, P]] = [_PendingPage(step) for step in paginator.steps]

    async def next(self) -> P:
        head = self.pending[0]
        if head.task is None:
            await self._prefetch_budget.acquire()
            self._start(head)
        self._launch()
        while head.page is None and head.error is None:
            if head.task is None or head.task.done():
                raise RuntimeError("the client was closed while its pages were read")
            await asyncio.wait([head.task])
        del self.pending[0]
        if head.error is not None:
            raise head.error
        assert head.page is not None  # noqa: S101 - the loop above ends no other way
        self._prefetch_budget.unhold(head.size)
        self._launch()
        # A listing that resumes learns the steps again that a page in `pending` has added.
        undelivered = set(self.pending)
        left = [pending.step for pending in self.pending if pending.added_by not in undelivered]
        return self._paginator.finalize(head.page, left)

    def cancel(self) -> None:
        for pending in self.pending:
            if pending.task is not None:
                pending.task.cancel()
            if pending.page is not None:
                self._prefetch_budget.unhold(pending.size)
        self.pending.clear()

    def _launch(self) -> None:
        for pending in self.pending[: self._prefetch]:
            if pending.task is None:
                if not self._prefetch_budget.try_acquire():
                    return
                self._start(pending)

    def _start(self, pending: _PendingPage[S, P]) -> None:
        try:
            pending.task = self._spawn(self._fill(pending))
        except BaseException:
            self._prefetch_budget.release()
            raise
        pending.task.add_done_callback(lambda _: self._prefetch_budget.release())

    async def _fill(self, pending: _PendingPage[S, P]) -> None:
        try:
            with call_limits(self._options):
                fetched = await self._paginator.fetch(pending.step)
        except Exception as error:  # noqa: BLE001 - raised when the page is due
            pending.error = error
            return
        pending.size = len(fetched.page.raw or b"")
        pending.page = fetched.page if self._keep_raw else evolve(fetched.page, raw=None)
        self._prefetch_budget.hold(pending.size)
        if fetched.next_steps:
            self._insert(
                pending, pending.step if fetched.after is None else fetched.after, fetched.next_steps
            )
            self._launch()

    def _insert(self, added_by: _PendingPage[S, P], after: S, steps: Sequence[S]) -> None:
        places = [i for i, pending in enumerate(self.pending) if pending.step == after]
        where = places[-1] + 1 if places else 0
        self.pending[where:where] = [_PendingPage(step, added_by) for step in steps]
