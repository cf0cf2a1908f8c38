"""Sends queries of one project, and computes the time ranges that may be requested."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from attrs import evolve

from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.events import PartialResponse
from agora_analytics.engine.request_loop import THREAD_FROM_BYTES
from agora_analytics.errors import InvalidRequest, ServerError
from agora_analytics.instants import Instant, epoch_seconds
from agora_analytics.kit.operation import Operation
from agora_analytics.opentok.graphql_query import Field
from agora_analytics.opentok.judge import Problem, QueryData, read_response
from agora_analytics.opentok.query_builders import MeetingFilter
from agora_analytics.opentok.spec import LIMITS, PROJECT_DATA, SESSION_DATA

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


class InsightsRunner:
    """Runs the queries of one client.

    Args:
        engine: sends the requests.
        path: the path of the endpoint.
        validate: whether time ranges are cut to what may be requested.
    """

    def __init__(self, engine: Engine, *, path: str, validate: bool) -> None:
        self._engine = engine
        self._validate = validate
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

        Raises:
            InvalidRequest: JSON cannot represent a value of the body.
            APIError, TransportError: see `agora_analytics.errors`.
        """
        try:
            encoded = msgspec.json.encode(body)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidRequest(f"the variables cannot be sent as JSON: {error}") from None
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

    def report(self, endpoint: str, problems: Sequence[Problem]) -> None:
        """Send an event for each problem of a page that is returned."""
        for problem in problems:
            event = PartialResponse(endpoint=endpoint, code=problem.code, message=problem.message)
            self._engine.observer(event)

    def clipped(self, window: Window, endpoint: str = SESSION_DATA) -> Window:
        """Return the part of a time range that may be requested now.

        Raises:
            WindowOutOfReach: there is none.
        """
        if not self._validate:
            return window
        operation = self.operations[endpoint]
        return clip(window, self._engine.limits(operation), self._engine.server_time.now(), endpoint=endpoint)

    def open_range(
        self,
        since: Instant | None,
        until: Instant | None,
        *,
        endpoint: str = SESSION_DATA,
        names: tuple[str, str] = ("since", "until"),
    ) -> tuple[float | None, float | None]:
        """Return the two ends of a time range in UTC epoch seconds; either may be open.

        Raises:
            WindowOutOfReach: no part of the range may be requested.
            InvalidRequest: milliseconds, a naive datetime, the first end not before the second.
        """
        now = self._engine.server_time.now()
        first = None if since is None else epoch_seconds(since, now=now, name=names[0])
        last = None if until is None else epoch_seconds(until, now=now, name=names[1])
        begin = first or 0.0
        end = max(now, begin + 1) if last is None else last
        self.clipped(Window.half_open(begin, end, names), endpoint)
        return first, last

    def meeting_filter(
        self, since: Instant | None, until: Instant | None, meeting_id: str | None
    ) -> MeetingFilter:
        """Return the filter of meetings that began in a time range; raises as `open_range`."""
        first, last = self.open_range(since, until)
        if first is not None:
            oldest = self.reach.start if self._validate else 0  # the server refuses an earlier start
            first = max(first, float(oldest))
        return MeetingFilter(since=first, until=last, meeting_id=meeting_id)
