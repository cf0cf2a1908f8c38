"""The hosts of the Agora API on virtual time: each is healthy or fails in one way, depending on the time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import ENTERPRISE, Plan
from agora_analytics.core.limits import Limits
from agora_analytics.engine.events import HostSwitched
from agora_analytics.engine.transports import CONNECT_TIMEOUT
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure
from agora_analytics.testing import VirtualClock
from tests.conftest import CUSTOMER, NOW, SECRET, ok
from tests.harness import Harness

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
"""A plan that allows a thousand requests at the same time, because pacing would hide the failover."""

Trouble = FailureKind | Response | None


class Fleet:
    """A transport in which `trouble(host, seconds)` decides what happens to a request to a host at a time.

    A black-holed host takes the connect timeout; other failures take a round trip.
    """

    def __init__(self, trouble: Callable[[str, float], Trouble]) -> None:
        self._trouble = trouble
        self.sent: Counter[str] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self.names: dict[str, str] = {}
        self.asked: list[str] = []

    async def send(self, request: Request) -> Response:
        self.sent[request.base_url] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: Request) -> Response:
        trouble = self._trouble(request.base_url, asyncio.get_running_loop().time())
        if trouble is FailureKind.CONNECT_TIMEOUT:
            await asyncio.sleep(CONNECT_TIMEOUT)
        elif trouble is FailureKind.READ_TIMEOUT:
            await asyncio.sleep(request.timeout)
        else:
            await asyncio.sleep(ROUND_TRIP)
        if isinstance(trouble, FailureKind):
            raise TransportFailure(trouble, "as the test requires")
        return trouble or ok(call_lists=[], total_size=0)

    async def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        """Resolve a name for the region probe: to the address that the test set, or to one of its own."""
        self.asked.append(host)
        return [(self.names.get(host, host), port)]

    async def aclose(self) -> None:
        pass


def dead(*hosts: str, by: Trouble = FailureKind.CONNECT_TIMEOUT) -> Callable[[str, float], Trouble]:
    return lambda host, _seconds: by if host in hosts else None


def all_dead(by: Trouble = FailureKind.CONNECT_TIMEOUT) -> Callable[[str, float], Trouble]:
    return lambda _host, _seconds: by


def make_harness(trouble: Callable[[str, float], Trouble], **client: Any) -> Harness:
    """Return a harness whose transport is a fleet of hosts."""
    settings = {"app_id": "app", "plan": FAST} | client
    return Harness(AsyncAgora, (CUSTOMER, SECRET), settings, VirtualClock(NOW), transport=Fleet(trouble))


def switches(harness: Harness) -> list[tuple[str, str]]:
    """Return the switches from host to host, in order."""
    return [(event.old, event.new) for event in harness.events_of(HostSwitched)]


async def ask(client: AsyncAgora) -> tuple[str, float]:
    """Fetch one page; return the host of the response and the seconds it took."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    (page,) = [page async for page in client.calls("1h").pages()]
    return page.meta.host, loop.time() - start
