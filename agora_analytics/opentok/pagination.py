"""Paginates the outer collection of a listing. Each page is complete at every level below it."""

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from attrs import define, evolve, field, frozen

from agora_analytics.core.lenient_reader import LenientReader, kind_of
from agora_analytics.core.resume_tokens import ResumeTokens, as_asked
from agora_analytics.core.spelling import check_spelling
from agora_analytics.engine.events import Event
from agora_analytics.engine.outcomes import with_context
from agora_analytics.engine.pages import Fetched, Page, Pages
from agora_analytics.errors import AgoraAnalyticsError, DecodeError, IncompleteListing
from agora_analytics.instants import Instant
from agora_analytics.opentok.graphql_query import (
    PAGE_BUDGET,
    Field,
    FieldPath,
    OneOrMore,
    fit_pages,
    string,
    without_arguments,
)
from agora_analytics.opentok.judge import Problem, error_of
from agora_analytics.opentok.runner import (
    CompleteData,
    InsightsRunner,
    fetch_all_pages,
    next_cursor,
    resources_of,
    short_lists,
    total_count,
)

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


@frozen
class CursorPage:
    """One page of a listing's outer collection.

    Attributes:
        query: the index of the query.
        cursor: where the page begins; "": at the beginning.
        seen: number of members on the pages before it.
        total: number of members of all pages, as the first page reported it.
    """

    query: int
    cursor: str = ""
    seen: int = 0
    total: int | None = None


@frozen(kw_only=True, repr=False)
class InsightsPage(Page[T]):
    """A page of a listing, complete at every level.

    Attributes:
        problems: errors of the server, and counts that do not match; empty if there are none.
        listed: number of members of the outer collection on this page.
        raw: the body of the first response, with `keep_raw=True`. Further pages of inner collections came in other responses.
    """

    problems: Sequence[Problem] = field(default=())
    listed: int = 0


InsightsPages = Pages[T, InsightsPage[T]]
"""A listing of Insights. What the server could not return is left out and reported in `problems` of its page."""


class Member(NamedTuple):
    """An object of a response, the reader of its fields, and its path."""

    fields: dict[str, Any]
    reader: LenientReader
    path: str


@frozen(kw_only=True)
class ListingPlan(Generic[T]):
    """What a listing requests, and how the members of the `outer` collection become records of a `kind`, and a table.

    `names` are names that the caller has chosen, each kind with what it is called and what the documents have.
    `notices` are the events of the question itself.
    """

    kind: type[Any]
    endpoint: str
    queries: Sequence[Field]
    outer: FieldPath
    parse: Callable[[Member], Iterable[T | None]]
    table: "Callable[[list[T]], pa.Table]"
    names: Sequence[tuple[str, OneOrMore, Iterable[str]]] = ()
    notices: Sequence[Event] = ()

    @property
    def question(self) -> list[str]:
        """Identifies the listing: the kind of its records, and its queries without times and page sizes."""
        queries = [without_arguments(query, "first", "start", "end").text() for query in self.queries]
        return [self.kind.__name__, *queries]


@frozen(kw_only=True)
class ListingPosition:
    """Where a listing continues.

    Attributes:
        start: the begin of the time range of its queries, UTC epoch seconds; None: open, or without a range.
        end: the end.
        steps: the remaining pages.
    """

    start: float | None
    end: float | None
    steps: list[CursorPage]


class InsightsPaginator(Generic[T]):
    """The `Paginator` of a listing. A page takes further requests if its inner collections have several pages."""

    def __init__(
        self, plan: ListingPlan[T], runner: InsightsRunner, tokens: ResumeTokens, position: ListingPosition
    ) -> None:
        self._plan = plan
        self._tokens = tokens
        self._position = position
        self._queries = [fit_pages(query, PAGE_BUDGET) for query in plan.queries]
        self._runner = runner
        self._visited: defaultdict[int, set[str]] = defaultdict(set)  # cursors, by query
        self.steps = position.steps

    async def fetch(self, step: CursorPage) -> Fetched[CursorPage, InsightsPage[T]]:
        """See `Paginator.fetch`."""
        name, endpoint = self._plan.outer[-1], self._plan.endpoint
        query = self._queries[step.query]
        self._visited[step.query].add(step.cursor)
        if step.cursor:
            query = _at_cursor(query, self._plan.outer, step.cursor)
        cursors = {self._plan.outer: step.cursor} if step.cursor else {}
        run_query = partial(self._runner.run_query, endpoint)
        complete = await fetch_all_pages(run_query, query, skip=self._plan.outer, cursors=cursors)
        sent = value_at(complete.data, self._plan.outer)
        outer: dict[str, Any] = sent if isinstance(sent, dict) else {}
        if outer is not sent and not complete.problems:  # an empty collection is sent as an empty list
            missing = DecodeError(
                f"the response has no list {name}, and no error that explains it",
                path=".".join(("$.data", *self._plan.outer)),
                request_id=complete.first.request_id,
            )
            raise self._with_context(missing, complete)
        inner = [p for p in short_lists(query, complete.data) if len(p.path) > len(self._plan.outer)]
        problems = [*complete.problems, *inner, *self._count_problems(step, outer)]
        reader, path = LenientReader(), ".".join(("$.data", *self._plan.outer))
        members = reader.inner_list(outer.get("resources"), path)
        records = await self._runner.in_thread(partial(self._parse, members, reader, path), complete.largest)
        if complete.problems and not records and not reader.skipped:
            error = error_of(complete.problems[0], complete.first.response)
            raise self._with_context(error, complete)
        self._runner.report(endpoint, problems, reader.skipped)
        page = InsightsPage(
            records=records,
            meta=evolve(complete.meta, total=total_count(outer)),
            raw=complete.first.response.body,
            problems=problems,
            listed=len(members),
            skipped=tuple(reader.skipped),
        )
        cursor = self._next_cursor(step, outer)
        following = CursorPage(step.query, cursor, step.seen + len(members), page.meta.total)
        return Fetched(page=page, next_steps=[following] if cursor else [])

    def finalize(self, page: InsightsPage[T], left: Sequence[CursorPage]) -> InsightsPage[T]:
        """See `Paginator.finalize`."""
        if not left:
            return page
        return evolve(page, resume_token=self._tokens.write(evolve(self._position, steps=list(left))))

    def _parse(self, members: Sequence[Any], reader: LenientReader, path: str) -> list[T]:
        read = (
            self._plan.parse(Member(member, reader, its_path))
            for member, its_path in objects_in(members, reader, path)
        )
        return [record for records in read for record in records if record is not None]

    def _with_context(self, error: AgoraAnalyticsError, complete: CompleteData) -> AgoraAnalyticsError:
        endpoint = self._runner.operations[self._plan.endpoint]
        return with_context(error, endpoint, complete.first.host, list(complete.first.trail))

    def _next_cursor(self, step: CursorPage, outer: dict[str, Any]) -> str:
        """Return the cursor of the next page; "" if there is none."""
        cursor = next_cursor(outer)
        if cursor is None:
            return ""
        if not cursor or cursor in self._visited[step.query] or not resources_of(outer):
            raise IncompleteListing(
                f"there are more pages, but their cursor {cursor!r} does not advance; list them again"
            )
        return cursor

    def _count_problems(self, step: CursorPage, outer: dict[str, Any]) -> Iterable[Problem]:
        """Yield a problem if the size of the outer collection changed between its pages, or does not match."""
        name, total = self._plan.outer[-1], total_count(outer)
        seen = step.seen + len(resources_of(outer))
        if step.total is not None and total not in (None, step.total):
            yield Problem(
                message=f"{name} went from {step.total} to {total} while the pages were read: some may be missing or "
                "repeated; list them again",
                path=self._plan.outer,
            )
        elif total is not None and seen < total and next_cursor(outer) is None:
            yield Problem(message=f"the server returned {seen} of {total} {name}", path=self._plan.outer)


Ends = tuple[Instant | None, Instant | None]
"""The two ends of a time range, as a caller passes them; None: open."""
Range = tuple[float | None, float | None]
"""The same in UTC epoch seconds."""
PlanOf = Callable[[float | None, float | None], ListingPlan[T]]
"""Plans a listing for a `Range`."""


def plan_pages(
    runner: InsightsRunner,
    plan_of: PlanOf[T],
    ends: Callable[[], Range],
    asked: Ends,
    resume: str | None,
) -> "tuple[Callable[[], Coroutine[Any, Any, InsightsPaginator[T]]], Callable[[Sequence[InsightsPage[T]]], pa.Table]]":
    """Return the functions that return the paginator and the table of a listing.

    A resumed listing has the range of its token.

    Args:
        runner: runs the queries.
        plan_of: plans the listing for a time range.
        ends: returns the range.
        asked: the same, as the caller passed it.
        resume: the resume token of a page.
    """

    table: _PlannedTable[T] = _PlannedTable()

    async def paginator() -> InsightsPaginator[T]:
        start, end = ends()
        plan = plan_of(start, end)
        if runner.validates:
            for what, words, documented in plan.names:
                check_spelling(what, words, documented, endpoint=plan.endpoint)
        for event in plan.notices:
            runner.notify(event)
        tokens = ResumeTokens(plan.endpoint, plan.question, *map(as_asked, asked))
        steps = [CursorPage(i) for i in range(len(plan.queries))]
        position = ListingPosition(start=start, end=end, steps=steps)
        if resume is not None:
            position = tokens.read(resume, ListingPosition) or evolve(position, steps=[])
            runner.check_start(plan.endpoint, position.start)
            plan = plan_of(position.start, position.end)
        table.of_rows = plan.table
        return InsightsPaginator(plan, runner, tokens, position)

    return paginator, table


@define
class _PlannedTable(Generic[T]):
    """The table of a listing, which is known when the listing is planned. Pages keep it, so it can be pickled."""

    of_rows: "Callable[[list[T]], pa.Table] | None" = None

    def __call__(self, pages: "Sequence[Page[T]]") -> "pa.Table":
        if self.of_rows is None:
            raise RuntimeError("a listing becomes a table after it was planned")
        return self.of_rows([row for page in pages for row in page.records])


def objects_in(members: Sequence[Any], reader: LenientReader, path: str) -> list[tuple[dict[str, Any], str]]:
    """Return the members of a collection that are objects, each with its path. Null is left out, the rest skipped."""
    found = []
    for i, member in enumerate(members):
        place = f"{path}.resources[{i}]"
        if isinstance(member, dict):
            found.append((member, place))
        elif member is not None:
            reader.skip(place, f"expected an object, found {kind_of(member)}")
    return found


def _at_cursor(query: Field, path: FieldPath, cursor: str) -> Field:
    if not path:
        return query.with_arguments(endCursor=string(cursor))
    return query.with_inner(
        _at_cursor(inner, path[1:], cursor) if inner.key == path[0] else inner for inner in query.inner
    )


def value_at(data: Any, path: Iterable[str]) -> Any:
    """Return the value at a path of keys in a response; None if there is none."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data
