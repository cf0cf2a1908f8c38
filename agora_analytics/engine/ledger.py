"""The ledger: the requests charged to each day's quota, and the places of the last requests.

Quotas belong to the account and are counted in UTC days on the server's clock, over all machines. A `MemoryLedger` knows
the clients of one process. A `SqliteLedger` (see `sqlite_ledger`) is shared by all processes of a machine that open the
same file, and a `PostgresLedger` or `RedisLedger` (see `network`) by several machines.
"""

import math
import os
import threading
import weakref
from collections import deque
from typing import NamedTuple, Protocol

from attrs import define, evolve, field, frozen

from agora_analytics.engine.pace import Pace
from agora_analytics.instants import utc_day

_CATCH_UP = 0.05  # seconds by which a timer may be late without delaying the next slots
_OUTDATED = 15.0  # seconds; a reading of `now` is never so much older than one that was stored before
LATE = 0.002
"""Seconds after its slot by which a request is sent, unless its process records more in a shared ledger."""
# Seconds after its slot; a request that has not left by then never will, because its event loop is closed.
_LOST = 120.0
_EARLY = 0.0005  # seconds; a shorter wait is left out, because timers are not more exact


class Budget(NamedTuple):
    """The key of a quota: an account, and a group of endpoints that share the quota."""

    account: str
    group: str


@define(kw_only=True, eq=False)
class Grant:
    """A permission to send one request.

    Attributes:
        slot: when the request may be sent (monotonic seconds, see `clock.Clock`).
        day: the UTC day that it is charged to.
        seq: its place in the order of the budget.
        recorded: `arrived` as a shared ledger has it.
        arrived: by when it has reached the server, relative to the fastest way there (monotonic seconds); inf: unknown,
            because it is not sent yet.
        sent_at: when its bytes left; None: they have not.
        predecessor: `arrived` of the request N places before, when this slot was reserved.
        previous_free: see `Queue.free`; the value before this slot was reserved.
        next_free: the value after it.
    """

    slot: float
    day: str
    seq: int = 0
    arrived: float = math.inf
    recorded: float = math.inf
    sent_at: float | None = None
    predecessor: float = field(default=-math.inf, repr=False)
    previous_free: float = field(default=-math.inf, repr=False)
    next_free: float = field(default=-math.inf, repr=False)


@frozen
class TooEarly:
    """Nothing was charged, because the next `slot` (monotonic seconds) is too far ahead; try again by then.

    `slot` is infinite if it depends on a request that is not sent yet.
    """

    slot: float


@frozen
class Queue:
    """The state of a budget from which the next slot follows, together with its last places.

    Attributes:
        seq: the sequence number of the last place.
        free: when the next slot is due by the gap, without a burst.
        held: no slot is before it, because the server refused a request over the rate.
        seen: when the last slot was granted.
        server_seen: the same in UTC epoch seconds of the server's clock.
        boot: identifies the start of the machine that the monotonic clock counts from.
    """

    seq: int = 0
    free: float = -math.inf
    held: float = -math.inf
    seen: float = -math.inf
    server_seen: float = 0.0
    boot: str = ""

    def on_clock(self, now: float, server_now: float, boot: str) -> "tuple[Queue, float]":
        """Return the queue on the clock that shows `now`, and by how many seconds its places must be moved; usually 0.

        Its times may be from another clock: the machine was restarted, or the file was copied to another one. Then what is
        left of each wait counts from now, and the server's time decides how much that is.
        """
        if self.seen == -math.inf or (self.boot == boot and self.seen - now <= _OUTDATED):
            return self, 0.0
        shift = now - self.seen - max(server_now - self.server_seen, 0.0)
        return Queue(self.seq, self.free + shift, self.held + shift, now, server_now, boot), shift

    def reserve(
        self, pace: Pace, *, now: float, day: str, predecessor: float, ahead: float
    ) -> "Grant | TooEarly":
        """Return the next slot; `predecessor` is when the request N places before had arrived (-inf: there is none).

        A burst takes slots early, and later slots make up for that.
        """
        due = self.free - (pace.burst - 1) * pace.gap
        slot = max(due, self.held, pace.free_at(predecessor))
        if slot - now > ahead + _EARLY:
            return TooEarly(slot)
        begins = slot if now - slot <= _CATCH_UP else now
        return Grant(
            slot=max(slot, now),
            day=day,
            seq=self.seq + 1,
            predecessor=predecessor,
            previous_free=self.free,
            next_free=max(self.free, begins) + pace.gap,
        )

    def after(self, grant: "Grant", *, now: float, server_now: float, boot: str = "") -> "Queue":
        """Return the queue after a slot was granted."""
        return Queue(grant.seq, grant.next_free, self.held, now, server_now, boot)


class Ledger(Protocol):
    """Counts requests.

    `now` and slots are seconds of a monotonic clock, which the processes of one machine share: see `clock.Clock`.
    `server_now` is the server's time in UTC epoch seconds, which decides the day.

    Attributes:
        ahead: seconds in advance for which a slot is granted. 0 if all requests are sent by this process, so that every
            place is known exactly, and `reserve` never waits.
    """

    ahead: float

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, pace: Pace, per_day: int, waiting: int = 1
    ) -> Grant | TooEarly | None:
        """Charge one request and return its slot, which the rules of `pace` decide; None: the day's quota is spent.

        A slot is granted at most `ahead` in advance, so that a caller that is cancelled or dies leaves no gap. `waiting` is
        the number of callers that wait for a slot, this one included; a ledger on a server reserves slots for all of them.

        Raises:
            LedgerUnavailable: the ledger is on a server that cannot be reached. The caller may try again.
            FencedOff: another worker has taken over the work of the caller.
        """
        ...

    async def postpone(self, budget: Budget, grant: Grant) -> None:
        """Record `grant.arrived`, because the request is sent or arrives at another time than was assumed."""
        ...

    async def release(self, budget: Budget, grant: Grant) -> None:
        """Release the charge and the place of a request that was never sent."""
        ...

    async def hold(self, budget: Budget, until: float) -> None:
        """Grant no slot before `until` (monotonic), because the server refused a request over the rate."""
        ...

    async def close_day(self, budget: Budget, day: str) -> None:
        """Record that the server reports the day's quota as spent."""
        ...

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """Return how many requests were charged to the day, and whether the server closed it."""
        ...

    async def aclose(self) -> None:
        """Close files."""
        ...


@define(eq=False)
class _Places:
    """The queue of one budget, and its last requests in order, without gaps."""

    queue: Queue = field(factory=Queue)
    last: deque[Grant] = field(factory=deque)

    def arrived(self, requests: int, now: float) -> float:
        """Return by when the request arrived that is `requests` places before the next one; -inf: there is none.

        A request that has not left delays only its own place: the next place keeps it, and the one after that is taken.
        """
        if len(self.last) < requests:
            return -math.inf
        oldest = range(-requests, 0)
        kept = next((n for n, i in enumerate(oldest) if self._of(self.last[i], now) < math.inf), None)
        if kept is None:
            return math.inf
        for _ in range(kept):
            self.last.append(self.last[-requests])
        if kept:
            self.queue = evolve(self.queue, seq=self.queue.seq + kept)
        return self._of(self.last[-requests], now)

    @staticmethod
    def _of(grant: Grant, now: float) -> float:
        lost = grant.arrived == math.inf and now - grant.slot > _LOST
        return grant.slot + _LOST if lost else grant.arrived

    def on_clock(self, now: float, server_now: float) -> None:
        """See `Queue.on_clock`."""
        self.queue, shift = self.queue.on_clock(now, server_now, "")
        if shift:
            for grant in {id(grant): grant for grant in self.last}.values():
                grant.arrived += shift

    def append(self, grant: Grant, pace: Pace, now: float) -> None:
        """Add a place, and forget those that no client needs: not even one whose plan has a higher rate."""
        self.last.append(grant)
        while len(self.last) > pace.requests and self._of(self.last[0], now) < now - 2 * pace.period:
            self.last.popleft()


class MemoryLedger:
    """A ledger for the clients of one process; it forgets when the process ends."""

    ahead = 0.0

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the loops of blocking clients run in threads of their own
        self._spent: dict[tuple[Budget, str], int] = {}
        self._closed: set[tuple[Budget, str]] = set()
        self._places: dict[Budget, _Places] = {}
        _memory_ledgers.add(self)

    async def reserve(
        self, budget: Budget, *, now: float, server_now: float, pace: Pace, per_day: int, waiting: int = 1
    ) -> Grant | TooEarly | None:
        """See `Ledger.reserve`."""
        day = utc_day(server_now)
        with self._lock:
            spent = self._spent.get((budget, day), 0)
            if spent >= per_day or (budget, day) in self._closed:
                return None
            places = self._places_of(budget)
            places.on_clock(now, server_now)
            arrived = places.arrived(pace.requests, now)
            queue = places.queue
            granted = queue.reserve(pace, now=now, day=day, predecessor=arrived, ahead=self.ahead)
            if isinstance(granted, Grant):
                places.append(granted, pace, now)
                places.queue = queue.after(granted, now=now, server_now=server_now)
                self._spent[budget, day] = spent + 1
        return granted

    async def postpone(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.postpone`. The ledger has the grant itself, so it knows already."""

    async def release(self, budget: Budget, grant: Grant) -> None:
        """See `Ledger.release`."""
        with self._lock:
            self._spent[budget, grant.day] -= 1
            grant.arrived = grant.predecessor
            places = self._places[budget]
            if places.queue.seq == grant.seq:
                places.queue = evolve(places.queue, seq=grant.seq - 1, free=grant.previous_free)
                places.last.pop()

    async def hold(self, budget: Budget, until: float) -> None:
        """See `Ledger.hold`."""
        with self._lock:
            places = self._places_of(budget)
            places.queue = evolve(places.queue, held=max(until, places.queue.held))

    async def close_day(self, budget: Budget, day: str) -> None:
        """See `Ledger.close_day`."""
        with self._lock:
            self._closed.add((budget, day))

    async def spent(self, budget: Budget, day: str) -> tuple[int, bool]:
        """See `Ledger.spent`."""
        with self._lock:
            return self._spent.get((budget, day), 0), (budget, day) in self._closed

    async def aclose(self) -> None:
        """Nothing to close."""

    def _places_of(self, budget: Budget) -> _Places:
        if (places := self._places.get(budget)) is None:
            places = self._places[budget] = _Places()
        return places

    def forked(self) -> None:
        """Make the copy of a forked process usable: threads of the parent do not exist here, and send nothing."""
        self._lock = threading.Lock()
        for places in self._places.values():
            for grant in places.last:
                if grant.arrived == math.inf:  # the parent sends it itself
                    grant.arrived = grant.predecessor


_memory_ledgers: "weakref.WeakSet[MemoryLedger]" = weakref.WeakSet()


def _after_fork() -> None:
    for ledger in list(_memory_ledgers):
        ledger.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
