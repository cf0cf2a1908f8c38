"""A connection to one vendor: everything that a client needs and that is the same for all of them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from attrs import frozen

from agora_analytics.core.domains import Domains, DomainState, HostTable
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.verdicts import Judge
from agora_analytics.core.windows import Window, reachable
from agora_analytics.engine.clock import Clock, ServerTime, SystemClock
from agora_analytics.engine.events import Observer, guarded, log_event
from agora_analytics.engine.ledger import Budget, Ledger, MemoryLedger
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.prefetch_budget import PrefetchBudget
from agora_analytics.engine.region_probe import RegionProbe
from agora_analytics.engine.request_loop import (
    THREAD_FROM_BYTES,
    ApiRequest,
    ApiResponse,
    Authorize,
    RequestLoop,
    RetryPolicy,
)
from agora_analytics.engine.transports import Transport
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import DAY, next_midnight, utc_day

if TYPE_CHECKING:
    import httpx

    from agora_analytics.engine.dns import Resolve

T = TypeVar("T")


@frozen(kw_only=True)
class Quota:
    """What is left of an endpoint's day: `left` of `per_day` requests; `opens_at` is when the next day begins.

    `closed` means that the server itself said that the day is spent. `opens_at` is in UTC epoch seconds.
    `requests` may be sent in each `period` of seconds.
    """

    endpoint: str
    per_day: int
    requests: int
    period: float
    spent: int
    closed: bool
    opens_at: float

    @property
    def left(self) -> int:
        """Requests that may still be sent today."""
        return 0 if self.closed else max(0, self.per_day - self.spent)

    @property
    def daily(self) -> bool:
        """Whether there is a quota of the day: fewer requests than its pace comes to."""
        return self.per_day < self.requests * DAY / self.period


@frozen(kw_only=True)
class ClientOptions:
    """What a user may bring instead of the defaults.

    Attributes:
        retry: timeouts, deadline, back-off and attempts.
        transport: what sends requests; it is not closed. Default: httpx.
        http_client: an `httpx.AsyncClient` to send with; it is not closed.
        observer: called with every event; what it raises is logged, and goes no further. Default: a log line.
        ledger: what keeps the day's count; it is not closed. Default: in memory.
        clock: tells the time. Default: the machine's clock.
    """

    retry: RetryPolicy | None = None
    transport: Transport | None = None
    http_client: "httpx.AsyncClient | None" = None
    observer: Observer | None = None
    ledger: Ledger | None = None
    clock: Clock | None = None


class Engine:
    """Runs calls within the limits of one account, and owns the tasks that fetch ahead.

    Args:
        hosts: the vendor's hosts.
        customer: who asks; ledgers know an account by a digest of it and of a pinned host.
        limits: what the plan allows each endpoint, by name.
        shares: endpoints that share one quota, by name: the quota's name. Others have their own.
        judge: the vendor's verdict on an answer.
        authorize: the vendor's authentication of a request, asked for anew for every attempt.
        means: what the user brought.
        lacks: what to say of an endpoint, by name, that the plan does not include.
    """

    def __init__(
        self,
        *,
        hosts: HostTable,
        customer: str,
        limits: Mapping[str, Limits],
        shares: Mapping[str, str],
        judge: Judge,
        authorize: Authorize,
        means: ClientOptions,
        lacks: Callable[[str], str] = "the plan does not include {}".format,
    ) -> None:
        self.observer = guarded(means.observer or log_event)
        self.clock = means.clock or SystemClock()
        self.server_time = ServerTime(self.clock)
        self._account = hashlib.sha256(customer.encode()).hexdigest()[:16]
        self._limits = limits
        self._lacks = lacks
        self._shares = shares
        self._ledger = means.ledger or MemoryLedger()
        self._limiters: dict[str, Limiter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: set[anyio.CancelScope] = set()
        self._last_call_ended = asyncio.Event()
        self._decoding = asyncio.Semaphore(1)
        self.prefetch_budget = PrefetchBudget()
        self._closed = False
        self._own_transport = None if means.transport else HttpxTransport(means.http_client)
        transport = means.transport or self._own_transport or HttpxTransport()
        resolve: Resolve | None = getattr(transport, "resolve", None)
        self._open: Callable[[], Awaitable[None]] | None = getattr(transport, "open", None)
        self._domains = Domains(hosts)
        self._requests = RequestLoop(
            transport=transport,
            domains=self._domains,
            judge=judge,
            limiter=self._limiter,
            authorize=authorize,
            server_time=self.server_time,
            observer=self.observer,
            retry=means.retry or RetryPolicy(),
            on_trouble=RegionProbe(self._domains, resolve, self.spawn).start if resolve else lambda: None,
        )

    @property
    def sent(self) -> Mapping[str, int]:
        """How many requests were sent, by endpoint name, every attempt counted."""
        return self._requests.sent

    async def run(self, call: ApiRequest) -> ApiResponse:
        """Send a call until it is settled; see `RequestLoop.run`.

        Raises:
            RuntimeError: the connection is closed, or was before the call had its answer.
        """
        self._refuse_when_closed()
        with anyio.CancelScope() as scope:
            self._calls.add(scope)
            try:
                if self._open is not None:
                    await self._open()
                return await self._requests.run(call)
            finally:
                self._calls.remove(scope)
                if self._closed and not self._calls:
                    self._last_call_ended.set()
        raise RuntimeError("the client was closed while it was in use")

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start a task that ends with the connection at the latest."""
        if self._closed:
            work.close()
        self._refuse_when_closed()
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def decode(self, read: Callable[[bytes], T], body: bytes) -> T:
        """Read a body: a large one in a thread, and one at a time, for it takes several times its size.

        More at a time would be no faster, for they would share one interpreter. A call that is cancelled leaves its
        thread behind, so the place is free again when that has ended.
        """
        if len(body) < THREAD_FROM_BYTES:
            return read(body)
        await self._decoding.acquire()
        reading = asyncio.ensure_future(asyncio.to_thread(read, body))
        reading.add_done_callback(lambda _: self._decoding.release())
        return await asyncio.shield(reading)

    def limits(self, endpoint: Endpoint) -> Limits:
        """Return what the plan allows an endpoint.

        Raises:
            InvalidRequest: if the plan does not include it.
        """
        if limits := self._limits.get(endpoint.name):
            return limits
        raise InvalidRequest(self._lacks(endpoint.name), endpoint=endpoint.name)

    def reach(self, endpoint: Endpoint) -> Window:
        """Return the time range that an endpoint can be asked for at this moment."""
        return reachable(self.limits(endpoint), self.server_time.now())

    async def quota(self) -> list[Quota]:
        """Return what is left of the day of each endpoint, as far as the ledger knows."""
        now = self.server_time.now()
        quotas = []
        for name, limits in self._limits.items():
            spent, closed = await self._ledger.spent(self._budget(name), utc_day(now))
            quotas.append(
                Quota(
                    endpoint=name,
                    per_day=limits.per_day,
                    requests=limits.requests,
                    period=limits.period,
                    spent=spent,
                    closed=closed,
                    opens_at=next_midnight(now),
                )
            )
        return quotas

    def domains(self) -> list[DomainState]:
        """Return the hosts as the pool sees them now, in the order in which they would be used."""
        return self._domains.state(anyio.current_time())

    async def aclose(self) -> None:
        """Cancel what is under way, and close what was opened here."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._calls:  # what they use must not be opened again behind this
            await self._last_call_ended.wait()
        if self._own_transport is not None:
            await self._own_transport.aclose()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed; make a new one")

    def _limiter(self, endpoint: Endpoint) -> Limiter:
        group = self._shares.get(endpoint.name, endpoint.name)
        if group not in self._limiters:
            self._limiters[group] = Limiter(
                self._budget(endpoint.name),
                self.limits(endpoint),
                ledger=self._ledger,
                clock=self.clock,
                server_time=self.server_time,
                observer=self.observer,
            )
        return self._limiters[group]

    def _budget(self, name: str) -> Budget:
        return Budget(account=self._account, group=self._shares.get(name, name))
