"""Identical requests are sent once: those in progress are shared, and final responses are kept.

Two requests are identical if they have the same endpoint, parameters, time range and longest wait. The request in
progress is a task of the engine with the loosest deadline of its callers. It is cancelled with its last caller, not with
the one that sent it. A caller whose deadline passes leaves, and the others continue to wait. An attempt that is in flight
keeps its timeout when a caller with more time joins; the next attempt has the time of that caller. So a caller that joins
may wait for one attempt more than alone, and never causes more requests than alone.

A response is final if it cannot change any more (see `ApiRequest.final`). The cache holds bodies, so its size is known.
The least recently used go first. Each caller decodes the body itself, so no caller can change the records of another.
"""

import asyncio
import copy
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import anyio
from attrs import define, evolve, field

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import Done, Exchange, Payload
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.call_options import CallLimits, current_limits, limited_by
from agora_analytics.engine.outcomes import with_context
from agora_analytics.engine.request_loop import THREAD_FROM_BYTES
from agora_analytics.errors import DeadlineExceeded

R = TypeVar("R")
T = TypeVar("T")

_OVERHEAD = 5_000  # bytes of an entry in addition to its body, about: parameters, headers, objects

_bypassed: ContextVar[bool] = ContextVar("cache_bypassed", default=False)


@contextmanager
def without_cache() -> Iterator[None]:
    """Neither use nor fill the cache in the block, because its requests are not repeated."""
    token = _bypassed.set(True)
    try:
        yield
    finally:
        _bypassed.reset(token)


class FinalValues:
    """A cache of values that cannot change any more, limited in bytes.

    Args:
        limit: the most bytes; 0: nothing is kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.size = 0

    def get(self, key: Hashable) -> Any:
        """Return a value, or None."""
        if _bypassed.get() or key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: Any, size: int = 0) -> None:
        """Keep a value of `size` bytes, unless it is larger than the cache."""
        size += _OVERHEAD
        if _bypassed.get() or size > self._limit:
            return
        self.size -= self._entries.pop(key, (None, 0))[1]
        self._entries[key] = value, size
        self.size += size
        while self.size > self._limit:
            self.size -= self._entries.popitem(last=False)[1][1]


class Sender(Protocol):
    """Sends requests: the request loop."""

    async def run(self, request: ApiRequest[R]) -> ApiResponse[R]: ...  # noqa: D102


Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


@define(eq=False)
class _Flight(Generic[T]):
    """Work in progress. `ends_at` is the latest deadline of its callers, `waiting` how many there are."""

    limits: CallLimits
    ends_at: float
    task: "asyncio.Task[T]"
    waiting: int = 0
    shared: bool = False
    _changes: set["asyncio.Future[None]"] = field(factory=set, init=False)

    def loosen(self, limits: CallLimits, ends_at: float) -> None:
        """Extend the deadline to that of another caller."""
        self.shared = True
        if ends_at > self.ends_at:
            self.ends_at = ends_at
            self.limits.loosen(limits, ends_at)
            self.report_change()

    def report_change(self) -> None:
        """Wake the callers, because the work has ended or its deadline was extended."""
        for change in self._changes:
            _wake(change)

    async def change(self, timeout: float | None) -> None:
        """Wait for a change, at most `timeout` seconds. This takes a third of the time of `asyncio.wait`."""
        loop = asyncio.get_running_loop()
        change = loop.create_future()
        self._changes.add(change)
        timer = None if timeout is None else loop.call_later(timeout, _wake, change)
        try:
            await change
        finally:
            self._changes.remove(change)
            if timer is not None:
                timer.cancel()

    def result(self) -> T:
        """Return the result, or raise the error: a copy for each of several callers, so that no traceback grows."""
        if self.task.cancelled():
            raise RuntimeError("the client was closed while a request was in progress")
        error = self.task.exception()
        if error is None or not self.shared:
            return self.task.result()
        raise _copy(error)


def _wake(change: "asyncio.Future[None]") -> None:
    if not change.done():
        change.set_result(None)


def _copy(error: BaseException) -> BaseException:
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error of the caller's code, whose class takes other arguments
        return error
    own.__cause__, own.__suppress_context__ = error.__cause__, error.__suppress_context__
    if notes := getattr(error, "__notes__", ()):
        own.__notes__ = list(notes)
    return own


@define(eq=False)
class _Fetched:
    """A response, and the server's time when it arrived. One caller takes its result; the others decode it again."""

    response: ApiResponse[Any]
    arrived_at: float
    has_result: bool = True

    def without_result(self) -> "_Fetched":
        return _Fetched(evolve(self.response, result=None, skipped=()), self.arrived_at, has_result=False)

    def exchange(self, endpoint: Endpoint) -> Exchange:
        """Return what the body is decoded from."""
        response, now = self.response, self.arrived_at
        return Exchange(
            endpoint=endpoint, payload=response.payload, outcome=response.response, sent_at=now, now=now
        )


class SharedRequests:
    """Sends requests through a sender, identical ones once.

    Args:
        sender: sends requests.
        read_in_thread: runs the decoding of a large body in a thread.
        spawn: starts a task that ends with the client at the latest.
        now: returns the server's time.
        deadline: seconds until the deadline of a request whose caller has none; None: no deadline.
        cache_bytes: the most bytes of final responses.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        read_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        spawn: Spawn,
        now: Callable[[], float],
        deadline: float | None,
        cache_bytes: int,
    ) -> None:
        self._sender = sender
        self._read_in_thread = read_in_thread
        self._spawn = spawn
        self._now = now
        self._deadline = deadline
        self._flights: dict[Hashable, _Flight[Any]] = {}
        self.final = FinalValues(cache_bytes)

    async def run(self, request: ApiRequest[R]) -> ApiResponse[R]:
        """Send a request, or wait for an identical one in progress. Raises what the sender raises."""
        endpoint = request.endpoint
        try:
            payload = request.build(self._now()) if endpoint.replayable else None
        except Exception:  # noqa: BLE001 - the sender raises it with its context
            payload = None
        if payload is None:
            return await self._sender.run(request)
        sent = (endpoint.name, endpoint.method, endpoint.path, payload.query, payload.body)
        fetch = partial(self._fetch, request, payload, sent)
        key = (*sent, _identity(request.read))
        fetched = await self.share(key, fetch, endpoint.name, self._deadline)
        if fetched.has_result:
            fetched.has_result = False
            return fetched.response
        return await self._decode(request, fetched)

    async def share(
        self,
        key: Hashable,
        work: Callable[[], Coroutine[Any, Any, T]],
        endpoint: str,
        deadline: float | None = None,
    ) -> T:
        """Return the result of `work()`, or of the work in progress with the same key.

        Args:
            key: identifies the work.
            work: is called if there is none in progress.
            endpoint: the endpoint that an error names.
            deadline: seconds until the deadline of a caller that has none; None: no deadline.

        Raises:
            DeadlineExceeded: the deadline of the caller has passed.
        """
        own = current_limits()
        key = (key, own.max_wait)
        left = own.remaining(deadline)
        ends_at = math.inf if left is None else _now() + left
        # Work that has ended is not joined: its `end` has not run yet, and its error may be the deadline of another caller.
        while (flight := self._flights.get(key)) is not None and not flight.task.done():
            flight.loosen(own, ends_at)
            try:
                return await self._wait(key, flight, own, ends_at, endpoint)
            except DeadlineExceeded:
                # The deadline of the work was that of another caller, and had passed when this one came.
                if _now() >= ends_at:
                    raise
        return await self._wait(key, self._start(key, work, own, ends_at), own, ends_at, endpoint)

    def _start(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], own: CallLimits, ends_at: float
    ) -> _Flight[T]:
        limits = evolve(own)

        async def run() -> T:
            with limited_by(limits):
                return await work()

        flight = self._flights[key] = _Flight(limits=limits, ends_at=ends_at, task=self._spawn(run()))

        def end(task: "asyncio.Task[T]") -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            if not task.cancelled():
                task.exception()  # so that asyncio does not report one that no caller waits for
            flight.report_change()

        flight.task.add_done_callback(end)
        return flight

    async def _wait(
        self, key: Hashable, flight: _Flight[T], own: CallLimits, ends_at: float, endpoint: str
    ) -> T:
        flight.waiting += 1
        try:
            while not flight.task.done():
                # With the last deadline, the work itself ends, unless a response is being decoded.
                left = ends_at - _now() if ends_at < flight.ends_at else None
                if left is not None and left <= 0:
                    seconds = self._deadline if own.seconds is None else own.seconds
                    raise DeadlineExceeded(
                        f"timed out after {seconds:g} s while waiting for an identical request",
                        endpoint=endpoint,
                    )
                await flight.change(left)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                if self._flights.get(key) is flight:
                    del self._flights[key]
                flight.task.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([flight.task])
        own.extend(ends_at + flight.limits.decoding)
        return flight.result()

    async def _fetch(self, request: ApiRequest[R], payload: Payload, sent: Hashable) -> _Fetched:
        kept: _Fetched | None = self.final.get(sent) if request.final else None
        if kept is not None:
            return kept
        response = await self._sender.run(request)
        fetched = _Fetched(response, self._now())
        if request.final and response.payload == payload and not response.skipped:
            self.final.put(sent, fetched.without_result(), len(response.response.body))
        return fetched

    async def _decode(self, request: ApiRequest[R], fetched: _Fetched) -> ApiResponse[R]:
        response, begun = fetched.response, _now()
        read = partial(request.read, fetched.exchange(request.endpoint))
        if len(response.response.body) < THREAD_FROM_BYTES:
            verdict = read()
        else:
            verdict = await self._read_in_thread(read)
            own = current_limits()
            own.extend(own.ends_at + _now() - begun)
        if isinstance(verdict, Done):
            return evolve(response, result=verdict.result, skipped=verdict.skipped)
        raise with_context(verdict.error, request.endpoint, response.host, response.trail)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _identity(function: Any) -> Any:
    """Return what identifies a function: equal partial objects do the same."""
    if not isinstance(function, partial):
        return function
    keywords = ((name, _identity(value)) for name, value in sorted(function.keywords.items()))
    return (_identity(function.func), *map(_identity, function.args), *keywords)
