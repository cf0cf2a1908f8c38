"""Events: the server deletes them when they are read, so the client must not lose a response.

Source: Agora, "Signaling REST API", "Event APIs".
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Generic

from attrs import field, frozen

from agora_analytics.core.record import Record
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.call_options import CallOptions, call_limits
from agora_analytics.engine.engine import Engine
from agora_analytics.signaling.limits import MOST_RETURNED
from agora_analytics.signaling.operations import DecodedEvents, E
from agora_analytics.signaling.records import ChannelEvent, UserEvent


@frozen(kw_only=True)
class EventBatch(Record, Generic[E]):
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
        self._seen: dict[tuple[str, str, str, int], None] = {}

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


class EventQueue(Generic[E]):
    """Reads one of the server's two queues, one response at a time.

    A request runs in a task of the engine. Cancelling a caller does not cancel the task; its response is kept for the
    next caller. So every response that arrives is returned to some caller.
    """

    def __init__(self, engine: Engine, request: ApiRequest[DecodedEvents[E]], *, memory: EventMemory) -> None:
        self._engine = engine
        self._request = request
        self._memory = memory
        self._lock = asyncio.Lock()
        self._pending: asyncio.Task[ApiResponse[DecodedEvents[E]]] | None = None
        """A request in progress, or its outcome, which no caller has received yet."""

    async def batches(self, options: CallOptions) -> AsyncGenerator[EventBatch[E], None]:
        """Yield the responses of the queue until one is not full.

        A deadline of the caller ends its wait; the request continues, as if the caller was cancelled.
        """
        # A deadline of the request would lose the events of its response.
        of_request: CallOptions = {"max_wait": options.get("max_wait")}
        more = True
        while more:
            with call_limits(options) as limits:
                async with limits.enforced(self._request.endpoint.name, "reading events"), self._lock:
                    # A response that a cancelled caller left may be older than the newest events.
                    is_left_over = self._pending is not None
                    with call_limits(of_request):
                        batch = self._batch(await self._next())
            more = is_left_over or batch.returned >= MOST_RETURNED
            if batch.returned:
                yield batch

    async def _next(self) -> ApiResponse[DecodedEvents[E]]:
        if self._pending is None:
            self._pending = self._engine.spawn(self._engine.run(self._request))
            # Retrieves the error of a request whose caller was cancelled, so that asyncio does not report it.
            self._pending.add_done_callback(lambda task: task.cancelled() or task.exception())
        pending = self._pending
        await asyncio.wait([pending])  # a cancellation here does not cancel the task
        self._pending = None
        if pending.cancelled():
            raise RuntimeError(
                "the client was closed while its events were read; a response in progress is lost"
            )
        return pending.result()

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
