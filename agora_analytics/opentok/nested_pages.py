"""A query asked to its end: the pages that an answer leaves out, at every level, are asked for and put in their places.

The members of an inner list can not be asked for by an id of their parent, so its next page is asked for together
with the very pages of all lists above it, and taken where the parent stands. All lists that go on at the same cursor
come with one request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.errors import IncompleteListing
from agora_analytics.opentok.graphql_query import IDENTITY_FIELDS, Field, Path, next_page_query

At = tuple[str | int, ...]
"""Where a value is in an answer: keys, and places in lists."""


@frozen(kw_only=True)
class Problem:
    """What the server, or the count of what came, says against an answer that is there all the same.

    Attributes:
        message: in words.
        code: the vendor's code; None: it has none.
        path: where, as keys and places in lists; () if it does not say.
    """

    message: str
    code: int | None = None
    path: Sequence[str | int] = ()


@define
class Gathered:
    """The data of a query, what is wrong with them, and the answers that they came with."""

    data: dict[str, Any]
    problems: list[Problem]
    answers: list[ApiResponse] = field(repr=False)


Ask = Callable[[Field], Awaitable[Gathered]]
"""Sends one query, and returns one answer."""


async def gather(
    ask: Ask,
    query: Field,
    *,
    of: frozenset[At] = frozenset({()}),
    but: Path | None = None,
    cursors: Mapping[Path, str] | None = None,
    passed: frozenset[str] = frozenset(),
) -> Gathered:
    """Ask a query and all that its lists leave out.

    Args:
        ask: sends a query.
        query: what is asked.
        of: only the lists at these places, all of one path, and those in them are followed: others have their pages
            asked for elsewhere.
        but: a list that is not followed itself.
        cursors: where lists of the query stand that are not at their beginning.
        passed: the cursors of the lists `of` whose pages came already.

    Raises:
        IncompleteListing: a list changed while its pages were read, or its pages do not go on.
    """
    at, depth = cursors or {}, len(next(iter(of)))
    gathered = await ask(query)
    further: dict[tuple[Path, str], list[At]] = {}
    came = sizes(query, gathered.data)
    for path, cursor, place in unfinished(query, gathered.data):
        if path != but and place[:depth] in of:
            further.setdefault((path, cursor), []).append(place)

    async def follow(path: Path, cursor: str, places: list[At]) -> None:
        before = passed if places[0] in of else frozenset[str]()
        if not cursor or cursor in before:
            raise IncompleteListing(
                f"the pages of {path[-1]} do not go on behind the cursor {cursor!r}; ask again"
            )
        there = {**at, path: cursor}
        next_page = next_page_query(query, path, there, came)
        passing = before | {cursor}
        page = await gather(ask, next_page, of=frozenset(places), cursors=there, passed=passing)
        for place in places:
            _put_together(gathered.data, page.data, place)
        gathered.problems += page.problems
        gathered.answers += page.answers

    try:
        async with asyncio.TaskGroup() as group:
            for (path, cursor), places in further.items():
                group.create_task(follow(path, cursor, places))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return gathered


def unfinished(query: Field, data: Any) -> Iterator[tuple[Path, str, At]]:
    """Yield each list that has a next page: its path in the query, the cursor, and where it is in the answer."""
    for path, value, at in _lists(query, data, (), ()):
        info = value.get("pageInfo") or {}
        if info.get("hasNextPage"):
            yield path, info.get("endCursor") or "", at


def sizes(query: Field, data: Any) -> dict[Path, int]:
    """Return how many members the longest of the lists at each path has."""
    found: dict[Path, int] = {}
    for path, value, _ in _lists(query, data, (), ()):
        found[path] = max(found.get(path, 1), len(value.get("resources") or ()))
    return found


def short(query: Field, data: Any) -> Iterator[Problem]:
    """Yield a problem for each list that has fewer members than its own count says."""
    for path, value, at in _lists(query, data, (), ()):
        count, came = value.get("totalCount"), len(value.get("resources") or ())
        goes_on = (value.get("pageInfo") or {}).get("hasNextPage")
        if isinstance(count, int) and came < count and not goes_on:
            yield Problem(message=f"{came} of {count} {path[-1]} came", path=at)


def _lists(query: Field, value: Any, path: Path, at: At) -> Iterator[tuple[Path, dict[str, Any], At]]:
    if not isinstance(value, dict):  # a null where an error is
        return
    deeper = [inner for inner in query.inner if inner.fields]
    members: list[tuple[Any, At]] = [(value, at)]
    if query.members is not None:
        yield path, value, at
        key = query.members.key
        members = [(one, (*at, key, i)) for i, one in enumerate(value.get(key) or ())] if deeper else []
    for inner in deeper:
        for member, place in members:
            if isinstance(member, dict):
                yield from _lists(inner, member.get(inner.key), (*path, inner.key), (*place, inner.key))


def _put_together(data: Any, page: Any, at: At) -> None:
    for step in at:
        _require_same(data, page, at)
        data, page = data[step], _step(page, step, at)
    if not isinstance(page, dict):
        return  # an error is there, and among the problems
    data["resources"] = [*(data.get("resources") or ()), *(page.get("resources") or ())]
    data["pageInfo"] = page.get("pageInfo")
    if isinstance(count := page.get("totalCount"), int):
        data["totalCount"] = count


def _step(page: Any, step: str | int, at: At) -> Any:
    try:
        return None if page is None else page[step]
    except (KeyError, IndexError):
        raise _moved(at) from None


def _require_same(data: Any, page: Any, at: At) -> None:
    both = isinstance(data, dict) and isinstance(page, dict)
    if both and any(name in page and data.get(name) != page[name] for name in IDENTITY_FIELDS):
        raise _moved(at)


def _moved(at: At) -> IncompleteListing:
    names = ", ".join(step for step in at if isinstance(step, str) and step != "resources")
    return IncompleteListing(f"the lists changed while their pages were read ({names}); ask again")
