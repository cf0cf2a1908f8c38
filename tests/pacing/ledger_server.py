"""A model of a ledger's server on virtual time, with a network between it and the clients and a clock of its own."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

from attrs import define, evolve, field

from agora_analytics.engine.ledger import Budget, Grant, Queue
from agora_analytics.engine.network.server import LeaseReply, LeaseRequest, Unused
from agora_analytics.engine.pace import Pace
from agora_analytics.errors import LedgerUnavailable
from agora_analytics.testing import VirtualClock

_INF = float("inf")


@define(kw_only=True, eq=False)
class LedgerServerModel:
    """Grants slots by the rules of `engine/ledger.py`: see `LedgerServer`.

    Attributes:
        clock: the virtual clock of the run.
        ways: the least and the most seconds of each way, there and back.
        skewed_ways: seconds that every way there takes longer than the way back.
        ahead: seconds by which the server's clock is ahead of the virtual time.
        drift: parts per million by which it is fast.
        down: (from, to) in virtual seconds: the server cannot be reached in between.
        seed: of the latencies.
        trips: the round trips so far, by operation.
    """

    clock: VirtualClock
    address: str = "model"
    ways: tuple[float, float] = (0.0, 0.0)
    skewed_ways: float = 0.0
    ahead: float = 0.0
    drift: float = 0.0
    down: tuple[tuple[float, float], ...] = ()
    seed: int = 0
    trips: Counter[str] = field(factory=Counter)
    _ways: Random = field(init=False)
    _queues: dict[Budget, Queue] = field(factory=dict)
    _arrived: dict[tuple[Budget, int], float] = field(factory=dict)
    _days: Counter[tuple[Budget, str]] = field(factory=Counter)
    _closed: set[tuple[Budget, str]] = field(factory=set)
    _fences: dict[str, int] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._ways = Random(self.seed)

    def now(self) -> float:
        """Return what the server's clock shows."""
        true = self.clock.monotonic()
        return true * (1 + self.drift * 1e-6) + self.ahead

    async def reserve(self, request: LeaseRequest) -> LeaseReply:
        """Grant slots."""
        await self._travel("reserve", self.skewed_ways)
        lease = self._reserve(request)
        await self._travel()
        return lease

    def _reserve(self, request: LeaseRequest) -> LeaseReply:
        now, budget, key = self.now(), request.budget, (request.budget, request.day)
        if (fence := request.fence) is not None:
            newest = self._fences[fence.name] = max(self._fences.get(fence.name, fence.token), fence.token)
            if newest > fence.token:
                return LeaseReply(now=now, newest_token=newest)
        left = request.per_day - self._days[key]
        if key in self._closed or left <= 0:
            return LeaseReply(now=now, spent=True)
        pace = Pace(
            requests=request.requests,
            period=request.period,
            gap=request.gap,
            burst=request.burst,
            phase=request.phase,
        )
        granted: list[Grant] = []
        early = 0.0
        while len(granted) < min(request.most, left):
            queue = self._queues.get(budget, Queue())
            predecessor = self._arrived.get((budget, queue.seq + 1 - request.requests), -_INF)
            grant = queue.reserve(
                pace, now=now, day=request.day, predecessor=predecessor, ahead=request.ahead
            )
            if not isinstance(grant, Grant):
                early = grant.slot
                break
            grant.slot = max(grant.slot, now + request.delay)
            self._queues[budget] = queue.after(grant, now=now, server_now=now)
            self._arrived[budget, grant.seq] = grant.slot + request.late
            self._days[key] += 1
            granted.append(grant)
        return LeaseReply(
            now=now,
            seq=granted[0].seq if granted else 0,
            slots=[grant.slot for grant in granted],
            predecessors=[grant.predecessor for grant in granted],
            frees=[grant.previous_free for grant in granted],
            next_slot=early,
        )

    async def postpone(self, budget: Budget, seq: int, arrived: float) -> None:
        """Record when the request of a place arrives."""
        await self._travel("postpone", self.skewed_ways)
        self._arrived[budget, seq] = arrived
        await self._travel()

    async def release(self, budget: Budget, day: str, unused: Sequence[Unused]) -> None:
        """Release charges and places."""
        await self._travel("release", self.skewed_ways)
        for place in reversed(unused):
            queue = self._queues[budget]
            if queue.seq == place.seq:
                self._queues[budget] = evolve(queue, seq=place.seq - 1, free=place.free)
                del self._arrived[budget, place.seq]
            else:
                self._arrived[budget, place.seq] = place.predecessor
            self._days[budget, day] -= 1
        await self._travel()

    async def hold(self, budget: Budget, seconds: float) -> None:
        """Grant no slot for so many seconds."""
        await self._travel("hold", self.skewed_ways)
        queue = self._queues.get(budget, Queue())
        self._queues[budget] = evolve(queue, held=max(queue.held, self.now() + seconds))
        await self._travel()

    async def close_day(self, budget: Budget, day: str) -> None:
        """Close a day."""
        await self._travel("close_day", self.skewed_ways)
        self._closed.add((budget, day))
        await self._travel()

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """Return the count of a day."""
        await self._travel("spent", self.skewed_ways)
        await self._travel()
        return self._days[budget, day], (budget, day) in self._closed

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _travel(self, operation: str = "", extra: float = 0.0) -> None:
        if operation:
            self.trips[operation] += 1
        if any(begin <= self.clock.monotonic() < end for begin, end in self.down):
            raise LedgerUnavailable("the ledger is down")
        await asyncio.sleep(self._ways.uniform(*self.ways) + extra)
