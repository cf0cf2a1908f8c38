"""A model of the server on virtual time: it counts each request on its own clock, after a random way there.

It is a transport, so that the clients send their requests to it. It measures a rate limit: how full its windows are, and
whether one ever has too many.
"""

import asyncio
import json
from collections import Counter, deque
from email.utils import formatdate
from random import Random

from attrs import define, field, frozen

from agora_analytics.messages import Request, Response
from agora_analytics.testing import VirtualClock

ACCEPTED = {"code": 200, "message": "", "requestId": "r", "call_lists": [], "total_size": 0}
REFUSED = {"code": 300, "message": "Service package limit check error, qps limit error", "requestId": "r"}


@frozen(kw_only=True)
class ServerClock:
    """The server's wall clock, as a function of the true seconds since the start of a run.

    Attributes:
        start: the true time at the start, in epoch seconds.
        ahead: seconds by which it is ahead of the true time.
        drift: parts per million by which it is fast.
        steps: (true second, seconds by which it is then set forward; back, if negative).
    """

    start: float
    ahead: float = 0.0
    drift: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()

    def at(self, true: float) -> float:
        """Return what the clock shows, in epoch seconds."""
        stepped = sum(by for at, by in self.steps if at <= true)
        return self.start + self.ahead + true * (1 + self.drift * 1e-6) + stepped


@frozen
class Arrival:
    """A request as it is counted: the true seconds since the start, the server's clock, and whether it is refused."""

    true: float
    server: float
    refused: bool


@define(kw_only=True)
class ServerModel:
    """A transport to a server that counts requests in windows and refuses those above its limit.

    Attributes:
        clock: the virtual clock of the run.
        time: the server's clock.
        requests: how many requests it accepts in each `period`.
        sliding: its windows slide; otherwise they are fixed windows of its clock, which has a second twice when it is
            set back. Refused requests count too.
        ways: the least and the most seconds of each way, there and back.
        refuses: whether it refuses requests above its limit. Otherwise it only counts.
        processing: seconds between counting and answering.
        stalls: (from, to) in true seconds: requests that arrive in between are counted at the end.
        connections: how many connections it accepts; each carries one request at a time.
        set_up: seconds that the first use of a connection takes before a request is sent.
        arrivals: every request that it has counted.
    """

    clock: VirtualClock
    time: ServerClock
    requests: int
    period: float = 1.0
    sliding: bool = False
    ways: tuple[float, float] = (0.0, 0.0)
    refuses: bool = True
    processing: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    connections: int = 128
    set_up: float = 0.0
    seed: int = 0
    arrivals: list[Arrival] = field(factory=list)
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
                date = formatdate(self.time.at(self.clock.monotonic()), usegmt=True)
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

    @property
    def refused(self) -> int:
        """Return how many requests were refused."""
        return sum(arrival.refused for arrival in self.arrivals)

    def most_in_fixed(self, *, excused: float = 0.0) -> int:
        """Return the most requests in one fixed window of the server's clock.

        Args:
            excused: windows in which the clock was set, or was set in the last `excused` seconds, are left out: no
                client knows of a step before a response shows it.
        """
        left_out = {
            int(self.time.at(at + 0.01 * i) // self.period)
            for at, _ in self.time.steps
            for i in range(round(excused / 0.01) + 1)
        }
        counts = Counter(int(each.server // self.period) for each in self.arrivals)
        return max((n for window, n in counts.items() if window not in left_out), default=0)

    def most_in_any(self) -> int:
        """Return the most requests in any time span shorter than the period, in true seconds."""
        most, inside = 0, deque[float]()
        for each in self.arrivals:
            inside.append(each.true)
            while each.true - inside[0] >= self.period:
                inside.popleft()
            most = max(most, len(inside))
        return most

    def utilisation(self, since: float = 3.0) -> float:
        """Return the used share of the limit, in the whole windows of the server's clock after `since` true seconds."""
        arrivals = [each for each in self.arrivals if each.true >= since]
        if not arrivals:
            return 0.0
        first, last = self._next_window(since), self._next_window(arrivals[-1].true - self.period)
        used = sum(first <= each.true < last for each in arrivals)
        return used / (self.requests * (last - first) / self.period)

    def _next_window(self, true: float) -> float:
        """Return the true time of the first beginning of a window after a true time at which the clock is not set."""
        shown = self.time.at(true)
        return true + (-shown % self.period) / (1 + self.time.drift * 1e-6)
