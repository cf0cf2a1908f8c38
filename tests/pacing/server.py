"""A model of the server on virtual time: it counts each request on its own clock, after a random way there.

It is a transport, so that the clients send their requests to it. It measures a rate limit: how full its windows are, and
whether one ever has too many.
"""

import asyncio
import json
from collections import Counter, deque
from email.utils import formatdate
from random import Random

from attrs import define, field

from agora_analytics.messages import Request, Response
from agora_analytics.testing import VirtualClock
from tests.pacing.counts import Arrival, Counts

ACCEPTED = {"code": 200, "message": "", "requestId": "r", "call_lists": [], "total_size": 0}
REFUSED = {"code": 300, "message": "Service package limit check error, qps limit error", "requestId": "r"}


@define(kw_only=True)
class ServerModel(Counts):
    """A transport to a server that counts requests in windows and refuses those above its limit.

    Attributes:
        clock: the virtual clock of the run.
        sliding: its windows slide; otherwise they are fixed windows of its clock, which has a second twice when it is
            set back. Refused requests count too.
        ways: the least and the most seconds of each way, there and back.
        refuses: whether it refuses requests above its limit. Otherwise it only counts.
        processing: seconds between counting and answering.
        stalls: (from, to) in true seconds: requests that arrive in between are counted at the end.
        connections: how many connections it accepts; each carries one request at a time.
        set_up: seconds that the first use of a connection takes before a request is sent.
    """

    clock: VirtualClock
    sliding: bool = False
    ways: tuple[float, float] = (0.0, 0.0)
    refuses: bool = True
    processing: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    connections: int = 128
    set_up: float = 0.0
    seed: int = 0
    reports_sent: bool = field(default=True, init=False)
    _ways: Random = field(init=False)
    _free: asyncio.Semaphore | None = field(default=None, init=False)
    _warm: int = field(default=0, init=False)
    _fixed: Counter[int] = field(factory=Counter, init=False)
    _recent: deque[float] = field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        self._ways = Random(self.seed)

    async def send(self, request: Request) -> Response:
        """Send a request over a free connection, and count it when it has arrived."""
        began = self.clock.monotonic()
        self._free = self._free or asyncio.Semaphore(self.connections)
        async with self._free:
            await self._connect()
            if on_sent := getattr(request, "on_sent", None):
                on_sent()
            there, back = self._ways.uniform(*self.ways), self._ways.uniform(*self.ways)
            try:
                await asyncio.sleep(there)
                refused = await self._count()
                await asyncio.sleep(self.processing)
                date = formatdate(int(self.time.at(self.clock.monotonic())), usegmt=True)
                await asyncio.sleep(back)
            finally:
                self._warm += 1
        seconds = self.clock.monotonic() - began
        return Response(
            status=200,
            headers={"content-type": "application/json", "date": date},
            body=json.dumps(REFUSED if refused else ACCEPTED).encode(),
            elapsed=seconds,
            first_byte=seconds,
        )

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    async def _connect(self) -> None:
        if self._warm:
            self._warm -= 1
        elif self.set_up:
            await asyncio.sleep(self.set_up)

    async def _count(self) -> bool:
        """Count a request, and return whether it is refused."""
        true = self.clock.monotonic()
        for begins, ends in self.stalls:
            if begins <= true < ends:
                await asyncio.sleep(ends - true)
                true = self.clock.monotonic()
        now = self.time.at(true)
        refused = self._count_in_window(true, now) > self.requests and self.refuses
        self.arrivals.append(Arrival(true, now, refused))
        return refused

    def _count_in_window(self, true: float, now: float) -> int:
        if not self.sliding:
            self._fixed[window := int(now // self.period)] += 1
            return self._fixed[window]
        self._recent.append(true)
        while true - self._recent[0] >= self.period:
            self._recent.popleft()
        return len(self._recent)
