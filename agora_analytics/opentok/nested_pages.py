"""Fetches a query completely: the pages that a response leaves out are fetched at every level and merged into it.

The API cannot fetch an inner collection by the id of its parent. Its next page is therefore requested together with the
same pages of all collections that contain it. The page is then taken from where its parent is in the response.
Collections that continue at the same cursor share a request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from attrs import define, evolve, field

from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.engine.pages import Meta
from agora_analytics.errors import IncompleteListing
from agora_analytics.opentok.graphql_query import IDENTITY_FIELDS, Field, FieldPath, next_page_query
from agora_analytics.opentok.judge import Problem, QueryData

ResponsePath = tuple[str | int, ...]
"""Where a value is in a response: keys and list indices."""

RunQuery = Callable[[Field], Awaitable[ApiResponse[QueryData]]]
"""Sends one query and returns its response."""


@define
class CompleteData:
    """The merged data of a query.

    Attributes:
        data: the data, with all pages of every followed collection.
        problems: the errors of all responses.
        first: the response of the first request.
        attempts: number of attempts of all requests.
        largest: size of the largest response body in bytes.
    """

    data: dict[str, Any]
    problems: list[Problem]
    first: ApiResponse[QueryData] = field(repr=False)
    attempts: int
    largest: int

    @property
    def meta(self) -> Meta:
        """Where the data came from: the first response, and the attempts of all requests."""
        return evolve(self.first.meta, attempts=self.attempts)

    def add(self, more: "CompleteData") -> None:
        """Add what a further page reports of itself; its members are added by `_append_page`."""
        self.problems += more.problems
        self.attempts += more.attempts
        self.largest = max(self.largest, more.largest)


async def fetch_all_pages(
    run_query: RunQuery,
    query: Field,
    *,
    roots: frozenset[ResponsePath] = frozenset({()}),
    skip: FieldPath | None = None,
    cursors: Mapping[FieldPath, str] | None = None,
    visited: frozenset[str] = frozenset(),
) -> CompleteData:
    """Run a query and fetch all further pages of its collections.

    Args:
        run_query: sends a query.
        query: the query.
        roots: follow only the collections at these places, which have the same field path, and those inside them. The
            caller follows the others.
        skip: a collection that is not followed.
        cursors: the cursors of the collections of the query that are not on their first page.
        visited: the cursors that the collections at `roots` have had already.

    Raises:
        IncompleteListing: a list changed while its pages were read, or a cursor is missing or repeated.
    """
    current, depth = cursors or {}, len(next(iter(roots)))
    response = await run_query(query)
    complete = CompleteData(
        data=response.result.data,
        problems=list(response.result.problems),
        first=response,
        attempts=len(response.trail),
        largest=len(response.response.body),
    )
    sizes = list_sizes(query, complete.data)
    next_pages: dict[tuple[FieldPath, str], list[ResponsePath]] = {}
    for path, cursor, place in unfinished_lists(query, complete.data):
        if path != skip and place[:depth] in roots:
            next_pages.setdefault((path, cursor), []).append(place)

    async def fetch_next(path: FieldPath, cursor: str, places: list[ResponsePath]) -> None:
        before = visited if places[0] in roots else frozenset[str]()
        if not cursor or cursor in before:
            raise IncompleteListing(
                f"the pages of {path[-1]} do not continue after the cursor {cursor!r}; list them again"
            )
        page = await fetch_all_pages(
            run_query,
            next_page_query(query, path, {**current, path: cursor}, sizes),
            roots=frozenset(places),
            cursors={**current, path: cursor},
            visited=before | {cursor},
        )
        for place in places:
            _append_page(complete.data, page.data, place)
        complete.add(page)

    try:
        async with asyncio.TaskGroup() as group:
            for (path, cursor), places in next_pages.items():
                group.create_task(fetch_next(path, cursor, places))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return complete


def has_next_page(collection: Mapping[str, Any]) -> bool:
    """Return whether a collection of a response has a further page."""
    return bool((collection.get("pageInfo") or {}).get("hasNextPage"))


def end_cursor(collection: Mapping[str, Any]) -> str:
    """Return the cursor after which a collection continues; "" if it has none."""
    return str((collection.get("pageInfo") or {}).get("endCursor") or "")


def total_count(collection: Mapping[str, Any]) -> int | None:
    """Return the number of members on all pages; None if the response does not have it."""
    total = collection.get("totalCount")
    return total if isinstance(total, int) else None


def unfinished_lists(query: Field, data: Any) -> Iterator[tuple[FieldPath, str, ResponsePath]]:
    """Yield each collection that has a next page: its path in the query, the cursor, and its place in the response."""
    for path, value, place in _lists(query, data, (), ()):
        if has_next_page(value):
            yield path, end_cursor(value), place


def list_sizes(query: Field, data: Any) -> dict[FieldPath, int]:
    """Return the number of members of the longest collection at each path, at least 1."""
    sizes: dict[FieldPath, int] = {}
    for path, value, _ in _lists(query, data, (), ()):
        sizes[path] = max(sizes.get(path, 1), len(value.get("resources") or ()))
    return sizes


def short_lists(query: Field, data: Any) -> Iterator[Problem]:
    """Yield a problem for each collection on its last page that has fewer members than its `totalCount`."""
    for path, value, place in _lists(query, data, (), ()):
        total, size = total_count(value), len(value.get("resources") or ())
        if total is not None and size < total and not has_next_page(value):
            yield Problem(message=f"the server returned {size} of {total} {path[-1]}", path=place)


def _lists(
    query: Field, value: Any, path: FieldPath, place: ResponsePath
) -> Iterator[tuple[FieldPath, dict[str, Any], ResponsePath]]:
    if not isinstance(value, dict):  # null in place of a value that failed
        return
    deeper = [inner for inner in query.inner if inner.fields]
    members: list[tuple[Any, ResponsePath]] = [(value, place)]
    if query.members is not None:
        yield path, value, place
        key = query.members.key
        listed = value.get(key) or ()
        members = [(member, (*place, key, i)) for i, member in enumerate(listed)] if deeper else []
    for inner in deeper:
        for member, its_place in members:
            if isinstance(member, dict):
                yield from _lists(inner, member.get(inner.key), (*path, inner.key), (*its_place, inner.key))


def _append_page(data: Any, page: Any, place: ResponsePath) -> None:
    for step in place:
        _check_same_parent(data, page, place)
        data, page = data[step], _descend(page, step, place)
    if not isinstance(page, dict):
        return  # the error that explains it is among the problems
    data["resources"] = [*(data.get("resources") or ()), *(page.get("resources") or ())]
    data["pageInfo"] = page.get("pageInfo")
    if (total := total_count(page)) is not None:
        data["totalCount"] = total


def _descend(page: Any, step: str | int, place: ResponsePath) -> Any:
    try:
        return None if page is None else page[step]
    except (KeyError, IndexError):
        raise _changed(place) from None


def _check_same_parent(data: Any, page: Any, place: ResponsePath) -> None:
    both = isinstance(data, dict) and isinstance(page, dict)
    if both and any(name in page and data.get(name) != page[name] for name in IDENTITY_FIELDS):
        raise _changed(place)


def _changed(place: ResponsePath) -> IncompleteListing:
    names = ", ".join(step for step in place if isinstance(step, str) and step != "resources")
    return IncompleteListing(f"the lists changed while their pages were read ({names}); list them again")
