"""Sends the queries of one project, and fetches the pages that a response leaves out, at every level.

The API cannot fetch an inner collection by the id of its parent. Its next page is therefore requested together with the
same pages of all collections that contain it. The page is then taken from where its parent is in the response.
Collections that continue at the same cursor share a request.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, evolve, field

from agora_analytics.core.numbers import truth_of, whole_number
from agora_analytics.core.sent_text import json_body
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.events import Event, PartialResponse, RecordsSkipped
from agora_analytics.engine.pages import Meta
from agora_analytics.engine.request_loop import THREAD_FROM_BYTES
from agora_analytics.errors import IncompleteListing, ServerError, WindowOutOfReach
from agora_analytics.instants import Instant, epoch_seconds
from agora_analytics.kit.operation import Operation, report_clip
from agora_analytics.opentok.graphql_query import IDENTITY_FIELDS, Field, FieldPath, next_page_query
from agora_analytics.opentok.judge import Problem, QueryData, read_response
from agora_analytics.opentok.query_builders import oldest_daily_row
from agora_analytics.opentok.spec import DAILY_REACH, DAY, LIMITS, PROJECT_DATA, SESSION_DATA, Interval

T = TypeVar("T")

_TIME_FOR_PAGES = 900
"""Seconds at the old end of the reach that are not requested, since all pages of a listing have the same start."""
_TRANSIT_MARGIN = 0.4
"""Seconds added to the limit's 30, since requests may take different times to the server. It costs 1% of the rate."""
CLIENT_LIMITS = {
    name: evolve(limits, period=limits.period + _TRANSIT_MARGIN) for name, limits in LIMITS.items()
}
CLIENT_LIMITS[SESSION_DATA] = evolve(
    CLIENT_LIMITS[SESSION_DATA], reach=LIMITS[SESSION_DATA].reach - _TIME_FOR_PAGES
)
"""The documented limits with our margins."""

ResponsePath = tuple[str | int, ...]
"""Where a value is in a response: keys and list indices."""
RunQuery = Callable[[Field], Awaitable[ApiResponse[QueryData]]]
"""Sends one query and returns its response."""


class InsightsRunner:
    """Runs the queries of one client; `validate` checks names, and cuts time ranges to what may be requested."""

    def __init__(self, engine: Engine, *, path: str, validate: bool) -> None:
        self._engine = engine
        self.validates = validate
        self.operations: Mapping[str, Operation[QueryData]] = {
            name: Operation(name=name, method="POST", path=path, read=read_response)
            for name in (SESSION_DATA, PROJECT_DATA)
        }

    @property
    def reach(self) -> Window:
        """The seconds whose session data may be requested now."""
        return self._engine.reach(self.operations[SESSION_DATA])

    async def run_query(self, endpoint: str, query: Field) -> ApiResponse[QueryData]:
        """Send a query without variables; raises as `send`."""
        return await self.send(endpoint, {"query": query.text().removeprefix("query ")})

    async def send(self, endpoint: str, body: Mapping[str, Any]) -> ApiResponse[QueryData]:
        """Send a request body and return the response.

        A response that lacks a part, since the server failed there, is requested again. The last one is returned.
        """
        encoded = json_body(body)
        try:
            return await self._engine.run(self.operations[endpoint].request(body=encoded))
        except ServerError as error:
            if error.partial is None:
                raise
            good, response = error.partial
            return ApiResponse(
                result=good.result,
                request_id=good.request_id,
                response=response,
                host=error.host or "",
                trail=error.trail,
            )

    async def in_thread(self, work: Callable[[], T], size: int) -> T:
        """Do work on responses, the largest of which has `size` bytes; in a thread if that is large."""
        return work() if size < THREAD_FROM_BYTES else await self._engine.in_thread(work)

    def report(
        self, endpoint: str, problems: Sequence[Problem], skipped: Sequence[SkippedRecord] = ()
    ) -> None:
        """Send an event for each problem of a page that is returned, and one for its skipped records."""
        if skipped:
            self._engine.observer(RecordsSkipped(endpoint=endpoint, skipped=tuple(skipped)))
        for problem in problems:
            event = PartialResponse(endpoint=endpoint, code=problem.code, message=problem.message)
            self.notify(event)

    def notify(self, event: Event) -> None:
        """Send an event to the observer."""
        self._engine.observer(event)

    def clipped(self, window: Window, endpoint: str = SESSION_DATA, *, report: bool = True) -> Window:
        """Return the part of a time range that may be requested now; with `report`, send an event if it is cut."""
        if not self.validates:
            return window
        now = self._engine.server_time.now()
        part = clip(window, self._engine.limits(self.operations[endpoint]), now, endpoint=endpoint)
        if report:
            report_clip(self._engine.observer, endpoint, window, part, now)
        return part

    def open_range(
        self,
        since: Instant | None,
        until: Instant | None,
        *,
        endpoint: str = SESSION_DATA,
        names: tuple[str, str] = ("since", "until"),
        report: bool = True,
    ) -> tuple[float | None, float | None]:
        """Return the two ends of a time range in UTC epoch seconds; either may be open, and a start of 0 is."""
        now = self._engine.server_time.now()
        first = None if since is None else epoch_seconds(since, now=now, name=names[0])
        last = None if until is None else epoch_seconds(until, now=now, name=names[1])
        begin = first or 0.0
        end = max(now, begin + 1) if last is None else last
        self.clipped(Window.half_open(begin, end, names), endpoint, report=report and bool(first))
        return first, last

    def project_range(
        self, start: Instant, end: Instant | None, interval: str | None
    ) -> tuple[float | None, float | None]:
        """Return the two ends of a range of project data. Days that are no longer kept are cut off.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `start` not before `end`.
            WindowOutOfReach: no part of the range is kept.
        """
        daily = self.validates and interval == Interval.DAILY
        names = ("start", "end")
        first, last = self.open_range(start, end, endpoint=PROJECT_DATA, names=names, report=not daily)
        if not daily:
            return first, last
        now = self._engine.server_time.now()
        oldest = oldest_daily_row(now)
        if last is not None and last <= oldest:
            raise WindowOutOfReach(
                f"the time range is too far back: daily rows are kept for {DAILY_REACH // DAY} days",
                legal=(int(oldest), int(now)),
                endpoint=PROJECT_DATA,
            )
        if not first or first >= oldest:
            return first, last
        until = math.ceil(now if last is None else last) - 1
        asked, part = Window(math.floor(first), until), Window(int(oldest), until)
        report_clip(self._engine.observer, PROJECT_DATA, asked, part, now)
        return oldest, last

    def meeting_range(
        self, since: Instant | None, until: Instant | None
    ) -> tuple[float | None, float | None]:
        """Return the two ends of a range in which meetings began, cut to what may be requested."""
        first, last = self.open_range(since, until)
        if first is not None and self.validates:  # the server refuses an earlier start
            first = max(first, float(self.reach.start))
        return first, last

    def check_start(self, endpoint: str, start: float | None) -> None:
        """Check that the time range of a resumed listing is still kept: its cursors are positions in it.

        Raises:
            WindowOutOfReach: the range begins before the data that the server still has.
        """
        oldest = self._engine.server_time.now() - LIMITS[endpoint].reach
        if self.validates and start and start < oldest:
            raise WindowOutOfReach(
                "the time range of the resume token is no longer kept as a whole; list it again without resume=",
                legal=(math.ceil(oldest), int(self._engine.server_time.now())),
                endpoint=endpoint,
            )


@define
class CompleteData:
    """The merged data of a query, the errors and attempts of all requests, and the largest body in bytes."""

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
        roots: follow only the collections at these locations, which have the same field path, and those inside them.
            The caller follows the others.
        skip: a collection that is not followed.
        cursors: the cursors of the collections of the query that are not on their first page.
        visited: the cursors that the collections at `roots` have had already.
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
    sizes: dict[FieldPath, int] = {}
    next_pages: dict[tuple[FieldPath, str], list[ResponsePath]] = {}
    for path, value, location in _lists(query, complete.data, (), ()):
        sizes[path] = max(sizes.get(path, 1), len(resources_of(value)))
        cursor = next_cursor(value)
        if cursor is not None and path != skip and location[:depth] in roots:
            next_pages.setdefault((path, cursor), []).append(location)

    async def fetch_next(path: FieldPath, cursor: str, locations: list[ResponsePath]) -> None:
        before = visited if locations[0] in roots else frozenset[str]()
        if not cursor or cursor in before:
            raise IncompleteListing(
                f"{path[-1]} has more pages, but their cursor {cursor!r} does not advance; list them again"
            )
        page = await fetch_all_pages(
            run_query,
            next_page_query(query, path, {**current, path: cursor}, sizes),
            roots=frozenset(locations),
            cursors={**current, path: cursor},
            visited=before | {cursor},
        )
        for location in locations:
            _append_page(complete.data, page.data, location)
        complete.add(page)

    try:
        async with asyncio.TaskGroup() as group:
            for (path, cursor), locations in next_pages.items():
                group.create_task(fetch_next(path, cursor, locations))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return complete


def resources_of(collection: Mapping[str, Any]) -> Sequence[Any]:
    """Return the members of a collection; empty if they are null or not a list."""
    members = collection.get("resources")
    return members if isinstance(members, list) else ()


def next_cursor(collection: Mapping[str, Any]) -> str | None:
    """Return the cursor after which a collection continues: None if it is complete, "" if the cursor is missing."""
    info = collection.get("pageInfo")
    if not isinstance(info, dict) or not truth_of(info.get("hasNextPage")):
        return None
    return str(info.get("endCursor") or "")


def total_count(collection: Mapping[str, Any]) -> int | None:
    """Return the number of members on all pages; None if the response does not have it."""
    return whole_number(collection.get("totalCount"))


def short_lists(query: Field, data: Any) -> Iterator[Problem]:
    """Yield a problem for each collection on its last page that has fewer members than its `totalCount`."""
    for path, value, location in _lists(query, data, (), ()):
        total, size = total_count(value), len(resources_of(value))
        if total is not None and size < total and next_cursor(value) is None:
            yield Problem(message=f"the server returned {size} of {total} {path[-1]}", path=location)


def _lists(
    query: Field, value: Any, path: FieldPath, location: ResponsePath
) -> Iterator[tuple[FieldPath, dict[str, Any], ResponsePath]]:
    if not isinstance(value, dict):  # null in place of a value that failed
        return
    deeper = [inner for inner in query.inner if inner.fields]
    members: list[tuple[Any, ResponsePath]] = [(value, location)]
    if query.members is not None:
        yield path, value, location
        key = query.members.key
        sent = value.get(key)
        listed = sent if isinstance(sent, list) else []
        members = [(member, (*location, key, i)) for i, member in enumerate(listed)] if deeper else []
    for inner in deeper:
        for member, its_location in members:
            if isinstance(member, dict):
                yield from _lists(
                    inner, member.get(inner.key), (*path, inner.key), (*its_location, inner.key)
                )


def _append_page(data: Any, page: Any, location: ResponsePath) -> None:
    """Append the collection at a location of another response to the same one in `data`."""
    for step in location:
        both = isinstance(data, dict) and isinstance(page, dict)
        if both and any(name in page and data.get(name) != page[name] for name in IDENTITY_FIELDS):
            raise _changed(location)
        try:
            data, page = data[step], None if page is None else page[step]
        except (KeyError, IndexError, TypeError):
            raise _changed(location) from None
    if not isinstance(page, dict):
        return  # the error that explains it is among the problems
    data["resources"] = [*resources_of(data), *resources_of(page)]
    data["pageInfo"] = page.get("pageInfo")
    if (total := total_count(page)) is not None:
        data["totalCount"] = total


def _changed(location: ResponsePath) -> IncompleteListing:
    names = ", ".join(step for step in location if isinstance(step, str) and step != "resources")
    return IncompleteListing(f"the lists changed while their pages were read ({names}); list them again")
