"""The walk of a listing of Insights: its outer list page by page, each page whole at every level below."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgspec
from attrs import astuple, evolve, field, frozen

from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.engine.pages import Meta, Page, Pages
from agora_analytics.errors import DecodeError, IncompleteListing, InvalidRequest
from agora_analytics.opentok.graphql_query import PAGE_BUDGET, Field, Path, fit_pages, text, without
from agora_analytics.opentok.judge import refused
from agora_analytics.opentok.nested_pages import Ask, Problem, gather, short

T = TypeVar("T")

Aside = Callable[[Callable[[], list[Any]], Sequence[ApiResponse]], Awaitable[list[Any]]]
"""Does work on answers, where it does not hold up the event loop."""
Tell = Callable[[str, Sequence[Problem]], None]
"""Tells those who watch of what is wrong with a page of an endpoint."""


@frozen
class Step:
    """A page of the outer list of the `part`th query: at a cursor ("" is the first page), behind `seen` of `total`."""

    part: int
    cursor: str = ""
    seen: int = 0
    total: int | None = None


@frozen(kw_only=True)
class InsightsPage(Page[T]):
    """A page of a listing, whole at every level.

    Attributes:
        problems: what the server, or the count of what came, says against it; empty if all is well.
        listed: how many members of the outer list it has.
        raw: the body of its first answer; what its inner lists left out came with further ones.
    """

    problems: Sequence[Problem] = field(default=())
    listed: int = 0


InsightsPages = Pages[T, InsightsPage[T]]
"""A listing of Insights. What the server could not return is left out, and reported by the page it belongs to."""


class InsightsPaginator(Generic[T]):
    """Walks the outer list of one query, or of several one behind the other.

    Args:
        queries: each with the same lists, for other sessions, say.
        outer: where the outer list is in them.
        read: what its members become.
        ask: sends one query.
        endpoint: what they count for.
        aside: makes records of large answers elsewhere than on the event loop.
        tell: told of the problems of each page.
        resume: a page's resume token.
    """

    def __init__(
        self,
        queries: Sequence[Field],
        outer: Path,
        read: Callable[[dict[str, Any]], Iterable[T]],
        ask: Ask,
        *,
        endpoint: str,
        aside: Aside,
        tell: Tell,
        resume: str | None = None,
    ) -> None:
        self._queries = [fit_pages(query, PAGE_BUDGET) for query in queries]
        self._outer = outer
        self._read = read
        self._ask = ask
        self._endpoint = endpoint
        self._aside = aside
        self._tell = tell
        self._passed: defaultdict[int, set[str]] = defaultdict(set)  # the cursors of pages, by query
        self.steps = [Step(i) for i in range(len(queries))] if resume is None else self._steps(resume)

    async def fetch(self, step: Step) -> InsightsPage[T]:
        """See `Paginator.fetch`.

        Raises:
            APIError: errors came, and nothing of what was asked for.
            DecodeError: no error came, and the list is not there.
            IncompleteListing: a list changed while its pages were read, or its pages do not go on.
        """
        query = self._queries[step.part]
        self._passed[step.part].add(step.cursor)
        cursors = {self._outer: step.cursor} if step.cursor else {}
        if step.cursor:
            query = _at(query, self._outer, step.cursor)
        gathered = await gather(self._ask, query, but=self._outer, cursors=cursors)
        outer = _value(gathered.data, self._outer)
        good = gathered.answers[0]
        if outer is None and not gathered.problems:  # an empty list says that it is empty
            raise DecodeError(
                f"there is no list {self._outer[-1]}, and no error that says why",
                path=".".join(("$.data", *self._outer)),
                endpoint=self._endpoint,
                host=good.host,
                request_id=good.response.headers.get("x-request-id"),
            )
        outer = outer or {}
        inner = (one for one in short(query, gathered.data) if len(one.path) > len(self._outer))
        problems = [*gathered.problems, *inner, *self._shifted(step, outer)]
        members = outer.get("resources") or ()
        records = await self._aside(partial(self._records, members), gathered.answers)
        if gathered.problems and not records:
            error = refused(gathered.problems[0], good.response)
            error.endpoint, error.host, error.trail = self._endpoint, good.host, good.trail
            raise error
        self._tell(self._endpoint, problems)
        return InsightsPage(
            records=records,
            meta=Meta(
                status=good.response.status,
                request_id=good.response.headers.get("x-request-id"),
                host=good.host,
                attempts=sum(len(answer.trail) for answer in gathered.answers),
                elapsed=good.response.elapsed,
                total=_count(outer),
            ),
            resume_token=self._next(step, outer),
            raw=good.response.body,
            problems=problems,
            listed=len(members),
        )

    def answered(self, step: Step, page: Page[T]) -> tuple[Step, list[Step]]:
        """See `Paginator.answered`: behind a page comes the next one of the same query."""
        if not page.resume_token or not isinstance(page, InsightsPage):
            return step, []
        return step, [Step(step.part, page.resume_token, step.seen + page.listed, page.meta.total)]

    def deliver(self, page: Page[T], left: Iterable[Step]) -> Page[T]:
        """See `Paginator.deliver`."""
        return evolve(page, resume_token=write_token(self._mark, left))

    def _records(self, members: Iterable[Any]) -> list[T]:
        return [one for member in members if isinstance(member, dict) for one in self._read(member)]

    @cached_property
    def _mark(self) -> str:
        """What the listing is known by: all that it asks but times, for these may be given as a time ago."""
        asked = (without(query, "first", "start", "end").text() for query in self._queries)
        return f"{crc32(' '.join(asked).encode()):08x}"

    def _next(self, step: Step, outer: dict[str, Any]) -> str:
        """Return the cursor of the next page; "" if there is none."""
        if not _goes_on(outer):
            return ""
        cursor = str(outer["pageInfo"].get("endCursor") or "")
        if not cursor or cursor in self._passed[step.part] or not outer.get("resources"):
            raise IncompleteListing(f"there are more pages, but none behind the cursor {cursor!r}; ask again")
        return cursor

    def _shifted(self, step: Step, outer: dict[str, Any]) -> Iterable[Problem]:
        """Yield a problem if the outer list changed behind the pages: its members are only counted off."""
        name, total = self._outer[-1], _count(outer)
        seen = step.seen + len(outer.get("resources") or ())
        if step.total is not None and total not in (None, step.total):
            yield Problem(
                message=f"{name} went from {step.total} to {total} while the pages were read: some may be missing, "
                "or come twice; ask again",
                path=self._outer,
            )
        elif total is not None and seen < total and not _goes_on(outer):
            yield Problem(message=f"{seen} of {total} {name} came", path=self._outer)

    def _steps(self, token: str) -> list[Step]:
        mark, steps = read_token(token)
        if mark != self._mark or any(not 0 <= step.part < len(self._queries) for step in steps):
            raise InvalidRequest("this resume token is of another listing; ask with the same arguments")
        return steps


def write_token(mark: str, steps: Iterable[Step]) -> str:
    """Return a listing's mark and the steps still to come as an opaque text; "" if there are none."""
    left = [astuple(step) for step in steps]
    return urlsafe_b64encode(msgspec.json.encode([mark, left])).decode().rstrip("=") if left else ""


def read_token(token: str) -> tuple[str, list[Step]]:
    """Return the mark and the steps that `write_token` wrote.

    Raises:
        InvalidRequest: if the text is not a resume token of such a listing.
    """
    try:
        mark, left = msgspec.json.decode(
            urlsafe_b64decode(token + "=" * (-len(token) % 4)),
            type=tuple[str, list[tuple[int, str, int, int | None]]],
        )
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(
            "this is not a resume token of a listing; pass a page's resume_token as it is"
        ) from error
    return mark, [Step(*step) for step in left]


def _goes_on(outer: dict[str, Any]) -> bool:
    return bool((outer.get("pageInfo") or {}).get("hasNextPage"))


def _count(outer: dict[str, Any]) -> int | None:
    total = outer.get("totalCount")
    return total if isinstance(total, int) else None


def _at(query: Field, path: Path, cursor: str) -> Field:
    if not path:
        return query.with_arguments(endCursor=text(cursor))
    return query.with_inner(
        _at(inner, path[1:], cursor) if inner.key == path[0] else inner for inner in query.inner
    )


def _value(data: Any, path: Path) -> dict[str, Any] | None:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else None
