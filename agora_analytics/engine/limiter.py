"""The limiter of one budget: who may send next, and when.

The server counts requests in fixed windows of its own clock. N + 1 requests never fall into one window, fixed or
sliding, if any N + 1 that follow each other leave at least `period + jitter` apart, where `jitter` is how much
their ways to the server differ. So the pace is one request every `(period + jitter) / N` seconds. Where a burst of
B is allowed, N + 1 requests are B at once and N + 1 - B behind them, so those leave `(period + jitter) / (N + 1 - B)`
apart.

That is the pace of those who share a ledger between processes. Where all requests are known here, no margin is
needed that is the same for all: see `departures`.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import anyio
from aiolimiter import AsyncLimiter

from agora_analytics.core.limits import Limits
from agora_analytics.engine.clock import Clock, ServerTime
from agora_analytics.engine.departures import LARGEST_JITTER, Departure, Departures, Jitter
from agora_analytics.engine.events import Observer, QuotaClosed, Waited
from agora_analytics.engine.ledger import LONGEST_QUEUE, Budget, Grant, Ledger, MemoryLedger
from agora_analytics.errors import AgoraAnalyticsError, QuotaExhausted
from agora_analytics.instants import next_midnight, utc_day

CATCH_UP = 0.002  # a timer that fires late may be made up for by this much, in seconds
LONGEST_HOLD = LONGEST_QUEUE - 20  # a hold further ahead would be taken for a clock that was set back
_HURRY = 0.75  # of the even pace: what was late may be made up for, as far as the server's window allows
_QUIET = 1.0  # around midnight it is not sure to which day a request is charged, so none leaves
_WORTH_TELLING = 1.0  # waits shorter than this are the pace itself


class Limiter:
    """Lets the requests of one budget leave at the contract's pace, first come, first served.

    Bound to the event loop that it is first used on. Cancelling `acquire` gives the place back.
    """

    def __init__(
        self,
        budget: Budget,
        limits: Limits,
        *,
        ledger: Ledger,
        clock: Clock,
        server_time: ServerTime,
        observer: Observer,
    ) -> None:
        self.budget = budget
        self.limits = limits
        self.jitter = Jitter()
        self._ledger = ledger
        self._clock = clock
        self._server_time = server_time
        self._observer = observer
        self._turn = asyncio.Lock()
        self._burst = min(limits.burst, limits.requests)
        self._gap = 0.0
        self._departures: Departures | None = None
        if isinstance(ledger, MemoryLedger):  # nobody sends that this process does not know of
            self._departures = ledger.departures(budget, limits.requests)
            self._gap = limits.period / limits.requests * _HURRY
        self._bucket: AsyncLimiter | None = None
        self._closed_until = 0.0
        self._push_backs = 0

    async def acquire(self) -> Grant:
        """Wait for the next place and return it.

        Raises:
            QuotaExhausted: at once, if the day's quota is spent.
        """
        async with self._turn:
            self._refuse_when_closed()
            if self._departures is None:
                await self._pace()
                return await self._leave(None)
            departure = self._departures.book()
            try:
                if departure.behind is not None:
                    await self._until_free(departure)
                return await self._leave(departure)
            finally:
                departure.leave(self._clock.now())

    async def _leave(self, departure: Departure | None) -> Grant:
        server_now = self._server_time.now()
        if next_midnight(server_now) < server_now + _QUIET:
            await self._wait_for_midnight()
            server_now = self._server_time.now()
        now = self._clock.now()
        charging = self._ledger.reserve(
            self.budget,
            now=now,
            server_now=server_now,
            gap=self._gap,
            per_day=self.limits.per_day,
            burst=self._burst,
        )
        if type(self._ledger) is not MemoryLedger:  # that one never waits, so nothing is cancelled half way
            charging = self._uncut(charging)
        grant = await charging
        if grant is None:
            self.close(next_midnight(self._server_time.now()))
            self._refuse_when_closed()
            raise AssertionError("unreachable")
        if grant.slot > now:
            try:
                await self._sleep(grant.slot - self._clock.now(), self._slot_rule(departure))
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._ledger.give_back(self.budget, grant)
                raise
        return Grant(slot=grant.slot, day=grant.day, departure=departure)

    async def _until_free(self, departure: Departure) -> None:
        """Wait until the request N places before is out of the server's window, however late it was."""
        while departure.behind is not None:
            now = self._clock.now()
            seconds = departure.free_at(now, self.limits.period, self.jitter, self._gap) - now
            if seconds <= 0 or seconds >= LONGEST_QUEUE:  # so long only if the clock was set back
                return
            await self._sleep(seconds, self._pace_rule())

    def leaves(self, grant: Grant) -> None:
        """Note that a request leaves only now: what was done for it since its grant took its time."""
        if grant.departure is not None:
            grant.departure.left = self._clock.now()

    def answered(self, grant: Grant, seconds: float) -> None:
        """Note how long after its departure a request was answered, to the first byte."""
        self.jitter.saw(seconds)
        if grant.departure is not None:
            grant.departure.lateness = self.jitter.lateness(seconds)

    async def _uncut(self, charging: Coroutine[Any, Any, Grant | None]) -> Grant | None:
        """Wait for a charge; one that was made for a caller who is gone by then is taken back."""
        reserving = asyncio.ensure_future(charging)
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:  # a ledger in a file goes on in its thread, and charges
            with anyio.CancelScope(shield=True):
                with suppress(AgoraAnalyticsError):
                    if grant := await reserving:
                        await self._ledger.give_back(self.budget, grant)
            raise

    async def give_back(self, grant: Grant) -> None:
        """Take back the charge of a request that never left."""
        await self._ledger.give_back(self.budget, grant)

    async def push_back(self, seconds: float) -> None:
        """Hold everybody, because the server counted too many: longer each time that it happens again."""
        self.jitter.complained()
        self._push_backs += 1
        extra = LARGEST_JITTER * 2 ** min(self._push_backs, 6)
        early = (self._burst - 1) * self._gap  # a burst would begin so long before the hold ends
        await self._ledger.hold(self.budget, self._clock.now() + min(seconds + extra, LONGEST_HOLD) + early)

    def calm(self) -> None:
        """Note that the server is content again."""
        self._push_backs = 0

    async def close_day(self, until: float) -> None:
        """Close the budget, for every process that shares the ledger, because the server says so."""
        await self._ledger.close_day(self.budget, utc_day(until - 1))
        self.close(until)

    def close(self, until: float) -> None:
        """Refuse everything before `until` (server's clock, epoch seconds)."""
        if until > self._closed_until:
            self._closed_until = until
            self._observer(QuotaClosed(endpoint=self.budget.group, retry_at=until))

    def _refuse_when_closed(self) -> None:
        if self._server_time.now() < self._closed_until:
            raise QuotaExhausted(
                f"the quota of {self.limits.per_day} requests a day is spent",
                retry_at=self._closed_until,
                endpoint=self.budget.group,
            )

    async def _pace(self) -> None:
        if self._bucket is None:
            self._bucket = self._new_bucket()
        if self._gap >= _WORTH_TELLING and not self._bucket.has_capacity():
            self._observer(Waited(endpoint=self.budget.group, rule=self._pace_rule(), seconds=self._gap))
        await self._bucket.acquire()
        if abs(self._wanted_gap() - self._gap) > self._gap / 100:
            # A bucket keeps its rate for life; a new one starts where this one stands at worst: full.
            self._bucket = self._new_bucket()
            for _ in range(self._burst):
                await self._bucket.acquire()

    def _wanted_gap(self) -> float:
        behind = self.limits.requests + 1 - self._burst
        return (self.limits.period + self.jitter.seconds + CATCH_UP) / behind

    def _new_bucket(self) -> AsyncLimiter:
        """Return a bucket of `burst` places, so that a full period's worth never leaves at once."""
        self._gap = self._wanted_gap()
        places = self._burst + min(CATCH_UP / self._gap, 0.2)
        return AsyncLimiter(places, places * self._gap)

    async def _wait_for_midnight(self) -> None:
        now = self._server_time.now()
        await self._sleep(next_midnight(now) - now + _QUIET / 2, "the change of the day")

    def _slot_rule(self, departure: Departure | None) -> str:
        if self._push_backs:
            return "the rest that the server asked for"
        return "the pace that other requests share" if departure is None else self._pace_rule()

    def _pace_rule(self) -> str:
        return f"the pace of {self.limits.requests} requests in {self.limits.period:g} s"

    async def _sleep(self, seconds: float, rule: str) -> None:
        if seconds >= _WORTH_TELLING:
            self._observer(Waited(endpoint=self.budget.group, rule=rule, seconds=seconds))
        if seconds > 0:
            await asyncio.sleep(seconds)
