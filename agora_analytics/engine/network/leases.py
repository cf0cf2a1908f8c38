"""The slots of one budget that a process has reserved in advance."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from agora_analytics.engine.ledger import LATE, Budget, Grant, TooEarly
from agora_analytics.engine.network.server import Fence, LeaseReply, LeaseRequest, LedgerServer
from agora_analytics.engine.network.server_clock import ServerClock
from agora_analytics.engine.pace import Pace
from agora_analytics.errors import FencedOff

_PASSED = 0.05  # seconds after its slot for which a slot is kept for a caller that is late
_UNUSED = 0.2  # seconds after the last slot of a lease until slots that are left are released
_CLOCK_STEP = 0.001  # seconds by which the uncertainty does not grow within a round trip


def lease_size(waiting: int, *, round_trip: float, gap: float) -> int:
    """Return how many slots to reserve at a time, so that the next ones arrive before these are used.

    Args:
        waiting: callers that wait for a slot; more slots would not be used.
        round_trip: seconds to the server and back.
        gap: seconds between two slots.

    Example:
        >>> lease_size(40, round_trip=0.02, gap=0.0095)
        6
    """
    return max(1, min(waiting, math.ceil(2 * round_trip / gap) + 1))


class Leases:
    """Leases the slots of one budget in one event loop.

    Args:
        budget: the budget.
        per_day: its quota a day.
        server: grants the slots.
        clock: the clock of the server.
        fence: the fencing token of the caller.
        ahead: seconds in advance for which slots are granted.
        now: the monotonic time in seconds.
        release: called with slots that were not used.
    """

    def __init__(
        self,
        budget: Budget,
        per_day: int,
        *,
        server: LedgerServer,
        clock: ServerClock,
        fence: Fence | None,
        ahead: float,
        now: Callable[[], float],
        release: Callable[[Budget, Sequence[Grant]], None],
    ) -> None:
        self._budget = budget
        self._per_day = per_day
        self._server = server
        self._clock = clock
        self._fence = fence
        self._ahead = ahead
        self._now = now
        self._release = release
        self._slots: deque[Grant] = deque()
        self._leased = 1  # slots of the last lease
        self._held_until = -math.inf
        self._last: asyncio.Future[LeaseReply] | None = None

    async def take(self, day: str, pace: Pace, *, waiting: int, delay: float) -> Grant | TooEarly | None:
        """Return the next slot; see `Ledger.reserve`.

        Args:
            day: the UTC day that it is charged to.
            pace: the rate.
            waiting: callers that wait for a slot, this one included.
            delay: seconds until the caller can use a slot.
        """
        while True:
            if self._held_until > self._now() + self._ahead:
                return TooEarly(self._held_until)
            self._release_unusable(day)
            if self._slots:
                grant = self._slots.popleft()
                left, waiting = len(self._slots), waiting - 1
                if left < waiting and 2 * left <= self._leased and self._reserving is None:
                    self._start(self._reserve(day, pace, waiting - left, delay))
                return grant
            reserving = self._reserving or self._start(self._reserve(day, pace, waiting, delay))
            lease = await asyncio.shield(reserving)
            if not lease.slots:
                return None if lease.spent else TooEarly(self._clock.earliest(lease.next_slot))

    def hold(self, until: float) -> None:
        """Release the slots before a monotonic time, also those that are being reserved."""
        self._held_until = max(until, self._held_until)

    async def aclose(self) -> None:
        """Release the slots that were not used, also those that are being reserved."""
        if self._reserving is not None:
            await asyncio.wait([self._reserving])
        self._release_if(lambda _: True)

    def _release_unusable(self, day: str) -> None:
        passed = max(self._now() - _PASSED, self._held_until)
        self._release_if(lambda grant: grant.slot < passed or grant.day != day)

    def _release_if(self, unusable: Callable[[Grant], bool]) -> None:
        if unused := [grant for grant in self._slots if unusable(grant)]:
            self._slots = deque(grant for grant in self._slots if not unusable(grant))
            self._release(self._budget, unused)

    @property
    def _reserving(self) -> "asyncio.Future[LeaseReply] | None":
        """The round trip in progress. Not one that has ended: its slots may be taken, and waiting for it would not wait."""
        return None if self._last is None or self._last.done() else self._last

    def _start(self, reserving: Awaitable[LeaseReply]) -> "asyncio.Future[LeaseReply]":
        self._last = task = asyncio.ensure_future(reserving)
        # If no caller waits for it and it fails, the next caller tries again.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task

    async def _reserve(self, day: str, pace: Pace, waiting: int, delay: float) -> LeaseReply:
        """Reserve slots and keep them."""
        clock = self._clock
        if not clock.is_known:
            await self._ask(day, pace, 0, delay)
        most = lease_size(waiting, round_trip=clock.round_trip, gap=pace.gap)
        width = clock.width
        lease = await self._ask(day, pace, most, delay)
        if not lease.slots:
            return lease
        self._leased = len(lease.slots)
        places = zip(lease.slots, lease.predecessors, lease.frees, strict=True)
        for seq, (slot, predecessor, free) in enumerate(places, lease.seq):
            at = clock.earliest(slot)
            arrived = at + LATE + pace.jitter
            self._slots.append(
                Grant(
                    slot=at,
                    day=day,
                    seq=seq,
                    arrived=arrived,
                    recorded=arrived,
                    predecessor=predecessor,
                    previous_free=free,
                )
            )
        if clock.width > width + _CLOCK_STEP:
            # A clock was set, so the arrivals that the server assumed are too early.
            self._release_if(lambda grant: grant.seq >= lease.seq)
            return await self._reserve(day, pace, waiting, delay)
        unused_at = self._slots[-1].slot - self._now() + _UNUSED
        asyncio.get_running_loop().call_later(unused_at, self._release_unusable, day)
        return lease

    async def _ask(self, day: str, pace: Pace, most: int, delay: float) -> LeaseReply:
        clock = self._clock
        phase = clock.phase_on_server(pace.phase) if most else None
        request = LeaseRequest(
            budget=self._budget,
            day=day,
            per_day=self._per_day,
            requests=pace.requests,
            period=pace.period,
            gap=pace.gap,
            burst=pace.burst,
            late=LATE + pace.jitter + (clock.width if most else 0.0),
            delay=max(delay, 2 * clock.delay),
            ahead=self._ahead,
            most=most,
            phase=phase,
            fence=self._fence,
        )
        sent = self._now()
        lease = await self._server.reserve(request)
        if self._fence is not None and lease.newest_token is not None:
            raise FencedOff(self._fence.name, token=self._fence.token, newest=lease.newest_token)
        clock.learn(lease.now, sent=sent, received=self._now())
        return lease
