"""What the methods of the client share: a query becomes a call of the engine, and its answer data with problems."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.events import PartialResponse
from agora_analytics.engine.legacy import unread
from agora_analytics.engine.pages import Spawn
from agora_analytics.engine.prefetch_budget import PrefetchBudget
from agora_analytics.errors import DecodeError, InvalidRequest, ServerError
from agora_analytics.instants import Instant, epoch_seconds
from agora_analytics.messages import Response
from agora_analytics.opentok.graphql_query import Field
from agora_analytics.opentok.judge import Envelope, judge
from agora_analytics.opentok.nested_pages import Ask, Gathered, Problem
from agora_analytics.opentok.spec import PROJECT_DATA, SESSION_DATA

T = TypeVar("T")


class InsightsRunner:
    """Asks for one project.

    Args:
        engine: what sends.
        path: the path of the endpoint.
        project_id: the project.
        validate: whether time ranges are cut to what can be asked for.
    """

    def __init__(self, engine: Engine, *, path: str, project_id: str, validate: bool) -> None:
        self._engine = engine
        self._validate = validate
        self._endpoints = {
            name: Endpoint(name=name, method="POST", path=path, items="data")
            for name in (SESSION_DATA, PROJECT_DATA)
        }
        self.project_id = project_id

    @property
    def spawn(self) -> Spawn:
        """Starts a task that ends with the client."""
        return self._engine.spawn

    @property
    def prefetch_budget(self) -> PrefetchBudget:
        """What bounds the bytes of pages in memory, over all listings of the client."""
        return self._engine.prefetch_budget

    @property
    def reach(self) -> Window:
        """The seconds whose session data can be asked for now."""
        return self._engine.reach(self._endpoints[SESSION_DATA])

    @property
    def oldest(self) -> float:
        """From when on session data can be asked for, in UTC epoch seconds; 0 if whatever is given is sent."""
        return float(self.reach.start) if self._validate else 0.0

    def of(self, name: str) -> Ask:
        """Return what sends a query of the endpoint of that name."""
        return partial(self._ask, self._endpoints[name])

    async def _ask(self, endpoint: Endpoint, query: Field) -> Gathered:
        return await self.send(endpoint.name, {"query": query.text().removeprefix("query ")})

    async def send(self, name: str, body: dict[str, Any]) -> Gathered:
        """Send a body, and return its answer.

        Raises:
            InvalidRequest: there is something in the body that JSON does not have.
            DecodeError: the answer is none.
            APIError, TransportError: see `agora_analytics.errors`.
        """
        endpoint = self._endpoints[name]
        try:
            encoded = msgspec.json.encode(body)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidRequest(f"the variables cannot be sent as JSON: {error}") from None
        call = unread(judge, endpoint=endpoint, query=lambda _: (), body=lambda _: encoded)
        try:
            answer = await self._engine.run(call)
        except ServerError as error:
            if not isinstance(error.partial, Response):
                raise
            answer = ApiResponse(
                result=error.partial, response=error.partial, host=error.host or "", trail=error.trail
            )
        return await self._engine.decode(partial(_read, answer, endpoint), answer.response.body)

    async def aside(self, work: Callable[[], T], answers: Sequence[ApiResponse[Any]]) -> T:
        """Do work on answers: in a thread, if one of them is large."""
        largest = max((answer.response.body for answer in answers), key=len)
        return await self._engine.decode(lambda _: work(), largest)

    def tell(self, name: str, problems: Sequence[Problem]) -> None:
        """Tell those who watch of what is wrong with an answer that is kept."""
        for one in problems:
            self._engine.observer(PartialResponse(endpoint=name, code=one.code, message=one.message))

    def seconds(self, moment: Instant, name: str) -> float:
        """Return a moment as UTC epoch seconds."""
        return epoch_seconds(moment, now=self._engine.server_time.now(), name=name)

    def window(self, since: Instant, until: Instant) -> Window:
        """Return a time range as whole seconds."""
        return Window.half_open(self.seconds(since, "since"), self.seconds(until, "until"))

    def legal(self, since: Instant, until: Instant) -> Window:
        """Return what of a time range session data are there for.

        Raises:
            WindowOutOfReach: nothing of it.
            InvalidRequest: milliseconds, naive datetimes, `until` not after `since`.
        """
        window = self.window(since, until)
        return self._clipped(window, SESSION_DATA) if self._validate else window

    def bounds(
        self, since: Instant | None, until: Instant | None, *, of: str, names: tuple[str, str]
    ) -> tuple[float | None, float | None]:
        """Return the two ends of a time range, either of which may be left open.

        Raises:
            WindowOutOfReach: there are no data of the endpoint `of` between them.
            InvalidRequest: milliseconds, naive datetimes, the later end not after the earlier one.
        """
        first = None if since is None else self.seconds(since, names[0])
        last = None if until is None else self.seconds(until, names[1])
        begin = 0.0 if first is None else first
        end = max(self._engine.server_time.now(), begin + 1) if last is None else last
        window = Window.half_open(begin, end)
        if self._validate:
            self._clipped(window, of)
        return first, last

    def _clipped(self, window: Window, name: str) -> Window:
        endpoint = self._endpoints[name]
        now = self._engine.server_time.now()
        return clip(window, self._engine.limits(endpoint), now, endpoint=name)


def _read(answer: ApiResponse, endpoint: Endpoint, body: bytes) -> Gathered:
    try:
        envelope = msgspec.json.decode(body, type=Envelope)
        data = envelope.read()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(
            f"the answer cannot be read: {error}", endpoint=endpoint.name, host=answer.host
        ) from error
    problems = [said.problem() for said in envelope.said]
    return Gathered(data=data, problems=problems, answers=[answer])
