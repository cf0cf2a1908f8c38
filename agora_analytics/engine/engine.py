"""The part of a client that is the same for every vendor: limits, hosts, ledger, tasks and the request loop."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from attrs import frozen

from agora_analytics.core.domains import Domains, DomainState, HostTable, Switch
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.record import Record
from agora_analytics.core.record_list import Records, records_of
from agora_analytics.core.windows import Window, reachable
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.authentication import Authentication
from agora_analytics.engine.call_options import current_limits
from agora_analytics.engine.clock import ServerTime, SystemClock, monotonic_of
from agora_analytics.engine.engine_options import EngineOptions
from agora_analytics.engine.events import HostSwitched, reporting
from agora_analytics.engine.ledger import Budget, MemoryLedger
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.phase_lock import PhaseLock
from agora_analytics.engine.region_probe import RegionProbe
from agora_analytics.engine.request_loop import RequestLoop
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.engine.shared_requests import SharedRequests
from agora_analytics.engine.shared_resources import SharedResources
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.errors import ConfigurationError, InvalidRequest
from agora_analytics.instants import DAY, next_midnight, utc_day
from agora_analytics.logs import set_up_from_environment

if TYPE_CHECKING:
    from agora_analytics.engine.transports.dns import Resolve

R = TypeVar("R")


@frozen(kw_only=True)
class Quota(Record):
    """The state of an endpoint's quota for the current UTC day, as the ledger knows it.

    Attributes:
        endpoint: the endpoint's name.
        per_day: requests that the plan allows in a day.
        requests: requests that the plan allows in each `period`.
        period: in seconds.
        spent: requests charged today.
        closed: the server itself said that the day's quota is spent.
        opens_at: when the next day begins, in UTC epoch seconds.
    """

    endpoint: str
    per_day: int
    requests: int
    period: float
    spent: int
    closed: bool
    opens_at: float

    _IN_JSON = ("left", "daily")

    @property
    def left(self) -> int:
        """Requests that may still be sent today."""
        return 0 if self.closed else max(0, self.per_day - self.spent)

    @property
    def daily(self) -> bool:
        """Whether the plan has a quota a day that is lower than its rate allows anyway."""
        return self.per_day < self.requests * DAY / self.period


class Engine:
    """Sends the requests of one account within its limits, and owns the tasks that prefetch pages.

    Args:
        hosts: the vendor's hosts.
        account: identifies who shares the limits; a ledger stores a digest of it only.
        limits: what the plan allows each endpoint, by name.
        shared_budgets: the name of the budget that an endpoint shares, by endpoint name. Others have their own.
        authentication: the vendor's authentication of a request.
        options: what the user passed.
        describe_missing: returns the error message for an endpoint that the plan does not include.
    """

    def __init__(
        self,
        *,
        hosts: HostTable,
        account: str,
        limits: Mapping[str, Limits],
        authentication: Authentication[Any],
        options: EngineOptions,
        shared_budgets: Mapping[str, str] | None = None,
        describe_missing: Callable[[str], str] = "the plan does not include {}".format,
    ) -> None:
        set_up_from_environment()
        self.observer = reporting(options.observer)
        self.clock = options.clock or SystemClock()
        self.server_time = ServerTime(self.clock)
        self._phase_lock = PhaseLock(monotonic_of(self.clock))
        self._account = hashlib.sha256(account.encode()).hexdigest()[:16]
        self._limits = limits
        self._describe_missing = describe_missing
        self._shared_budgets = shared_budgets or {}
        self._ledger = options.ledger or MemoryLedger()
        self._limiters: dict[str, Limiter] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._calls: set[asyncio.Timeout] = set()
        self._last_call_ended = asyncio.Event()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        given = options.transport
        if given is None and options.http_client is None and options.resources is not None:
            given = options.resources.transport
        self._own_transport = None if given else HttpxTransport(options.http_client)
        transport = given or self._own_transport or HttpxTransport()
        self.resources = options.resources or SharedResources(transport=transport)
        self.prefetch_budget = self.resources.pages.budget()
        resolve: Resolve | None = getattr(transport, "resolve", None)
        self._domains = Domains(hosts)
        self._domains.on_switch = self._report_switch
        if resolve:
            self._domains.on_failure = RegionProbe(self._domains, resolve, self.spawn).start
        self._requests = RequestLoop(
            transport=transport,
            domains=self._domains,
            limiter=self._limiter,
            authentication=authentication,
            read_in_thread=self.in_thread,
            server_time=self.server_time,
            phase_lock=self._phase_lock,
            observer=self.observer,
            retry=options.retry or RetryPolicy(),
        )
        self.shared = SharedRequests(
            self._requests,
            read_in_thread=self.in_thread,
            spawn=self.spawn,
            now=self.server_time.now,
            deadline=(options.retry or RetryPolicy()).deadline,
            cache_bytes=options.cache_bytes,
        )

    @property
    def sent(self) -> Mapping[str, int]:
        """Number of requests sent, by endpoint name; every attempt counts."""
        return self._requests.sent

    async def run(self, request: ApiRequest[R]) -> ApiResponse[R]:
        """Send a request until it succeeds or fails for good; see `RequestLoop.run`. Identical ones are sent once.

        Raises:
            RuntimeError: the client is closed, or was closed before the response arrived.
            ConfigurationError: the client was used in another event loop.
        """
        self._refuse_when_unusable()
        try:
            async with asyncio.timeout(None) as call:  # expires when the client is closed
                self._calls.add(call)
                try:
                    return await self.shared.run(request)
                finally:
                    self._calls.remove(call)
                    if self._closed and not self._calls:
                        self._last_call_ended.set()
        except TimeoutError:
            if not call.expired():
                raise
            raise RuntimeError("the client was closed while a request was in progress") from None

    def spawn(self, work: Coroutine[Any, Any, R]) -> "asyncio.Task[R]":
        """Start a task that ends with the client at the latest."""
        try:
            self._refuse_when_unusable()
        except BaseException:
            work.close()
            raise
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def in_thread(self, work: Callable[[], R]) -> R:
        """Run the decoding of a large body in a thread, one body at a time, because it takes several times its size.

        More at a time would not be faster: they share one interpreter. The thread of a cancelled call continues, so
        its place is free only when the thread has ended.
        """
        turn = self.resources.decoding
        await turn.acquire()
        decoding = asyncio.ensure_future(asyncio.to_thread(work))
        decoding.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(decoding)

    def limits(self, endpoint: Endpoint) -> Limits:
        """Return what the plan allows an endpoint.

        Raises:
            InvalidRequest: if the plan does not include it.
        """
        if limits := self._limits.get(endpoint.name):
            return limits
        raise InvalidRequest(self._describe_missing(endpoint.name), endpoint=endpoint.name)

    def reach(self, endpoint: Endpoint) -> Window:
        """Return the time range that may be requested of an endpoint now."""
        return reachable(self.limits(endpoint), self.server_time.now())

    async def quota(self) -> Records[Quota]:
        """Return the state of each endpoint's quota for today, as the ledger knows it."""
        now = self.server_time.now()
        quotas = []
        for name, limits in self._limits.items():
            async with current_limits().enforced(name, "reading the ledger"):
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
        return records_of(Quota, quotas)

    def domains(self) -> Records[DomainState]:
        """Return the state of each host, in the order in which the next request would try them."""
        return records_of(DomainState, self._domains.state(anyio.current_time()))

    async def aclose(self) -> None:
        """Cancel the requests in progress, and close what the engine opened."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for call in self._calls:
            if not call.expired():
                call.reschedule(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._calls:  # a call that ends later would open the transport again
            await self._last_call_ended.wait()
        for limiter in self._limiters.values():
            await limiter.aclose()
        self.prefetch_budget.close()
        loop_is_closed = self._loop is not None and self._loop.is_closed()
        # The connections of a closed loop are lost with it.
        if self._own_transport is not None and not loop_is_closed:
            await self._own_transport.aclose()

    def _report_switch(self, switch: Switch) -> None:
        self.observer(HostSwitched(old=switch.old, new=switch.new, reason=switch.reason))

    def _refuse_when_unusable(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed; create a new one")
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:  # connections, locks and prefetched pages belong to one event loop
            raise ConfigurationError(
                "this client was used in another event loop; create one client for each event loop, or use a client "
                "of agora_analytics.blocking from several threads"
            )

    def budget_name(self, endpoint: Endpoint) -> str:
        """Return the name of the budget that counts the requests of an endpoint; others may share it."""
        return self._shared_budgets.get(endpoint.name, endpoint.name)

    def _limiter(self, endpoint: Endpoint) -> Limiter:
        name = self.budget_name(endpoint)
        if name not in self._limiters:
            self._limiters[name] = Limiter(
                self._budget(endpoint.name),
                self.limits(endpoint),
                ledger=self._ledger,
                clock=self.clock,
                server_time=self.server_time,
                observer=self.observer,
                phase_lock=self._phase_lock,
            )
        return self._limiters[name]

    def _budget(self, name: str) -> Budget:
        return Budget(account=self._account, group=self._shared_budgets.get(name, name))
