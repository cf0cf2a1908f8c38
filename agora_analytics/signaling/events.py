"""Events, which are removed from the server by being read: what an answer holds, and how none is lost on our side."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from attrs import define, field, frozen

from agora_analytics.engine.api_request import ApiResponse
from agora_analytics.errors import DecodeError
from agora_analytics.signaling.judge import read_envelope, request_id
from agora_analytics.signaling.limits import MOST_RETURNED
from agora_analytics.signaling.records import ChannelEvent, UserEvent

E = TypeVar("E", UserEvent, ChannelEvent)
Key = tuple[str, str, str, int]


class EventsUnreadable(DecodeError):
    """An answer with events that are gone from the server cannot be read; `raw` is its body, all there is of them."""

    def __init__(self, message: str, *, raw: bytes, **place: Any) -> None:
        super().__init__(message, **place)
        self.raw = raw


@frozen(kw_only=True)
class EventBatch(Generic[E]):
    """One answer: events that the server has no more.

    Attributes:
        events: in the server's order, which is not that of time across regions; without the duplicates.
        duplicates: events that an earlier answer, of another region as a rule, held already.
        unreadable: rows that are no event, as they were sent.
        host: which base URL answered: another region has another queue.
        request_id: what support asks for.
        raw: the body as it was sent.
    """

    events: Sequence[E]
    duplicates: Sequence[E] = ()
    unreadable: Sequence[Any] = ()
    host: str
    request_id: str | None
    raw: bytes = field(repr=False)

    @property
    def returned(self) -> int:
        """How many rows the answer held."""
        return len(self.events) + len(self.duplicates) + len(self.unreadable)


class EventMemory:
    """Remembers which events were seen, the last `size` of them, to know those that come again from another region.

    Give the same one to the clients of several regions. An entry takes about 300 bytes.

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
        """Return whether an event was not seen yet, and remember it."""
        if event.key in self._seen:
            return False
        self._seen[event.key] = None
        if len(self._seen) > self._size:
            del self._seen[next(iter(self._seen))]  # a dict keeps the order: the oldest goes
        return True

    def sort_out(self, events: Iterable[E]) -> tuple[list[E], list[E]]:
        """Return the new events and the ones seen before."""
        new: list[E] = []
        seen: list[E] = []
        for event in events:
            (new if self.is_new(event) else seen).append(event)
        return new, seen


@define(eq=False)
class _Asked:
    """A request that is under way or answered, and not handed out yet."""

    task: "asyncio.Task[None] | None" = None
    answer: ApiResponse | None = None
    error: Exception | None = None


class EventQueue(Generic[E]):
    """One of the server's two queues, read one answer at a time.

    A request runs in a task of the connection: who is cancelled while waiting for it does not cancel it, and its
    answer is kept for whoever asks next. So an answer that arrives is handed out, whatever became of the asker.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[ApiResponse]],
        read: Callable[[Any], E],
        *,
        memory: EventMemory,
        spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
    ) -> None:
        self._ask = ask
        self._read: Callable[[Any], E] = read
        self._memory = memory
        self._spawn = spawn
        self._turn = asyncio.Lock()
        self._asked: _Asked | None = None

    async def batches(self) -> AsyncGenerator[EventBatch[E], None]:
        """Give the queue's answers until one is not full."""
        more = True
        while more:
            async with self._turn:
                # What an asker who went away has left says nothing about what came in since.
                was_left = self._asked is not None
                batch = await self._next()
            more = was_left or batch.returned >= MOST_RETURNED
            if batch.returned:
                yield batch

    async def _next(self) -> EventBatch[E]:
        if self._asked is None:
            self._asked = _Asked()
            self._asked.task = self._spawn(self._fill(self._asked))
        asked = self._asked
        if asked.task is not None:
            await asyncio.wait([asked.task])  # cancelled here, the task goes on
        self._asked = None
        if asked.error is not None:
            raise asked.error
        if asked.answer is None:
            raise RuntimeError(
                "the client was closed while its events were read; an answer under way is lost"
            )
        return self._batch(asked.answer)

    async def _fill(self, asked: _Asked) -> None:
        try:
            asked.answer = await self._ask()
        except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
            asked.error = error

    def _batch(self, answer: ApiResponse) -> EventBatch[E]:
        found = request_id(read_envelope(answer.response), answer.response)
        readable: list[E] = []
        unreadable: list[Any] = []
        for row in _rows(answer, found):
            try:
                readable.append(self._read(row))
            except (
                ValueError,
                KeyError,
                TypeError,
            ):  # the others are gone from the server: they must come through
                unreadable.append(row)
        new, duplicates = self._memory.sort_out(readable)
        return EventBatch(
            events=new,
            duplicates=duplicates,
            unreadable=unreadable,
            host=answer.host,
            request_id=found,
            raw=answer.response.body,
        )


def _rows(answer: ApiResponse, found: str | None) -> list[Any]:
    body = answer.response.body
    try:
        fields = msgspec.json.decode(body)
        rows = fields.get("events") or []
        if isinstance(rows, list):
            return rows
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        pass
    raise EventsUnreadable(
        "the server has removed the events of an answer that cannot be read; its body is in `raw`",
        raw=body,
        path="$.events",
        host=answer.host,
        request_id=found,
        trail=answer.trail,
    )
