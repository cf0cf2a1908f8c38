"""Events: the server deletes them when they are read, so the client must not lose a response.

Source: `reference/signaling-api.md`, sections 3 and 4.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from agora_analytics.core.verdicts import Exchange, Fail, Verdict
from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.errors import DecodeError
from agora_analytics.messages import Response
from agora_analytics.signaling.judge import Fields, read_response
from agora_analytics.signaling.limits import MOST_RETURNED
from agora_analytics.signaling.records import ChannelEvent, UserEvent

E = TypeVar("E", bound=UserEvent | ChannelEvent)
Key = tuple[str, str, str, int]

_EVENT_LOSS = "up to 1,000 events may be lost with the response, so the request was not repeated"


class EventsUnreadable(DecodeError):
    """A response cannot be read, and the server has deleted its events; `raw` is the body."""

    def __init__(self, message: str, *, raw: bytes, **context: Any) -> None:
        super().__init__(message, **context)
        self.raw = raw


@frozen(kw_only=True)
class EventBatch(Generic[E]):
    """The events of one response. The server has deleted them.

    Attributes:
        events: in the server's order, which is not chronological across regions; without the duplicates.
        duplicates: events that an earlier response already had, usually one of another region.
        unreadable: rows that are not events, as they were sent.
        host: the base URL that answered; each region has a queue of its own.
        request_id: the id that the vendor's support asks for.
        raw: the response body.
    """

    events: Sequence[E]
    duplicates: Sequence[E] = ()
    unreadable: Sequence[Any] = ()
    host: str
    request_id: str | None
    raw: bytes = field(repr=False)

    @property
    def returned(self) -> int:
        """Number of rows in the response."""
        return len(self.events) + len(self.duplicates) + len(self.unreadable)


class EventMemory:
    """Remembers the last `size` events, to recognize those that another region returns again.

    Pass the same one to the clients of several regions. An entry takes about 300 bytes.

    Example:
        >>> memory = EventMemory(size=2)
        >>> event = UserEvent(user_id="ann", type="Login", ms=1)
        >>> memory.is_new(event), memory.is_new(event)
        (True, False)
    """

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._seen: dict[Key, None] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, event: UserEvent | ChannelEvent) -> bool:
        """Return whether an event is new, and remember it."""
        if event.key in self._seen:
            return False
        self._seen[event.key] = None
        if len(self._seen) > self._size:
            del self._seen[next(iter(self._seen))]  # a dict keeps its order: this is the oldest
        return True

    def sort_out(self, events: Iterable[E]) -> tuple[list[E], list[E]]:
        """Return the new events and those seen before."""
        new: list[E] = []
        seen: list[E] = []
        for event in events:
            (new if self.is_new(event) else seen).append(event)
        return new, seen


@frozen(kw_only=True)
class DecodedEvents(Generic[E]):
    """The rows of a response: the events, and the rows that are not events."""

    events: Sequence[E]
    unreadable: Sequence[Any]


def read_events(exchange: Exchange, *, read_row: Callable[[Any], E]) -> Verdict[DecodedEvents[E]]:
    """Return the events of a response, or what to do instead. An unreadable body is an `EventsUnreadable`.

    A response that has events is good whatever its status fields say, because the server has deleted the events.
    """
    verdict = read_response(
        exchange, decode=partial(_decode_events, read_row=read_row), loss=_EVENT_LOSS, accepts=_has_events
    )
    outcome = exchange.outcome
    if isinstance(verdict, Fail) and isinstance(verdict.error, DecodeError) and isinstance(outcome, Response):
        text = "the server has deleted the events of a response that cannot be read; its body is in `raw`"
        request_id = verdict.error.request_id
        return Fail(error=EventsUnreadable(text, raw=outcome.body, path="$.events", request_id=request_id))
    return verdict


def _has_events(fields: Fields) -> bool:
    rows = fields.get("events")
    return isinstance(rows, list) and bool(rows)


def _decode_events(fields: Fields, *, read_row: Callable[[Any], E]) -> DecodedEvents[E]:
    rows = fields.get("events") or []
    if not isinstance(rows, list):
        raise DecodeError("the events are not a list", path="$.events")
    events: list[E] = []
    unreadable: list[Any] = []
    for row in rows:
        try:
            events.append(read_row(row))
        except (ValueError, KeyError, TypeError):  # one bad row must not lose the others
            unreadable.append(row)
    return DecodedEvents(events=events, unreadable=unreadable)


@define(eq=False)
class _PendingResponse(Generic[E]):
    """A request in progress, or its outcome, which no caller has received yet."""

    task: "asyncio.Task[None] | None" = None
    response: ApiResponse[DecodedEvents[E]] | None = None
    error: Exception | None = None


class EventQueue(Generic[E]):
    """Reads one of the server's two queues, one response at a time.

    A request runs in a task of the engine. Cancelling a caller does not cancel the task; its response is kept for the
    next caller. So every response that arrives is returned to some caller.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[ApiResponse[DecodedEvents[E]]]],
        *,
        memory: EventMemory,
        spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
    ) -> None:
        self._fetch = fetch
        self._memory = memory
        self._spawn = spawn
        self._lock = asyncio.Lock()
        self._pending: _PendingResponse[E] | None = None

    async def batches(self) -> AsyncGenerator[EventBatch[E], None]:
        """Yield the responses of the queue until one is not full."""
        more = True
        while more:
            async with self._lock:
                # A response that a cancelled caller left may be older than the newest events.
                is_left_over = self._pending is not None
                batch = await self._next()
            more = is_left_over or batch.returned >= MOST_RETURNED
            if batch.returned:
                yield batch

    async def _next(self) -> EventBatch[E]:
        if self._pending is None:
            self._pending = _PendingResponse()
            self._pending.task = self._spawn(self._fill(self._pending))
        pending = self._pending
        if pending.task is not None:
            await asyncio.wait([pending.task])  # a cancellation here does not cancel the task
        self._pending = None
        if pending.error is not None:
            raise pending.error
        if pending.response is None:
            raise RuntimeError(
                "the client was closed while its events were read; a response in progress is lost"
            )
        return self._batch(pending.response)

    async def _fill(self, pending: _PendingResponse[E]) -> None:
        try:
            pending.response = await self._fetch()
        except Exception as error:  # noqa: BLE001 - raised when a caller waits for the response
            pending.error = error

    def _batch(self, response: ApiResponse[DecodedEvents[E]]) -> EventBatch[E]:
        new, duplicates = self._memory.sort_out(response.result.events)
        return EventBatch(
            events=new,
            duplicates=duplicates,
            unreadable=response.result.unreadable,
            host=response.host,
            request_id=response.request_id,
            raw=response.response.body,
        )
