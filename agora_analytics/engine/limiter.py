"""The rate limiter of one budget: it decides when the next request may be sent.

Two limits apply, the coarse one first to read and the exact one first to act:

- The token bucket, `AsyncLimiter(requests, period)`, is the row of the plan table. Starting full, it would let almost
  twice as many requests through in the first period as the server accepts.
- The guard decides the time of each request, so that no window of the server holds more than `requests`. If this
  process knows all requests of the budget, the guard is a sliding window over them (see `sliding_window`). If processes
  share a ledger, the guard is the ledger's next slot: slots are `(period + jitter) / (requests + 1 - burst)` apart, so
  any `requests + 1` requests span a period and the jitter of their latency.

Whatever the guard lets through, the bucket has room for: n periods hold at most n times `requests`. So the bucket never
delays a request that the guard admitted, and holds if the guard should fail.
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

CATCH_UP = 0.002  # seconds that a late timer may be made up for
LONGEST_HOLD = 100.0  # seconds after which a server that asks for a longer pause is tried again
_LONGEST_WAIT = 120.0  # seconds for a predecessor; a longer wait means that the clock was set back
_POLL = 0.05  # seconds after which a predecessor that is not sent yet is looked at again
_PACE_FACTOR = (
    0.75  # of the even gap: a late request may be made up for, as far as the server's window allows
)
_MIDNIGHT_GUARD = (
    1.0,
    0.5,
)  # seconds around midnight in which the day that a request counts for is uncertain
_WORTH_REPORTING = 1.0  # seconds; shorter waits are the pace itself


class Limiter:
    """Lets the requests of one budget through at the documented rate, first come, first served.

    Bound to the event loop that it is first used on. Cancelling `acquire` releases the place.
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
        self.bucket = AsyncLimiter(limits.requests, limits.period)
        self._ledger = ledger
        self._clock = clock
        self._server_time = server_time
        self._observer = observer
        self._turn = asyncio.Lock()
        self._burst = min(limits.burst, limits.requests)
        self._window: SlidingWindow | None = None
        if isinstance(ledger, MemoryLedger):  # this process knows all requests of the budget
            self._window = ledger.sliding_window(budget, limits.requests)
        self._closed_until = 0.0  # by the server; what the ledger counted may be released again
        self._announced_until = 0.0
        self._backoffs = 0

    async def acquire(self) -> Grant:
        """Wait for the next place and return it; `mark_sent` or `release` must follow.

        Raises:
            QuotaExhausted: the day's quota is spent; raised without waiting.
        """
        async with self._turn:
            self._refuse_when_closed()
            if self._window is None:
                return await self._reserve()
            reservation = self._window.reserve()
            try:
                await self._wait_for_predecessor(reservation)
                return evolve(await self._reserve(), reservation=reservation)
            except BaseException:
                reservation.cancel()
                raise

    async def _reserve(self) -> Grant:
        too_early, delay = 0, 0.0
        while True:
            await self._avoid_midnight()
            asked = self._clock.now()
            now = asked + delay  # a slow ledger answers when the slot has passed already
            grant = await self._charge(now)
            took = self._clock.now() - asked
            if grant is None:
                raise self._exhausted(next_midnight(self._server_time.now()))
            if isinstance(grant, TooEarly):
                early = AHEAD * (1 - 0.5**too_early)  # the request that has waited longer asks first
                await self._sleep(grant.slot - early - now, self._slot_rule())
                too_early += 1
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
            gap=self._gap(),
            per_day=self.limits.per_day,
            burst=self._burst,
        )
        if type(self._ledger) is not MemoryLedger:  # that one never waits, so it is never cancelled half-way
            charging = self._finish_charge(charging)
        return await charging

    async def _wait_for_predecessor(self, reservation: Reservation) -> None:
        """Wait until the request N places before has left the server's window, however late it was."""
        poll = min(self._gap(), _POLL)
        while reservation.predecessor is not None:
            now = self._clock.now()
            seconds = reservation.free_at(now, self.limits.period, self.jitter, poll) - now
            if seconds <= 0 or seconds >= _LONGEST_WAIT:
                reservation.predecessor = None
                return
            if seconds >= _WORTH_REPORTING:
                await self._refuse_when_spent()
            await self._sleep(seconds, self._pace_rule())

    async def mark_sent(self, grant: Grant) -> Grant:
        """Record that a request is sent now, and return its place: another one if its own has passed meanwhile.

        Raises:
            QuotaExhausted: as `acquire`; the first place is released.
        """
        try:
            await self.bucket.acquire()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.release(grant)
            raise
        if self._has_passed(grant) or not self._is_of_its_day(grant):
            await asyncio.shield(self.release(grant))
            grant = await self.acquire()
        if grant.reservation is not None:
            grant.reservation.mark_sent(self._clock.now())
        return grant

    def answered(self, grant: Grant, seconds: float) -> None:
        """Record the time from sending a request to the first byte of its response."""
        self.jitter.observe(seconds)
        if grant.reservation is not None:
            grant.reservation.arrival_delay = self.jitter.arrival_delay(seconds)

    async def _finish_charge(
        self, charging: Coroutine[Any, Any, Grant | TooEarly | None]
    ) -> Grant | TooEarly | None:
        """Wait for a charge, and release it if the caller was cancelled meanwhile."""
        reserving = asyncio.ensure_future(charging)
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:  # a ledger in a file continues in its thread, and charges
            with anyio.CancelScope(shield=True):
                with suppress(AgoraAnalyticsError):
                    if isinstance(grant := await reserving, Grant):
                        await self._ledger.release(self.budget, grant)
            raise

    async def release(self, grant: Grant) -> None:
        """Release the charge of a request that was never sent."""
        if grant.reservation is not None and grant.reservation.sent_at is None:
            grant.reservation.cancel()
        await self._ledger.release(self.budget, grant)

    async def backoff(self, seconds: float) -> None:
        """Hold all requests, because the server counted too many; each further time in a row for longer."""
        self.jitter.widen()
        self._backoffs += 1
        extra = LARGEST_JITTER * 2 ** min(self._backoffs, 6)
        early = (self._burst - 1) * self._gap()  # a burst would begin so long before the hold ends
        await self._ledger.hold(self.budget, self._clock.now() + min(seconds + extra, LONGEST_HOLD) + early)

    def reset_backoff(self) -> None:
        """Record that the server accepts requests again."""
        self._backoffs = 0

    async def close_day(self, until: float) -> None:
        """Close the budget for every process that shares the ledger, because the server says that the day is spent."""
        await self._ledger.close_day(self.budget, utc_day(until - 1))
        self._closed_until = max(until, self._closed_until)
        self._announce_closed(until)

    def _refuse_when_closed(self) -> None:
        if self._server_time.now() < self._closed_until:
            raise self._exhausted(self._closed_until)

    async def _refuse_when_spent(self) -> None:
        """Raise before a long wait what would be raised after it."""
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

    def _gap(self) -> float:
        """Return the seconds between two slots of the ledger."""
        if self._window is not None:  # which is the guard then
            return self.limits.period / self.limits.requests * _PACE_FACTOR
        after_burst = self.limits.requests + 1 - self._burst
        return (self.limits.period + self.jitter.seconds + CATCH_UP) / after_burst

    async def _avoid_midnight(self) -> None:
        """Wait around the server's midnight."""
        while (seconds := _uncertain_for(self._server_time.now())) > 0:
            if seconds > _MIDNIGHT_GUARD[1]:  # before midnight
                await self._refuse_when_spent()
            await self._sleep(seconds, "the change of the day")

    def _is_of_its_day(self, grant: Grant) -> bool:
        now = self._server_time.now()
        return utc_day(now) == grant.day and _uncertain_for(now) <= 0

    def _has_passed(self, grant: Grant) -> bool:
        """Whether a slot of the ledger has passed: after a pause of the machine all requests would be sent at once."""
        return self._window is None and self._clock.now() - grant.slot > self.jitter.seconds

    def _slot_rule(self) -> str:
        if self._backoffs:
            return "the pause that the server asked for"
        return "the rate that other processes share" if self._window is None else self._pace_rule()

    def _pace_rule(self) -> str:
        return f"the rate limit of {self.limits.requests} requests in {self.limits.period:g} s"

    async def _sleep(self, seconds: float, rule: str) -> None:
        if seconds >= _WORTH_REPORTING:
            self._observer(Waited(endpoint=self.budget.group, rule=rule, seconds=seconds))
        if seconds > 0:
            await asyncio.sleep(seconds)


def _uncertain_for(server_now: float) -> float:
    before, after = _MIDNIGHT_GUARD
    into = (server_now + before) % DAY
    return before + after - into if into < before + after else 0.0
