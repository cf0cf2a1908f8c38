"""The shipped hosts on virtual time: each is well, dead in one way, or neither, as the time goes."""

import asyncio
from collections import Counter
from collections.abc import Callable

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import ENTERPRISE, Plan
from agora_analytics.core.limits import Limits
from agora_analytics.engine.events import HostSwitched
from agora_analytics.engine.transports import CONNECT_TIMEOUT
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import CUSTOMER, NOW, SECRET, ok

PRIMARY, ALTERNATE = "https://api.agora.io", "https://api.sd-rtn.com"
NEIGHBOUR, NEIGHBOUR_2 = "https://api-us-east-1.agora.io", "https://api-us-east-1.sd-rtn.com"
ROUND_TRIP = 0.05

FAST = Plan(
    name="fast",
    limits={
        name: Limits(requests=2000, per_day=1_000_000, reach=14 * 86_400, span=None, delay=60)
        for name in ENTERPRISE.limits
    },
)
"""A plan that lets a thousand requests leave at once: pacing would hide what this is about."""

Trouble = FailureKind | Response | None


class Fleet:
    """A transport: `trouble(host, seconds)` says what happens to a request that is sent to a host at a time.

    A black-holed host takes the time to connect; whatever else fails does so in a round trip.
    """

    def __init__(self, trouble: Callable[[str, float], Trouble]) -> None:
        self._trouble = trouble
        self.sent: Counter[str] = Counter()
        self.under_way = 0
        self.most_under_way = 0
        self.names: dict[str, str] = {}
        self.asked: list[str] = []

    async def send(self, request: Request) -> Response:
        self.sent[request.base_url] += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1

    async def _answer(self, request: Request) -> Response:
        trouble = self._trouble(request.base_url, asyncio.get_running_loop().time())
        if trouble is FailureKind.CONNECT_TIMEOUT:
            await asyncio.sleep(CONNECT_TIMEOUT)
        elif trouble is FailureKind.READ_TIMEOUT:
            await asyncio.sleep(request.timeout)
        else:
            await asyncio.sleep(ROUND_TRIP)
        if isinstance(trouble, FailureKind):
            raise TransportFailure(trouble, "as the test wants it")
        return trouble or ok(call_lists=[], total_size=0)

    async def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        """The area lookup's hook: a name has the addresses that the test gave it, or one of its own."""
        self.asked.append(host)
        return [(self.names.get(host, host), port)]

    async def aclose(self) -> None:
        pass


def dead(*hosts: str, by: Trouble = FailureKind.CONNECT_TIMEOUT) -> Callable[[str, float], Trouble]:
    return lambda host, _seconds: by if host in hosts else None


def all_dead(by: Trouble = FailureKind.CONNECT_TIMEOUT) -> Callable[[str, float], Trouble]:
    return lambda _host, _seconds: by


class Crew:
    """A client of the fleet, what it told, and its clock."""

    def __init__(self, trouble: Callable[[str, float], Trouble], **settings) -> None:
        self.fleet = Fleet(trouble)
        self.clock = VirtualClock(NOW)
        self.events: list[object] = []
        self._settings = {"plan": FAST} | settings

    def client(self) -> AsyncAgora:
        return AsyncAgora(
            CUSTOMER,
            SECRET,
            app_id="app",
            transport=self.fleet,
            clock=self.clock,
            observer=self.events.append,
            **self._settings,
        )

    def run(self, job):
        async def with_client():
            async with self.client() as client:
                return await job(client)

        return run_virtual(with_client(), self.clock)

    @property
    def switches(self) -> list[tuple[str, str]]:
        return [(e.old, e.new) for e in self.events if isinstance(e, HostSwitched)]


async def ask(client: AsyncAgora) -> tuple[str, float]:
    """Make one call; return the host that answered and the seconds it took."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    (page,) = [page async for page in client.calls("1h").pages()]
    return page.meta.host, loop.time() - start
