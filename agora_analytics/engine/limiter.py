"""The limiter of one budget: who may send next, and when.

The server counts requests in fixed windows of its own clock. N + 1 requests never fall into one window, fixed or
sliding, if any N + 1 that follow each other leave at least `period + jitter` apart, where `jitter` is how much
their ways to the server differ. So the pace is one request every `(period + jitter) / N` seconds. Where a burst of
B is allowed, N + 1 requests are B at once and N + 1 - B behind them, so those leave `(period + jitter) / (N + 1 - B)`
apart.

That is the pace of those who share a ledger between processes. Where all requests are known here, no margin is
needed that is the same for all: see `sliding_window`.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import anyio
from aiolimiter import AsyncLimiter
from attrs import evolve

from agora_analytics.core.limits import Limits
from agora_analytics.engine.clock import Clock, ServerTime
from agora_analytics.engine.events import Observer, QuotaClosed, Waited
from agora_analytics.engine.ledger import AHEAD, Budget, Grant, Ledger, MemoryLedger, TooEarly
from agora_analytics.engine.sliding_window import LARGEST_JITTER, Jitter, Reservation, SlidingWindow
from agora_analytics.errors import AgoraAnalyticsError, QuotaExhausted
from agora_analytics.instants import DAY, next_midnight, utc_day

CATCH_UP = 0.002  # a timer that fires late may be made up for by this much, in seconds
LONGEST_HOLD = 100.0  # a server that asks for a longer rest is asked again by then, in seconds
_LONGEST_WAIT = 120.0  # behind another request: longer only if the clock was set back
_LOOK_AGAIN = 0.05  # for what is in the way and has not left yet
_PACE_FACTOR = (
    0.75  # of the even pace: what was late may be made up for, as far as the server's window allows
)
_MIDNIGHT_GUARD = (
    1.0,
    0.5,
)  # before and after midnight it is not sure to which day a request is charged, so none leaves
_WORTH_REPORTING = 1.0  # waits shorter than this are the pace itself


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
        self._window: SlidingWindow | None = None
        if isinstance(ledger, MemoryLedger):  # nobody sends that this process does not know of
            self._window = ledger.sliding_window(budget, limits.requests)
            self._gap = limits.period / limits.requests * _PACE_FACTOR
        self._bucket: AsyncLimiter | None = None
        self._closed_until = 0.0  # what the server said; of what we count ourselves some may be given back
        self._announced_until = 0.0
        self._backoffs = 0

    async def acquire(self) -> Grant:
        """Wait for the next place and return it; `leaves` or `release` must follow.

        Raises:
            QuotaExhausted: at once, if the day's quota is spent.
        """
        async with self._turn:
            self._refuse_when_closed()
            if self._window is None:
                await self._pace()
                return await self._reserve()
            reservation = self._window.reserve()
            try:
                await self._until_free(reservation)
                return evolve(await self._reserve(), reservation=reservation)
            except BaseException:
                reservation.cancel()
                raise

    async def _reserve(self) -> Grant:
        outrun, delay = 0, 0.0
        while True:
            await self._avoid_midnight()
            asked = self._clock.now()
            now = asked + delay  # when a slow ledger will have answered, or the slot has passed by then
            grant = await self._charge(now)
            took = self._clock.now() - asked
            if grant is None:
                raise self._exhausted(next_midnight(self._server_time.now()))
            if isinstance(grant, TooEarly):
                early = AHEAD * (1 - 0.5**outrun)  # who has waited longer asks first
                await self._sleep(grant.slot - early - now, self._slot_rule())
                outrun += 1
                continue
            try:
                await self._sleep(grant.slot - self._clock.now(), self._slot_rule())
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._ledger.release(self.budget, grant)
                raise
            if self._is_of_its_day(grant) and not self._has_passed(grant):
                return grant
            delay = min(max(took, 0.0), AHEAD)
            await asyncio.shield(self._ledger.release(self.budget, grant))

    async def _charge(self, now: float) -> Grant | TooEarly | None:
        charging = self._ledger.reserve(
            self.budget,
            now=now,
            server_now=self._server_time.now(),
            gap=self._gap,
            per_day=self.limits.per_day,
            burst=self._burst,
        )
        if type(self._ledger) is not MemoryLedger:  # that one never waits, so nothing is cancelled half way
            charging = self._finish_charge(charging)
        return await charging

    async def _until_free(self, reservation: Reservation) -> None:
        """Wait until the request N places before is out of the server's window, however late it was."""
        look_again = min(self._gap, _LOOK_AGAIN)
        while reservation.predecessor is not None:
            now = self._clock.now()
            seconds = reservation.free_at(now, self.limits.period, self.jitter, look_again) - now
            if seconds <= 0 or seconds >= _LONGEST_WAIT:
                reservation.predecessor = None
                return
            if seconds >= _WORTH_REPORTING:
                await self._refuse_when_spent()
            await self._sleep(seconds, self._pace_rule())

    async def mark_sent(self, grant: Grant) -> Grant:
        """Note that a request leaves only now: what was done for it since its grant took its time.

        If so much that its place has passed, it waits for another. Returns the place that it leaves with.

        Raises:
            QuotaExhausted: as `acquire`; the first place is given back.
        """
        if self._has_passed(grant) or not self._is_of_its_day(grant):
            await asyncio.shield(self.release(grant))
            grant = await self.acquire()
        if grant.reservation is not None:
            grant.reservation.mark_sent(self._clock.now())
        return grant

    def answered(self, grant: Grant, seconds: float) -> None:
        """Note how long after its reservation a request was answered, to the first byte."""
        self.jitter.observe(seconds)
        if grant.reservation is not None:
            grant.reservation.arrival_delay = self.jitter.arrival_delay(seconds)

    async def _finish_charge(
        self, charging: Coroutine[Any, Any, Grant | TooEarly | None]
    ) -> Grant | TooEarly | None:
        """Wait for a charge; one that was made for a caller who is gone by then is taken back."""
        reserving = asyncio.ensure_future(charging)
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:  # a ledger in a file goes on in its thread, and charges
            with anyio.CancelScope(shield=True):
                with suppress(AgoraAnalyticsError):
                    if isinstance(grant := await reserving, Grant):
                        await self._ledger.release(self.budget, grant)
            raise

    async def release(self, grant: Grant) -> None:
        """Take back the charge of a request that never left."""
        if grant.reservation is not None and grant.reservation.sent_at is None:
            grant.reservation.cancel()
        await self._ledger.release(self.budget, grant)

    async def backoff(self, seconds: float) -> None:
        """Hold everybody, because the server counted too many: longer each time that it happens again."""
        self.jitter.widen()
        self._backoffs += 1
        extra = LARGEST_JITTER * 2 ** min(self._backoffs, 6)
        early = (self._burst - 1) * self._gap  # a burst would begin so long before the hold ends
        await self._ledger.hold(self.budget, self._clock.now() + min(seconds + extra, LONGEST_HOLD) + early)

    def reset_backoff(self) -> None:
        """Note that the server is content again."""
        self._backoffs = 0

    async def close_day(self, until: float) -> None:
        """Close the budget, for every process that shares the ledger, because the server says so."""
        await self._ledger.close_day(self.budget, utc_day(until - 1))
        self._closed_until = max(until, self._closed_until)
        self._announce_closed(until)

    def _refuse_when_closed(self) -> None:
        if self._server_time.now() < self._closed_until:
            raise self._exhausted(self._closed_until)

    async def _refuse_when_spent(self) -> None:
        """Refuse before a long wait what is refused behind it."""
        now = self._server_time.now()
        spent, closed = await self._ledger.spent(self.budget, utc_day(now))
        if closed or spent >= self.limits.per_day:
            raise self._exhausted(next_midnight(now))

    def _exhausted(self, until: float) -> QuotaExhausted:
        self._announce_closed(until)
        return QuotaExhausted(
            f"the quota of {self.limits.per_day} requests a day is spent",
            retry_at=until,
            endpoint=self.budget.group,
        )

    def _announce_closed(self, until: float) -> None:
        if until > self._announced_until:
            self._announced_until = until
            self._observer(QuotaClosed(endpoint=self.budget.group, retry_at=until))

    async def _pace(self) -> None:
        if self._bucket is None:
            self._bucket = self._new_bucket()
        if self._gap >= _WORTH_REPORTING and not self._bucket.has_capacity():
            await self._refuse_when_spent()
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

    async def _avoid_midnight(self) -> None:
        """Wait while it is about midnight at the server."""
        while (seconds := _unsure_for(self._server_time.now())) > 0:
            if seconds > _MIDNIGHT_GUARD[1]:  # not yet midnight
                await self._refuse_when_spent()
            await self._sleep(seconds, "the change of the day")

    def _is_of_its_day(self, grant: Grant) -> bool:
        now = self._server_time.now()
        return utc_day(now) == grant.day and _unsure_for(now) <= 0

    def _has_passed(self, grant: Grant) -> bool:
        """Whether a slot of a shared pace is over: all may have stood still, and would leave at once."""
        return self._window is None and self._clock.now() - grant.slot > self.jitter.seconds

    def _slot_rule(self) -> str:
        if self._backoffs:
            return "the rest that the server asked for"
        return "the pace that other requests share" if self._window is None else self._pace_rule()

    def _pace_rule(self) -> str:
        return f"the pace of {self.limits.requests} requests in {self.limits.period:g} s"

    async def _sleep(self, seconds: float, rule: str) -> None:
        if seconds >= _WORTH_REPORTING:
            self._observer(Waited(endpoint=self.budget.group, rule=rule, seconds=seconds))
        if seconds > 0:
            await asyncio.sleep(seconds)


def _unsure_for(server_now: float) -> float:
    before, after = _MIDNIGHT_GUARD
    into = (server_now + before) % DAY
    return before + after - into if into < before + after else 0.0
